"""The compiled core (private): one extension module per family of functions.

A forked child of a process that has used several threads inherits OpenMP's records of them but not the threads, and
waits for them for ever as soon as it wants several, too. In a forked child the kernels therefore run on one thread,
always, and torch starts on one: ``torch.set_num_threads`` there is for those who know that torch had only one in the
parent. Processes that are spawned have no such limit.
"""

import os
import sys

from corelib._openmp import share_torch_runtime

OPENMP_RUNTIME = share_torch_runtime()  # before any kernel is loaded

from corelib.kernels import cpu


def _after_fork_in_child() -> None:
    cpu.set_one_openmp_thread()
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


os.register_at_fork(after_in_child=_after_fork_in_child)
