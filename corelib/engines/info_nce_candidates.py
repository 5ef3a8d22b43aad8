"""The candidates of every query of InfoNCE, their similarities strip by strip, and the way back to the embeddings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from corelib.engines.strips import strips


@dataclass(frozen=True)
class Candidates:
    """Queries (n, d), the keys (m, d) that all of them see, and what each sees alone or does not see.

    ``own`` holds the row of each query's key, ``hard_negatives`` (n, h, d) the candidates of single queries. A key with the
    id of a query's own key, and a pair where ``mask`` (n, m) or ``hard_mask`` (n, h) is True, are left out; the own key itself
    never is.
    """

    queries: Tensor
    keys: Tensor
    own: Tensor
    hard_negatives: Tensor | None
    key_ids: Tensor | None
    mask: Tensor | None
    hard_mask: Tensor | None

    def similarities(
        self, leave_out_ids: Callable[[Tensor, int, int], None]
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Row ranges and their similarities to the m keys and h hard negatives, all in the same memory.

        A pair that is left out is minus infinity; ``leave_out_ids(strip, start, stop)`` sees to those of equal id.
        """
        n, m = self.queries.shape[0], self.keys.shape[0]
        hard = 0 if self.hard_negatives is None else self.hard_negatives.shape[1]
        blocks = strips(n, m + hard, self.queries)
        buffer = self.queries.new_empty(blocks[0][1], m + hard)
        for start, stop in blocks:
            block, strip = self.queries[start:stop], buffer[: stop - start]
            torch.mm(block, self.keys.T, out=strip[:, :m])
            if hard:
                strip[:, m:] = torch.bmm(self.hard_negatives[start:stop], block[:, :, None])[:, :, 0]
                if self.hard_mask is not None:
                    strip[:, m:].masked_fill_(self.hard_mask[start:stop], -torch.inf)
            if self.mask is not None:
                own = self.own[start:stop, None]
                kept = strip.gather(1, own)
                strip[:, :m].masked_fill_(self.mask[start:stop], -torch.inf)
                strip.scatter_(1, own, kept)
            if self.key_ids is not None:
                leave_out_ids(strip, start, stop)
            yield start, stop, strip

    def no_gradients(
        self, need_queries: bool, need_keys: bool, need_hard: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients to add to, empty unless needed."""
        hard = self.queries if self.hard_negatives is None else self.hard_negatives
        pairs = zip((self.queries, self.keys, hard), (need_queries, need_keys, need_hard), strict=True)
        return tuple(value.new_zeros(value.shape if needed else 0) for value, needed in pairs)

    def add_gradients(self, start: int, stop: int, weights: Tensor, scale: Tensor, gradients: tuple) -> None:
        """Add those of a strip: ``scale`` (rows, 1) times ``weights`` is the derivative by its similarities."""
        grad_queries, grad_keys, grad_hard = gradients
        scaled = self.queries[start:stop] * scale
        m = self.keys.shape[0]
        of_keys, of_hard = weights[:, :m], weights[:, m:]
        if grad_queries.numel():
            block = torch.mm(of_keys, self.keys, out=grad_queries[start:stop])
            if self.hard_negatives is not None:
                block += torch.bmm(of_hard[:, None, :], self.hard_negatives[start:stop])[:, 0]
            block *= scale
        if grad_keys.numel():
            grad_keys.addmm_(of_keys.T, scaled)
        if grad_hard.numel():
            torch.mul(of_hard[:, :, None], scaled[:, None, :], out=grad_hard[start:stop])
