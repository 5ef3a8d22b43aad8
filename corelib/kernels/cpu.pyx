"""What the compiled core runs on."""

cdef extern from "cpu.h" nogil:
    int ks_openmp_threads()
    bint ks_in_forked_child()
    void ks_set_one_openmp_thread()
    const char *ks_instruction_set()


def openmp_threads() -> int:
    """Threads that a parallel kernel would start now; 0 if the core was built without OpenMP."""
    return ks_openmp_threads()


def in_forked_child() -> bool:
    """Whether this process was forked after the kernels were loaded; they then stay on one thread."""
    return ks_in_forked_child()


def set_one_openmp_thread() -> None:
    """Whatever else uses this OpenMP runtime from the calling thread starts no more threads either."""
    ks_set_one_openmp_thread()


def instruction_set() -> str:
    """The instruction set level that the kernels use on this CPU."""
    return ks_instruction_set().decode()
