"""Ranked lists and areas in plain torch, where the tensors lie: the twin of ``engines.ranking`` for a GPU.

Nothing here looks at a value, so the host never waits, and a step that calls it can be captured in a CUDA graph. What a
check would refuse makes its query bad; the caller is told which queries are, whose values mean nothing. Documents are
sorted once, and each knows where its group of equal scores starts and how large it is; where the rule for ties puts one
document after the other, every group is one document.
"""

import math

import torch
from torch import Tensor

from corelib._backend import checks_gpu

_GRADED = ("dcg", "ndcg")
_EXACT_INTEGERS = 2**53
_DEEPEST = 2**63 - 1  # cutoff
_BLOCK = 128  # ranks whose discounts are summed together
_SHALLOW = 8  # a selection in place of a sort where it leaves out so many documents for one that it takes


def rank_queries(
    wanted: list[tuple[str, int | None]],
    scores: Tensor,
    relevance: Tensor,
    indptr: Tensor | None,
    *,
    exponential: bool,
    ties: str,
    min_relevance: float,
    max_relevance: float,
    empty: float,
) -> tuple[list[Tensor], Tensor]:
    """The float64 value of each wanted metric, a kind with its cutoff, for every query; and which queries are bad.

    The kinds are those of ``engines.ranking.KINDS_ON_GPU``; ``scores`` are (queries, documents), or flat with ``indptr``.
    """
    key, grade = _comparable(scores), relevance.double()
    lists = _Rows(*scores.shape, scores.device) if indptr is None else _Segments(indptr, len(scores))
    bad = lists.broken | lists.any(
        _inexact(scores) | key.isnan() | ~((grade >= 0) & (grade <= max_relevance))
    )
    if not scores.numel():
        return [bad.new_full(bad.shape, empty, dtype=torch.float64) for _ in wanted], bad
    hit = grade >= min_relevance
    relevant, has_gain = lists.sum(hit), lists.any(grade > 0)
    cuts = [None if kind == "r_precision" else k for kind, k in wanted]
    depth = None if None in cuts or ties == "average" else max(cuts, default=None)
    order = lists.order(key, last_first=ties == "reverse", depth=depth)
    ideal = None
    if any(kind == "ndcg" for kind, _ in wanted):
        ideal = _gain(lists.falling(grade, order.shape[-1]), exponential)
    lists = lists.cut(order.shape[-1])
    ranking = _Ranking(
        lists,
        key.gather(-1, order),
        _gain(grade.gather(-1, order), exponential),
        hit.gather(-1, order),
        expected=ties == "average",
    )
    values = []
    for kind, k in wanted:
        found = _measure(ranking, kind, math.inf if k is None else float(min(k, _DEEPEST)), relevant, ideal)
        values.append(torch.where(has_gain if kind in _GRADED else relevant > 0, found, empty))
    return values, bad


def roc_areas(
    scores: Tensor, labels: Tensor, weights: Tensor | None, indptr: Tensor | None, *, empty: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The area of each query, ``empty`` where there is weight for one class at most; which are bad, and which lack one.

    ``scores`` are (queries, n), or flat with ``indptr``; without weights the pairs are counted in integers.
    """
    lists = _Rows(*scores.shape, scores.device) if indptr is None else _Segments(indptr, len(scores))
    key, positive, weight, wrong = _labelled(scores, labels, weights)
    bad = lists.broken | lists.any(wrong)
    if not scores.numel():
        return bad.new_full(bad.shape, empty, dtype=torch.float64), bad, torch.ones_like(bad)
    mine = [torch.where(which, weight, 0) for which in (positive, ~positive)]
    if weights is not None:
        mine = [lists.scaled(side) for side in mine]
    order = lists.order(key)
    first, last = lists.ties(key.gather(-1, order))
    above, below = (side.gather(-1, order) for side in mine)
    running = lists.running(above)
    # a negative stands below the positives before its group, and half below those in it
    twice = lists.sum(below * (lists.before(running).gather(-1, first) + running.gather(-1, last)))
    total = 2.0 * lists.sum(mine[0]).double() * lists.sum(mine[1]).double()
    return torch.where(total > 0, (twice / total).clamp_max(1), empty), bad, total == 0


def pooled_precision(scores: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The area under the precision-recall curve of (1, n) scores; whether it is bad, and whether there is no positive."""
    lists = _Rows(*scores.shape, scores.device)
    key, positive, weight, wrong = _labelled(scores, labels, weights)
    bad = lists.any(wrong)
    if not scores.numel():
        return bad.new_full(bad.shape, math.nan, dtype=torch.float64), bad, torch.ones_like(bad)
    if weights is not None:
        weight = lists.scaled(weight)
    order = lists.order(key)
    _, last = lists.ties(key.gather(-1, order))
    weight = weight.gather(-1, order)
    mine = torch.where(positive.gather(-1, order), weight, 0)
    true, found = (lists.running(side).gather(-1, last).double() for side in (mine, weight))
    total = lists.sum(mine).double()
    steps = torch.where(mine > 0, mine * (true / found), 0.0)
    return lists.sum(steps) / total, bad, total == 0


def refused(bad: Tensor) -> bool:
    """Whether an entry is true, for whose sake the host waits; never, unless values on a GPU are checked."""
    return checks_gpu() and not torch.compiler.is_compiling() and bool(bad.any())


class _Rows:
    """Queries of equal length: the documents are a matrix, a query is a row."""

    def __init__(self, queries: int, documents: int, device: torch.device) -> None:
        self.index = self.rank = torch.arange(documents, device=device)
        self.broken = torch.zeros(queries, dtype=torch.bool, device=device)

    def cut(self, documents: int) -> "_Rows":
        return _Rows(len(self.broken), documents, self.broken.device)

    def of_each(self, value: Tensor) -> Tensor:
        """What is given for every query, for each of its documents."""
        return value[:, None]

    def sum(self, x: Tensor) -> Tensor:
        return x.sum(-1)

    def any(self, x: Tensor) -> Tensor:
        return x.any(-1)

    def scaled(self, x: Tensor) -> Tensor:
        """Weights over the largest of their query, so that no sum overflows."""
        return x / _or_one(x.amax(-1, keepdim=True))

    def running(self, x: Tensor) -> Tensor:
        """Sums over the documents of the query up to this one."""
        return x.cumsum(-1)

    def running_product(self, x: Tensor) -> Tensor:
        return x.cumprod(-1)

    def before(self, running: Tensor) -> Tensor:
        """Sums over the documents of the query before this one."""
        return torch.where(self.rank > 0, running.roll(1, -1), 0)

    def order(self, key: Tensor, *, last_first: bool = False, depth: int | None = None) -> Tensor:
        """Where the documents stand, the highest first, and among equals the first or the last; at least ``depth`` a row."""
        n = key.shape[-1]
        if depth is not None and depth * _SHALLOW <= n and key.dtype == torch.float32:
            own = self.rank if last_first else n - 1 - self.rank
            return ((_bits(key) << 32) | own).topk(depth, dim=-1).indices  # no two are equal
        if last_first:
            return n - 1 - key.flip(-1).sort(dim=-1, descending=True, stable=True).indices
        return key.sort(dim=-1, descending=True, stable=True).indices

    def falling(self, x: Tensor, depth: int) -> Tensor:
        """The ``depth`` largest of each row, in order."""
        if depth * _SHALLOW <= x.shape[-1]:
            return x.topk(depth, dim=-1).values
        return x.sort(dim=-1, descending=True).values[:, :depth]

    def ties(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Of sorted keys, for each: the indices of the first and the last that is equal."""
        new = (self.rank == 0) | (key != key.roll(1, -1))
        group = new.cumsum(-1)  # not cummax of the places, where one block of a GPU takes a whole row
        return torch.searchsorted(group, group), torch.searchsorted(group, group, right=True) - 1


class _Segments(_Rows):
    """Queries of any length, one behind the other."""

    def __init__(self, indptr: Tensor, total: int) -> None:
        self.index = torch.arange(total, device=indptr.device)
        whole = (indptr[0] == 0) & (indptr[-1] == total) & (indptr.diff() >= 0).all()
        self.broken = ~whole.expand(len(indptr) - 1)
        self.bounds = torch.where(whole, indptr, 0)  # what does not fit must not be read as places in memory
        self.query = (
            torch.searchsorted(self.bounds, self.index, right=True).sub_(1).clamp_max_(len(indptr) - 2)
        )
        self.start = self.bounds[self.query]
        self.rank = self.index - self.start

    def cut(self, documents: int) -> "_Segments":
        return self

    def of_each(self, value: Tensor) -> Tensor:
        return value[self.query]

    def sum(self, x: Tensor) -> Tensor:
        if not len(x):
            return x.new_zeros(len(self.broken), dtype=torch.float64)
        return torch.segment_reduce(x.double(), "sum", offsets=self.bounds, initial=0, unsafe=True)

    def any(self, x: Tensor) -> Tensor:
        return self.sum(x) > 0

    def scaled(self, x: Tensor) -> Tensor:
        largest = torch.segment_reduce(x, "max", offsets=self.bounds, initial=0, unsafe=True)
        return x / self.of_each(_or_one(largest))

    def running(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            return self._doubled(torch.add, x)
        total = x.cumsum(-1)
        return total - (total - x)[self.start]

    def running_product(self, x: Tensor) -> Tensor:
        return self._doubled(torch.mul, x)

    def _doubled(self, combine, x: Tensor) -> Tensor:
        """A running sum or product: each step joins stretches of a query twice as long; no query feels another one."""
        step = 1
        while step < len(x):
            x = torch.where(self.rank >= step, combine(x, x.roll(step)), x)
            step *= 2
        return x

    def order(self, key: Tensor, *, last_first: bool = False, depth: int | None = None) -> Tensor:
        if last_first:
            key, query = key.flip(-1), self.query.flip(-1)
        else:
            query = self.query
        if key.dtype == torch.float32:  # query and score in one integer
            place = ((query << 32) - _bits(key)).sort(stable=True).indices
        else:
            place = key.sort(descending=True, stable=True).indices
            place = place[query[place].sort(stable=True).indices]
        return len(key) - 1 - place if last_first else place

    def falling(self, x: Tensor, depth: int) -> Tensor:
        return x[self.order(x)]


class _Ranking:
    """Documents in rank order, and about each, in float64: where its group of equal scores starts (how many documents
    stand above), how large that is, how many of it are relevant, and how many relevant ones stand above it."""

    def __init__(self, lists: _Rows, key: Tensor, gain: Tensor, hit: Tensor, *, expected: bool) -> None:
        self.lists, self.gain, self.hit, self.expected = lists, gain, hit, expected
        self._counted: tuple[Tensor, Tensor] | None = None
        self.rank = lists.rank.double()
        self.ranked = key > -math.inf
        self.start, self.size = self.rank, torch.ones_like(self.rank)
        if expected:
            self.first, self.last = lists.ties(key)
            self.start = lists.rank.expand(key.shape).gather(-1, self.first).double()
            self.size = (self.last - self.first + 1).double()

    def _counts(self) -> tuple[Tensor, Tensor]:
        """Relevant documents in the group, and above it."""
        if self._counted is None:
            running = self.lists.running(self.hit.long())
            above = self.lists.before(running)
            if self.expected:
                running, above = running.gather(-1, self.last), above.gather(-1, self.first)
            self._counted = (running - above).double(), above.double()
        return self._counted

    def dcg(self, k: float) -> Tensor:
        gain = torch.where(self.ranked, self.gain, 0.0)
        if not self.expected:
            return self.lists.sum(_discounted(gain, self.rank, k))
        seen = (k - self.start).clamp_min(0).minimum(self.size)
        discount = _discount_sum(self.start.long(), (self.start + seen).long(), len(self.lists.index))
        single = _discounted(gain, self.start, k)
        return self.lists.sum(torch.where(self.size > 1, gain * (discount / self.size), single))

    def hits(self, k: float | Tensor) -> Tensor:
        """Relevant documents among the first k ranks; k may be one of each query."""
        depth = self.lists.of_each(k) if isinstance(k, Tensor) else k
        share = (depth - self.start).clamp_min(0).minimum(self.size) / self.size
        return self.lists.sum(torch.where(self.hit & self.ranked, share, 0.0))

    def precisions(self, k: float) -> Tensor:
        """The sum over relevant documents of the precision at their rank. At a rank within a group stands a relevant one
        with the share of these in it, and above that as much of the others."""
        inside, above = self._counts()
        more = (inside - 1).clamp_min(0) / (self.size - 1).clamp_min(1)
        term = inside / self.size * ((above + 1 + (self.rank - self.start) * more) / (self.rank + 1))
        return self.lists.sum(torch.where(self.ranked & (self.rank < k), term, 0.0))

    def first_relevant(self, k: float, *, reciprocal: bool) -> Tensor:
        """1, or 1 / rank, of the first relevant document; 0 beyond rank k."""
        inside, above = self._counts()
        group = self.ranked & (above == 0) & (inside > 0)  # the first with a relevant document
        left = self.size - (self.rank - self.start)  # from this rank to the group's end
        chance = inside / left
        if self.expected:  # nor has one come before
            others = (left + 1 - inside).clamp_min(0)  # below zero the product of many could overflow
            miss = torch.where(group & (self.rank > self.start), others / (left + 1), 1.0)
            chance = chance * self.lists.running_product(miss)
        if reciprocal:
            chance = chance / (self.rank + 1)
        total = self.lists.sum(torch.where(group & (self.rank < k), chance, 0.0))
        if reciprocal:
            return total
        return torch.where(self.lists.any(group & (self.start + self.size - inside < k)), 1.0, total)


def _measure(ranking: _Ranking, kind: str, k: float, relevant: Tensor, ideal: Tensor | None) -> Tensor:
    if kind == "dcg":
        return ranking.dcg(k)
    if kind == "ndcg":
        best = ranking.lists.sum(_discounted(ideal, ranking.rank, k))
        return (ranking.dcg(k) / best).clamp_max(1)
    if kind == "average_precision":
        return ranking.precisions(k) / relevant
    if kind in ("reciprocal_rank", "hit_rate"):
        return ranking.first_relevant(k, reciprocal=kind == "reciprocal_rank")
    if kind == "precision":
        return ranking.hits(k) / k
    return ranking.hits(relevant if kind == "r_precision" else k) / relevant


def _comparable(scores: Tensor) -> Tensor:
    """Scores as float32 or float64, exactly, without a negative zero, which sorts by bits would put below the other."""
    small = scores.dtype == torch.float32 or scores.dtype.itemsize <= 2
    key = scores.float() if small else scores.double()
    return torch.where(key == 0, 0.0, key)


def _inexact(scores: Tensor) -> Tensor:
    """Which integers are beyond those that float64 holds."""
    if scores.dtype not in (torch.int64, torch.uint64):
        return torch.zeros((), dtype=torch.bool, device=scores.device)
    if scores.dtype == torch.int64:
        return (scores > _EXACT_INTEGERS) | (scores < -_EXACT_INTEGERS)
    signed = scores.view(torch.int64)
    return (signed > _EXACT_INTEGERS) | (signed < 0)


def _bits(key: Tensor) -> Tensor:
    """float32 numbers as integers of 32 bits, in int64, in the same order."""
    bits = key.view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()


def _labelled(
    scores: Tensor, labels: Tensor, weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Comparable scores, which of them are positive, their weights (1 in integers without), and what is wrong."""
    key, value = _comparable(scores), labels.double()
    wrong = _inexact(scores) | key.isnan() | ((value != 0) & (value != 1))
    if weights is None:
        return key, value == 1, torch.ones_like(key, dtype=torch.int64), wrong
    weight = weights.double()
    right = (weight >= 0) & (weight < math.inf)
    return key, value == 1, torch.where(right, weight, 0.0), wrong | ~right


def _or_one(largest: Tensor) -> Tensor:
    return torch.where(largest > 0, largest, 1.0)


def _gain(grade: Tensor, exponential: bool) -> Tensor:
    """Relevance, or 2 ** relevance - 1 without the loss of digits near 0."""
    if not exponential:
        return grade
    return torch.where(grade < 1, torch.expm1(grade * math.log(2)), torch.exp2(grade) - 1)


def _discounted(gain: Tensor, rank: Tensor, k: float) -> Tensor:
    return torch.where(rank < k, gain * (1 / torch.log2(rank + 2)), 0.0)


def _discount_sum(start: Tensor, end: Tensor, longest: int) -> Tensor:
    """The sum of 1 / log2(rank + 1) over the ranks start + 1 ... end.

    Differences of sums over all ranks would lose digits on short stretches; so the sums are those within a block, and of
    the whole blocks between.
    """
    blocks = longest // _BLOCK + 1
    rank = torch.arange(blocks * _BLOCK, device=start.device, dtype=torch.float64)
    discount = (1 / torch.log2(rank + 2)).view(blocks, _BLOCK)
    inside = torch.nn.functional.pad(discount.cumsum(-1), (1, 0))  # (blocks, _BLOCK + 1)
    total = inside[:, -1]
    blocks_before = torch.nn.functional.pad(total.cumsum(0), (1, 0))
    from_block, to_block = start // _BLOCK, end // _BLOCK
    from_inside, to_inside = (inside.view(-1)[at + at // _BLOCK] for at in (start, end))
    rest = total[from_block] + (blocks_before[to_block] - blocks_before[from_block + 1])
    return to_inside - from_inside + torch.where(from_block < to_block, rest, 0.0)
