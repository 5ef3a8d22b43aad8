"""Score functions of noised data: what a diffusion model is trained to be, in closed form.

All follow one convention: a data point plus Gaussian noise of standard deviation ``sigma``, and the score is the
gradient of the log-density of the sum. Torch tensors in, tensors out; NumPy arrays in, arrays out. float16 and bfloat16
are computed in float32, and inside ``torch.autocast`` the numbers are those outside of it, also those of a backward pass.
Functions are right under ``torch.compile(fullgraph=True)``, except where a loss takes a network; a traced graph looks at
no values, so that a negative ``sigma`` gives NaN there, not an error.
"""

from corelib.score.comparison import explained_variance
from corelib.score.empirical import EmpiricalDistribution, empirical_log_density, empirical_score
from corelib.score.frechet import frechet_distance
from corelib.score.gaussian import fit_gaussian, gaussian_flow, gaussian_log_density, gaussian_score
from corelib.score.matching import contractive_penalty, denoising_loss, hyvarinen_loss, sliced_score_loss
from corelib.score.mixture import mixture_log_density, mixture_score

__all__ = [
    "EmpiricalDistribution",
    "contractive_penalty",
    "denoising_loss",
    "empirical_log_density",
    "empirical_score",
    "explained_variance",
    "fit_gaussian",
    "frechet_distance",
    "gaussian_flow",
    "gaussian_log_density",
    "gaussian_score",
    "hyvarinen_loss",
    "mixture_log_density",
    "mixture_score",
    "sliced_score_loss",
]
