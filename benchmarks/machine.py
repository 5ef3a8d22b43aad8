"""What the numbers were measured on: nothing that names the machine itself."""

import os
import platform
from importlib import metadata
from pathlib import Path

import corelib

PACKAGES = (
    "numpy",
    "torch",
    "scipy",
    "scikit-learn",
    "pytrec-eval-terrier",
    "ranx",
    "pytorch-metric-learning",
    "pykeops",
    "glicko2",
    "girth",
)


def describe() -> dict:
    """Processor, threads, memory, Python, and the version of every package in the comparison."""
    return {
        "processor": processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instruction set": corelib.info()["instruction set"],
        "memory": memory(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": {name: version(name) for name in PACKAGES},
    }


def processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def memory() -> str:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    return "unknown"


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
