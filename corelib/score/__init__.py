"""Score functions of noised data: what a diffusion model is trained to be, in closed form.

All follow one convention: a data point plus Gaussian noise of standard deviation ``sigma``, and the score is the
gradient of the log-density of the sum. Torch tensors in, tensors out; NumPy arrays in, arrays out.
"""

from corelib.score.comparison import explained_variance
from corelib.score.empirical import empirical_log_density, empirical_score
from corelib.score.gaussian import fit_gaussian, gaussian_flow, gaussian_log_density, gaussian_score
from corelib.score.mixture import mixture_log_density, mixture_score

__all__ = [
    "empirical_log_density",
    "empirical_score",
    "explained_variance",
    "fit_gaussian",
    "gaussian_flow",
    "gaussian_log_density",
    "gaussian_score",
    "mixture_log_density",
    "mixture_score",
]
