"""Compare every chapter with what other people's machines would compute: ``python -m tools.portable [NOTEBOOK ...]``.

Each round simulates a machine through the environment: torch's, NumPy's and MKL's kernels for another instruction set,
OpenBLAS' for another processor. The library's own kernels choose by the processor itself and cannot be told otherwise.
"""

import subprocess
import sys
from pathlib import Path

from tools.compare import ROOT, command, environment

MACHINES = {
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
    "no AVX": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    },
}


def main(arguments: list[str]) -> int:
    notebooks = [Path(argument) for argument in arguments] or [ROOT / "book"]
    line = command(*notebooks, options=["-n", "2", "--dist", "loadfile"])
    red = []
    for name, settings in MACHINES.items():
        print(f"== {name}: {' '.join(f'{key}={value!r}' for key, value in settings.items())}", flush=True)
        if subprocess.run(line, check=False, cwd=ROOT, env=environment(settings)).returncode:
            red.append(name)
    print(f"red on: {', '.join(red)}" if red else "green on every simulated machine")
    return int(bool(red))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
