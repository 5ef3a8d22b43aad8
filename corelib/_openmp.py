"""One OpenMP runtime for torch and the kernels.

Two copies of libgomp in one process keep two thread pools that spin against each other. torch often ships its own
copy under a private name; loading that copy first, with its symbols global, makes the kernels bind to it as well.
"""

import ctypes
import importlib.util
from pathlib import Path


def share_torch_runtime() -> Path | None:
    """Load the libgomp that torch will use, without importing torch; its path, or None if torch ships none."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    for folder in (package / "lib", package.parent / "torch.libs"):
        for library in sorted(folder.glob("libgomp*.so*")):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            return library
    return None
