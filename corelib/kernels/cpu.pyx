"""What the compiled core runs on."""

cdef extern from "cpu.h" nogil:
    int ks_openmp_threads()
    const char *ks_instruction_set()


def openmp_threads() -> int:
    """Threads that a parallel kernel would start now; 0 if the core was built without OpenMP."""
    return ks_openmp_threads()


def instruction_set() -> str:
    """The instruction set level that the kernels use on this CPU."""
    return ks_instruction_set().decode()
