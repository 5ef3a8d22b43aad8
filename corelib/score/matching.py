"""Score matching: losses whose minimiser is the score, from samples alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from corelib._checks import check_choice, check_int, check_positive
from corelib._front_end import front_end
from corelib._tensors import check_finite, check_like, check_rows, check_shaped, check_tensor
from corelib._types import TensorOrArray
from corelib.score._arguments import check_points, check_result, check_sigma

_HALF = (torch.float16, torch.bfloat16)


@front_end("denoised", "clean", "sigma")
def denoising_loss(
    denoised: TensorOrArray,
    clean: TensorOrArray,
    sigma: float | TensorOrArray,
    *,
    sigma_data: float = 0.5,
    weighting: str = "edm",
) -> TensorOrArray:
    """Denoising score matching: the weighted squared error of a denoiser, summed over dimensions, mean over points.

    Its minimiser is D(x, sigma) = E[clean | noisy = x], and (D(x, sigma) - x) / sigma^2 is the score of the noised data
    (Tweedie's formula).

    Parameters
    ----------
    denoised : Tensor or ndarray, shape (n, d), float32 or float64
        The denoiser's output for ``clean`` plus noise.
    clean : Tensor or ndarray, shape (n, d), same dtype
        What it should have returned.
    sigma : float, or Tensor or ndarray of shape (n,)
        Standard deviation of the noise, above 0.
    sigma_data : float
        Standard deviation of the data, for the "edm" weighting.
    weighting : {"edm", "score", "none"}
        "edm": 1 / sigma^2 + 1 / sigma_data^2, which gives every noise level the same weight at the
        start of training; "score": 1 / sigma^4, the squared error of the score itself; "none": 1.

    Returns
    -------
    Tensor, 0-dimensional (a float for arrays)

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype, shape or range than stated, or there is no point.

    Notes
    -----
    O(n d). P. Vincent, "A connection between score matching and denoising autoencoders" (2011); T. Karras et al.,
    "Elucidating the Design Space of Diffusion-Based Generative Models" (arXiv 2206.00364), equation 2 and table 1.

    Examples
    --------
    >>> import numpy as np
    >>> clean = np.zeros((4, 2))
    >>> print(f"{denoising_loss(clean + 0.1, clean, sigma=0.5):.4f}")
    0.1600
    """
    check_points(denoised, "denoised")
    check_like(clean, "clean", denoised, "denoised")
    check_choice(weighting, "weighting", ("edm", "score", "none"))
    sigma_data = check_positive(sigma_data, "sigma_data")
    noise = check_sigma(sigma, "sigma", denoised)[:, 0]
    if weighting == "edm":
        weight = noise**-2 + 1 / sigma_data / sigma_data
    else:
        weight = noise**-4 if weighting == "score" else torch.ones_like(noise)
    errors = (denoised - clean).to(torch.float64).square().sum(1)
    loss = (weight * errors).mean().to(denoised.dtype)
    return check_result(loss, "the loss", "sigma or sigma_data is too small for denoised - clean")


def hyvarinen_loss(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Implicit score matching: mean of ``|s(x)|^2 / 2 + div s(x)``, the score error up to a constant of the data.

    Parameters
    ----------
    score : callable
        Maps points, shape (n, d), to scores of the same shape, each row by itself.
    x : Tensor, shape (n, d), of any float dtype
        Samples of the density whose score is sought.

    Returns
    -------
    Tensor, 0-dimensional
        Differentiable in the parameters of ``score``.

    Raises
    ------
    TypeError, ValueError
        If ``x`` has another type, dtype or shape than stated, or ``score`` returns another shape.

    Notes
    -----
    d backward passes for the divergence: for large d take ``sliced_score_loss``. They are taken inside of
    ``torch.no_grad`` and ``torch.inference_mode``, too. ``score`` runs as the caller's ``torch.autocast`` has it; what
    follows is computed in float32 at least. ``torch.compile`` has no second backward pass: neither this loss nor a
    compiled ``score`` can be trained through it. A. Hyvarinen, "Estimation of Non-Normalized Statistical Models by
    Score Matching" (JMLR 2005), theorem 1.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> bool(hyvarinen_loss(lambda x: -x, x) < hyvarinen_loss(lambda x: -0.5 * x, x))
    True
    """

    def divergence(x: Tensor, values: Tensor) -> Tensor:
        return sum(_gradient(values[:, k].sum(), x)[:, k] for k in range(x.shape[1]))

    return _score_matching(score, x, divergence)


def sliced_score_loss(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    projections: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sliced score matching: the divergence of ``hyvarinen_loss`` estimated along random directions.

    Parameters
    ----------
    score, x
        As in ``hyvarinen_loss``.
    projections : int
        Directions v of N(0, I) per point, at least 1; each costs one backward pass.
    generator : torch.Generator, optional
        Source of the directions, on the device of ``x``.

    Returns
    -------
    Tensor, 0-dimensional
        Mean of ``|s(x)|^2 / 2 + v^T (ds/dx) v``: unbiased for ``hyvarinen_loss``.

    Raises
    ------
    TypeError, ValueError
        As ``hyvarinen_loss``, or if ``projections`` is less than 1.

    Notes
    -----
    Gradients, autocast and ``torch.compile`` as in ``hyvarinen_loss``. Song, Garg, Shi and Ermon, "Sliced Score Matching" (UAI 2019), equation 8 (the variance-reduced form).

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(5, 3, generator=generator)
    >>> sliced_score_loss(lambda x: -x, x, projections=4, generator=generator).shape
    torch.Size([])
    """
    projections = check_int(projections, "projections", minimum=1)

    def divergence(x: Tensor, values: Tensor) -> Tensor:
        total = 0.0
        for _ in range(projections):
            v = torch.randn(values.shape, dtype=values.dtype, device=x.device, generator=generator)
            total = total + (_gradient((values * v).sum(), x) * v).sum(1)
        return total / projections

    return _score_matching(score, x, divergence)


@front_end("encoder", "decoder", "slopes")
def contractive_penalty(
    encoder: TensorOrArray, decoder: TensorOrArray, slopes: TensorOrArray
) -> TensorOrArray:
    """Squared Frobenius norm of the Jacobian of x -> decoder act(encoder x + b) + c, for every point.

    Parameters
    ----------
    encoder : Tensor or ndarray, shape (h, d), float32 or float64
    decoder : Tensor or ndarray, shape (d, h), same dtype
    slopes : Tensor or ndarray, shape (n, h), same dtype
        Derivative of the activation at each point's hidden pre-activations.

    Returns
    -------
    Tensor or ndarray, shape (n,)
        Differentiable in all three arguments.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, dtype or shape than stated.

    Notes
    -----
    The Jacobian is decoder diag(slopes) encoder, so its squared norm is slopes^T K slopes with K the elementwise
    product of decoder^T decoder and encoder encoder^T: O(h^2) per point after O(d h^2) once, against O(d^2 h) per
    point through the Jacobian; computed in float64. S. Rifai et al., "Contractive Auto-Encoders" (2011); G. Alain and Y. Bengio (arXiv
    1211.4246), the penalty of the reconstruction contractive auto-encoder.

    Examples
    --------
    >>> import numpy as np
    >>> float(contractive_penalty(np.eye(2), 3 * np.eye(2), np.array([[1.0, 0.5]]))[0])
    11.25
    """
    hidden, dimensions = check_rows(encoder, "encoder").shape
    check_shaped(decoder, "decoder", encoder, (dimensions, hidden), "encoder")
    check_shaped(slopes, "slopes", encoder, (None, hidden), "encoder")
    wide_encoder, wide_decoder, wide_slopes = (t.to(torch.float64) for t in (encoder, decoder, slopes))
    kernel = (wide_decoder.T @ wide_decoder) * (wide_encoder @ wide_encoder.T)
    penalty = ((wide_slopes @ kernel) * wide_slopes).sum(1)
    return check_result(penalty.to(encoder.dtype), "the penalty", "encoder, decoder or slopes are too large")


def _score_matching(
    score: Callable[[Tensor], Tensor], x: object, divergence: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The mean of ``|s|^2 / 2`` plus the divergence, which takes gradients even where they are turned off."""
    wanted = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        points, values = _score_of(score, x)
        loss = (values.square().sum(1) / 2 + divergence(points, values)).mean()
    check_result(loss, "the loss", "score(x) is too large")
    return loss if wanted else loss.detach()


def _score_of(score: Callable[[Tensor], Tensor], x: object) -> tuple[Tensor, Tensor]:
    """``x`` as a leaf that takes gradients, and the scores there, at least in float32."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a torch.Tensor, which score takes; got {type(x).__name__}")
    check_points(x.float() if x.dtype in _HALF else x, "x")
    x = (x.clone() if x.is_inference() else x).detach().requires_grad_()
    values = score(x)
    if isinstance(values, Tensor) and values.dtype in _HALF:
        values = values.float()
    check_finite(check_tensor(values, "score(x)", ndim=2), "score(x)")
    if values.shape != x.shape:
        raise ValueError(f"score(x) must have the shape of x, {tuple(x.shape)}; got {tuple(values.shape)}")
    if not values.requires_grad:
        raise ValueError("score(x) must depend on x by differentiable operations")
    return x, values


def _gradient(of: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(of, x, create_graph=True)[0]
