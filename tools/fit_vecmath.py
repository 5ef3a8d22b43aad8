"""Makes the coefficients of ``corelib/kernels/vecmath.h``: ``python -m tools.fit_vecmath`` (needs mpmath).

Each is a Chebyshev interpolant of the smooth part of a function, on an interval a little wider than the one it is used
on, because the reduction of the argument rounds.
"""

import mpmath
from mpmath import mpf


def _exp_rest(r: mpf) -> mpf:
    """q in exp(r) = 1 + r + r^2 q(r)."""
    return (mpmath.exp(r) - 1 - r) / r**2 if r else mpf(1) / 2


def _log_rest(z: mpf) -> mpf:
    """p in 2 atanh(s) = 2 s + s^3 p(s^2)."""
    s = mpmath.sqrt(z)
    return 2 * (mpmath.atanh(s) - s) / s**3 if z else mpf(2) / 3


def coefficients() -> dict[str, list[str]]:
    """Of the polynomial in each function of vecmath.h, from the highest power down, to 20 digits."""
    with mpmath.workdps(50):
        r = mpmath.log(2) / 2 * mpf("1.0001")  # |r| after x = n log 2 + r
        s = (mpmath.sqrt(2) - 1) / (mpmath.sqrt(2) + 1)  # u / (u + 2) at 1 + u = sqrt(2)
        z = s**2 * mpf("1.001")
        fits = {
            "ks_exp": (_exp_rest, [-r, r], 10),
            "ks_expf": (_exp_rest, [-r, r], 5),
            "ks_log1p_unit": (_log_rest, [0, z], 8),
        }
        return {name: [mpmath.nstr(c, 20) for c in mpmath.chebyfit(*fit)] for name, fit in fits.items()}


if __name__ == "__main__":
    for name, values in coefficients().items():
        print(name, *values, sep="\n    ")
