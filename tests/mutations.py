"""Ways to break the library, each of which must turn a chapter red, and the workshop that breaks a copy of it."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nbval_runner import ROOT, environment


@dataclass(frozen=True)
class Mutation:
    """Replace ``old``, which stands exactly once in ``file``, by ``new``: then ``chapter`` must turn red.

    ``kernel`` is the extension module that has to be built again, for a file of the compiled core.
    """

    name: str
    file: str
    old: str
    new: str
    chapter: str
    kernel: str | None = None


MUTATIONS = (
    Mutation(
        name="the sign of sums over pairs",
        file="corelib/losses/_pairs.py",
        old="    factor = _factor(",
        new="    factor = -_factor(",
        chapter="book/pairs/mw-loss.ipynb",
    ),
    Mutation(
        name="the sign of the Mann-Whitney kernel's slope at the positives",
        file="corelib/kernels/pairsum.h",
        old="(s ? factor : -factor) / temperature",
        new="(s ? factor : factor) / temperature",
        chapter="book/pairs/mw-loss.ipynb",
        kernel="pairwise",
    ),
    Mutation(
        name="multi-similarity without its miner",
        file="corelib/losses/contrastive.py",
        old='epsilon = None if epsilon is None else check_real(epsilon, "epsilon")\n    need_grad',
        new="epsilon = None\n    need_grad",
        chapter="book/metric-learning/multi-similarity.ipynb",
    ),
    Mutation(
        name="the sign of the multi-similarity kernel's gradient at the negatives",
        file="corelib/kernels/contrastive_rows.h",
        old="(KS_REAL)(sign * weight / denominator)",
        new="(KS_REAL)(-weight / denominator)",
        chapter="book/metric-learning/multi-similarity.ipynb",
        kernel="contrastive",
    ),
    Mutation(
        name="the Gaussian score without its mean",
        file="corelib/score/gaussian.py",
        old="    coefficients = centred @ eigenvectors\n    shrunk = coefficients / (eigenvalues + variance)",
        new="    centred = x\n    coefficients = centred @ eigenvectors\n    shrunk = coefficients / (eigenvalues + variance)",
        chapter="book/score-matching/gaussian-score.ipynb",
    ),
    Mutation(
        name="the exact layer with repeated targets ignored",
        file="corelib/losses/spherical.py",
        old="same = (targets[:, None] == targets).to(H.dtype)",
        new="same = torch.eye(m, dtype=H.dtype)",
        chapter="book/training/z-loss.ipynb",
    ),
    Mutation(
        name="gradient norms without the biases",
        file="corelib/losses/difficulty.py",
        old="d * (torch.hypot(a, torch.ones_like(a)) if bias else a)",
        new="d * a",
        chapter="book/training/data-diet.ipynb",
    ),
    Mutation(
        name="preference losses without their reference",
        file="corelib/losses/preference.py",
        old="u = margin - gamma * reference_margin",
        new="u = margin",
        chapter="book/pairs/preference-ranking.ipynb",
    ),
    Mutation(
        name="the sign of the cosine adapter's slope gradient",
        file="corelib/losses/calibration.py",
        old="grad_slope = weighted.sum(1)",
        new="grad_slope = -weighted.sum(1)",
        chapter="book/retrieval/cosine-adapter.ipynb",
    ),
    Mutation(
        name="the margin of a matching without its runner-up",
        file="corelib/metrics/groups.py",
        old="        margin=best - second,",
        new="        margin=best,",
        chapter="book/metric-learning/test-time-matching.ipynb",
    ),
    Mutation(
        name="clicks multiplied by their propensity",
        file="corelib/losses/clicks.py",
        old="torch.where(clicks, 1 / floored, torch.zeros_like(floored))",
        new="torch.where(clicks, floored, torch.zeros_like(floored))",
        chapter="book/pairs/rel-mf.ipynb",
    ),
    Mutation(
        name="the sign of InfoNCE's stress on hard negatives",
        file="corelib/losses/infonce.py",
        old='beta, gamma = check_real(beta, "beta"), check_real(gamma, "gamma")',
        new='beta, gamma = -check_real(beta, "beta"), check_real(gamma, "gamma")',
        chapter="book/retrieval/peg.ipynb",
    ),
    Mutation(
        name="edges and other pairs of nodes exchanged",
        file="corelib/losses/edges.py",
        old="signs[: pos_edges.shape[1]] = -1",
        new="signs[pos_edges.shape[1] :] = -1",
        chapter="book/shift/lebed.ipynb",
    ),
    Mutation(
        name="Glicko-2 that trusts every opponent's rating fully",
        file="corelib/ratings/glicko.py",
        old="g = 1 / np.sqrt(1 + 3 * (phi / np.pi) ** 2)",
        new="g = np.ones_like(phi)",
        chapter="book/judging/easy2hard.ipynb",
    ),
    Mutation(
        name="denoising towards the opposite of the clean point",
        file="corelib/score/matching.py",
        old="errors = (denoised - clean).to",
        new="errors = (denoised + clean).to",
        chapter="book/score-matching/regularized-autoencoders.ipynb",
    ),
    Mutation(
        name="sums over pairs doubled",
        file="corelib/losses/_pairs.py",
        old="    factor = _factor(",
        new="    factor = 2 * _factor(",
        chapter="book/core-in-twenty-minutes.ipynb",
    ),
)


def copy_package(destination: Path) -> Path:
    """A copy of the package with its built extensions; the folder to put on ``PYTHONPATH``."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "corelib", destination / "corelib", ignore=ignored)
    shutil.copy(ROOT / "setup.py", destination)
    return destination


def apply(mutation: Mutation, copy: Path) -> None:
    """Break the copy, and build the kernel that it concerns, if any, again.

    Raises
    ------
    ValueError
        If the text to replace does not stand exactly once in the file: the source has moved on, so must the mutation.
    """
    file = copy / mutation.file
    source = file.read_text(encoding="utf-8")
    count = source.count(mutation.old)
    if count != 1:
        raise ValueError(f'"{mutation.name}": the old text stands {count} times in {mutation.file}, not once')
    file.write_text(source.replace(mutation.old, mutation.new), encoding="utf-8")
    if mutation.kernel:
        _build(mutation.kernel, copy)


def _build(kernel: str, copy: Path) -> None:
    kernels = copy / "corelib" / "kernels"
    for source in kernels.glob("*.pyx"):
        if source.stem != kernel:
            source.unlink()
    for built in (*kernels.glob(f"{kernel}.*.so"), *kernels.glob(f"{kernel}.*.pyd")):
        built.unlink()
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    result = subprocess.run(
        command, check=False, cwd=copy, capture_output=True, text=True, env=environment(), timeout=600
    )
    assert result.returncode == 0, result.stdout + result.stderr
