"""InfoNCE by the CUDA core: what ``info_nce`` asks for float32 tensors on a GPU. Nothing here waits for it."""

import torch
from torch import Tensor

from corelib.engines import gpu
from corelib.engines.info_nce_candidates import Candidates
from corelib.engines.info_nce_torch import Needs, Result
from corelib.engines.strips_cuda import GAIN, Factor, Strips, add_product, half_pays, product
from corelib.kernels import cuda


def one_way(
    candidates: Candidates,
    weight: Tensor | None,
    temperature: float,
    beta: float,
    gamma: float,
    detach: bool,
    needs: Needs,
) -> Result:
    """The mean loss of the queries among the keys, and its gradients (empty unless needed)."""
    n = len(candidates.queries)
    work = _Work(candidates, needs, whole=False, may_be_half=detach or not gamma)
    losses, scale = work.queries.new_empty(n), 1 / (n * temperature)
    own, weight = candidates.own.contiguous(), weight if weight is None else weight.contiguous()
    rows = cuda.InfoNceRows(
        candidates=work.candidates(),
        own=gpu.address(own),
        losses=gpu.address(losses),
        slope=1 / temperature,
        beta=beta,
        gamma=gamma,
        gain=work.gain,
        detach=detach,
    )
    if weight is not None:  # at most 1, for the sake of 16 bits
        largest = weight.amax()
        weight = weight / torch.where(largest > 0, largest, 1)
        rows.weight = gpu.address(weight)
    for start, stop, strip in work.similarities():
        rows.first_row = start
        work.strips.run("info_nce", strip, rows)
        work.add_gradients(start, stop, strip)
    gradients = work.gradients(scale)
    if weight is None:
        return losses.mean(), *gradients
    return losses.mean() * largest, *(gradient.mul_(largest) for gradient in gradients)


def both_ways(candidates: Candidates, temperature: float, needs: Needs) -> Result:
    """The mean over both directions, query i and key i looking for each other, and its gradients."""
    n = len(candidates.queries)
    work = _Work(candidates, needs, whole=True, may_be_half=True)
    numbers = work.queries.new_empty(8, n)
    *_, losses = numbers.unbind()
    rows = cuda.BothRows(
        work.candidates(),
        *map(gpu.address, numbers.unbind()),
        slope=1 / temperature,
        gain=work.gain,
        pairs=n,
    )
    for start, _, strip in work.similarities():
        rows.first_row = start
        work.strips.run("both_sums", strip, rows)
    work.strips.run("both_losses", strip, rows)
    if any(needs):
        once = len(work.strips.bounds) == 1
        for start, stop, strip in work.strips if once else work.similarities():
            rows.first_row = start
            work.strips.run("both_weights", strip, rows, once)
            work.add_gradients(start, stop, strip)
    return losses.mean(), *work.gradients(1 / (n * temperature))


class _Work:
    """Similarities of the candidates strip by strip, and the gradients that come back from them."""

    def __init__(self, candidates: Candidates, needs: Needs, *, whole: bool, may_be_half: bool) -> None:
        self._of = candidates
        self._needs = needs
        self.queries, self.keys = candidates.queries.contiguous(), candidates.keys.contiguous()
        hard = candidates.hard_negatives
        self._hard = None if hard is None else hard.contiguous()
        n, self._m = len(self.queries), len(self.keys)
        columns = self._m + (0 if hard is None else hard.shape[1])
        half = may_be_half and any(needs) and half_pays(self.queries, n, columns)
        self.strips = Strips(self.queries, n, columns, whole=whole, half=half)
        self.gain = GAIN if half else 1.0
        self._query_factor, self._key_factor = Factor(self.queries, half), Factor(self.keys, half)
        self._gradients = candidates.no_gradients(*needs)

    def candidates(self) -> cuda.Candidates:
        """What the row kernels are told of them."""
        of = self._of
        self._kept = [x if x is None else x.contiguous() for x in (of.key_ids, of.mask, of.hard_mask)]
        return cuda.Candidates(
            *map(gpu.address, self._kept), self._m, 0 if self._hard is None else self._hard.shape[1]
        )

    def similarities(self):
        """Row ranges and their similarities to the keys, and then to the hard negatives."""
        for start, stop, strip in self.strips:
            block = self.queries[start:stop]
            torch.mm(block, self.keys.T, out=strip[:, : self._m])
            if self._hard is not None:
                strip[:, self._m :] = torch.bmm(self._hard[start:stop], block[:, :, None])[:, :, 0]
            yield start, stop, strip

    def add_gradients(self, start: int, stop: int, strip: Tensor) -> None:
        """Those of a strip, before `gradients` scales them."""
        weights, block = self.strips.weights(strip), self._query_factor.value[start:stop]
        of_keys, of_hard = weights[:, : self._m], weights[:, self._m :].float()
        of_queries, of_all_keys, of_hard_negatives = self._gradients
        if of_queries.numel():
            rows = of_queries[start:stop]
            rows.copy_(self._key_factor.finish(product(of_keys, self._key_factor.value), 1.0))
            if self._hard is not None:
                rows += torch.bmm(of_hard[:, None, :], self._hard[start:stop])[:, 0]
        if of_all_keys.numel():
            add_product(of_all_keys, of_keys.T, block)
        if of_hard_negatives.numel():
            torch.mul(
                of_hard[:, :, None], self.queries[start:stop, None, :], out=of_hard_negatives[start:stop]
            )

    def gradients(self, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """All of them, times ``scale``."""
        of_queries, of_keys, of_hard = self._gradients
        self._query_factor.finish(of_keys, scale / self.gain)
        return of_queries.mul_(scale / self.gain), of_keys, of_hard.mul_(scale / self.gain)
