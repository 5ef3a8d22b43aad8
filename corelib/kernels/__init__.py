"""The compiled core (private): one extension module per family of functions."""

from corelib._openmp import share_torch_runtime

OPENMP_RUNTIME = share_torch_runtime()
