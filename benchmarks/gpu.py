"""``python -m benchmarks.gpu``: a training step of the CUDA core beside eager and compiled torch, on this machine's GPU.

Times are medians from CUDA events, memory the peak above the inputs, errors those of the gradients against float64 by
norms. Metrics stand beside the same after a copy to the host, where the compiled kernels compute them. Writes two Markdown
tables to benchmarks/gpu.md.
"""

import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

import corelib
from corelib.losses import info_nce, mann_whitney_loss, multi_similarity_loss
from corelib.metrics import average_precision, ndcg, roc_auc

DEVICE = torch.device("cuda")
ROUNDS = 15


@dataclass(frozen=True)
class Case:
    title: str
    leaves: tuple[tuple[int, ...], ...]
    ours: Callable
    eager: Callable | None
    tf32: bool = False


def eager_pairs(pos, neg):
    return F.softplus((neg[None] - pos[:, None]) / 0.1).mean()


def eager_contrast(queries, keys):
    return F.cross_entropy(queries @ keys.T / 0.05, torch.arange(len(queries), device=DEVICE))


def eager_both(queries, keys):
    logits = queries @ keys.T / 0.05
    own = torch.arange(len(queries), device=DEVICE)
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))


def classes(embeddings):
    return torch.arange(len(embeddings), device=embeddings.device) % 128


def eager_multi_similarity(embeddings):
    similarity, labels = embeddings @ embeddings.T, classes(embeddings)
    same = labels[:, None] == labels
    positive, negative = same & ~torch.eye(len(labels), dtype=torch.bool, device=DEVICE), ~same
    hardest_positive = similarity.masked_fill(~positive, torch.inf).amin(1, keepdim=True)
    hardest_negative = similarity.masked_fill(~negative, -torch.inf).amax(1, keepdim=True)
    positive = positive & (similarity - 0.1 < hardest_negative)
    negative = negative & (similarity + 0.1 > hardest_positive)
    zero = similarity.new_zeros(len(labels), 1)
    pull = torch.cat([(-2 * (similarity - 0.5)).masked_fill(~positive, -torch.inf), zero], 1).logsumexp(1) / 2
    push = (
        torch.cat([(50 * (similarity - 0.5)).masked_fill(~negative, -torch.inf), zero], 1).logsumexp(1) / 50
    )
    return (pull + push).mean()


def over_pairs(pos, neg):
    return mann_whitney_loss(pos, neg, 0.1)


def contrast(queries, keys):
    return info_nce(queries, keys, 0.05)


def both(queries, keys):
    return info_nce(queries, keys, 0.05, symmetric=True)


def multi_similarity(embeddings):
    return multi_similarity_loss(embeddings, classes(embeddings))


def cases():
    for n in (32, 4096, 20_000):
        yield Case(f"Mann-Whitney, {n} x {n}", ((n,), (n,)), over_pairs, eager_pairs)
    yield Case("Mann-Whitney, 1e6 x 1e6", ((10**6,), (10**6,)), over_pairs, None)
    for tf32 in (False, True):
        for n in (32, 1024, 8192, 32_768):
            shapes = ((n, 256), (n, 256))
            name = f"{n} x 256" + ", TF32" * tf32
            yield Case(f"InfoNCE, {name}", shapes, contrast, eager_contrast, tf32)
            if n >= 8192:
                yield Case(f"InfoNCE both ways, {name}", shapes, both, eager_both, tf32)
    yield Case("InfoNCE, 81920 x 384, TF32", ((81_920, 384), (81_920, 384)), contrast, None, True)
    for n in (1024, 8192):
        yield Case(f"multi-similarity, {n} x 128", ((n, 128),), multi_similarity, eager_multi_similarity)


def step(loss, leaves):
    def run():
        for leaf in leaves:
            leaf.grad = None
        loss(*leaves).backward()

    return run


def measured(run) -> tuple[float, float]:
    """Milliseconds, and MiB above what is there."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, times = torch.cuda.memory_allocated(), []
    for _ in range(ROUNDS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times), (torch.cuda.max_memory_allocated() - before) / 2**20


def error(loss, leaves) -> float:
    """Of the gradients, against float64 where that fits."""
    if leaves[0].ndim == 2 and len(leaves[0]) > 8192:
        return float("nan")
    wide = [leaf.detach().double().cpu().requires_grad_() for leaf in leaves]
    ours = torch.autograd.grad(loss(*leaves), leaves)
    want = torch.autograd.grad(loss(*wide), wide)
    return max(float((g.cpu() - w).norm() / w.norm()) for g, w in zip(ours, want, strict=True))


def row(case: Case) -> str:
    torch.backends.cuda.matmul.allow_tf32 = case.tf32
    make = lambda shape: (
        F.normalize(torch.randn(shape, device=DEVICE), dim=-1)
        if len(shape) == 2
        else torch.randn(shape, device=DEVICE)
    )
    leaves = [make(shape).requires_grad_() for shape in case.leaves]
    cells = [case.title]
    contenders = [case.ours]
    if case.eager is not None:
        contenders += [case.eager, torch.compile(case.eager, dynamic=False)]
    found = []
    for loss in contenders:
        try:
            found.append(measured(step(loss, leaves)))
        except torch.cuda.OutOfMemoryError:
            found.append((float("nan"), float("nan")))
    found += [(float("nan"), float("nan"))] * (3 - len(found))
    cells += [f"{time:.3g}" for time, _ in found] + [f"{found[2][0] / found[0][0]:.2f}"]
    cells += [f"{memory:.0f}" for _, memory in found]
    cells += [f"{error(case.ours, leaves):.1g}"]
    return "| " + " | ".join(cells) + " |"


def graded(queries, documents):
    relevance = torch.randint(1, 4, (queries, documents), device=DEVICE)
    return torch.randn(queries, documents, device=DEVICE), relevance * (
        torch.rand(queries, documents, device=DEVICE) < 0.1
    )


def metric_cases():
    lists, long = graded(10_000, 100), graded(1000, 10_000)
    flat = (*(part.ravel() for part in lists), torch.arange(0, 10**6 + 1, 100, device=DEVICE))
    pooled = torch.randn(10**6, device=DEVICE), torch.rand(10**6, device=DEVICE) < 0.5
    yield "nDCG@10, 10000 x 100", lambda s, r: ndcg(s, r, 10), lists
    yield "nDCG@10, 10000 x 100, ties averaged", lambda s, r: ndcg(s, r, 10, ties="average"), lists
    yield "nDCG@10, 10000 ragged of 1e6", lambda s, r, i: ndcg(s, r, 10, indptr=i), flat
    yield "nDCG@10, 1000 x 10000", lambda s, r: ndcg(s, r, 10), long
    yield "average precision, 10000 x 100", average_precision, lists
    yield "AUC, 1e6", roc_auc, pooled


def metric_row(title: str, metric: Callable, arguments: tuple[torch.Tensor, ...]) -> str:
    here, memory = measured(lambda: metric(*arguments))
    host, _ = measured(lambda: metric(*(argument.cpu() for argument in arguments)))
    there = torch.as_tensor(metric(*(argument.cpu() for argument in arguments)), dtype=torch.float64)
    off = float((metric(*arguments).cpu() - there).abs().max())
    return f"| {title} | {here:.3g} | {host:.3g} | {host / here:.2f} | {memory:.0f} | {off:.1g} |"


def main() -> None:
    torch.manual_seed(0)
    head = "| step | corelib, ms | eager | compiled | compiled / corelib | corelib, MiB | eager | compiled | error |"
    lines = [head, "| --- |" + " ---: |" * 8]
    numbers = torch.randn(2 * 10**6, device=DEVICE)
    sort, _ = measured(lambda: numbers.sort())
    print(f"sort of 2e6 numbers: {sort:.3g} ms", flush=True)
    for case in cases():
        lines.append(row(case))
        print(lines[-1], flush=True)
    lines += ["", "| metric | corelib, ms | by the host, ms | host / corelib | MiB | difference |"]
    lines.append("| --- |" + " ---: |" * 5)
    for case in metric_cases():
        lines.append(metric_row(*case))
        print(lines[-1], flush=True)
    about = f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}, corelib {corelib.__version__}; a sort of 2e6 numbers takes {sort:.3g} ms."
    Path(__file__).with_name("gpu.md").write_text("\n".join([about, "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
