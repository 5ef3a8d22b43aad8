"""InfoNCE in plain torch, strip by strip: for GPUs, and a readable twin of the compiled path."""

import torch
from torch import Tensor

from corelib.engines.info_nce_candidates import Candidates

Needs = tuple[bool, bool, bool]
Result = tuple[Tensor, Tensor, Tensor, Tensor]


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
    losses = candidates.queries.new_empty(n)
    gradients = candidates.no_gradients(*needs)
    for start, stop, strip in candidates.similarities(_leave_out_ids(candidates)):
        own = candidates.own[start:stop]
        losses[start:stop], scale = _rows(strip, own, temperature, beta, gamma, detach)
        if weight is not None:
            losses[start:stop] *= weight[start:stop]
            scale *= weight[start:stop]
        if any(needs):
            candidates.add_gradients(start, stop, strip, scale[:, None] / n, gradients)
    return losses.mean(), *gradients


def both_ways(candidates: Candidates, temperature: float, needs: Needs) -> Result:
    """The mean over both directions, query i and key i looking for each other, and its gradients."""
    queries = candidates.queries
    n = len(queries)
    losses = queries.new_empty(n)
    gradients = candidates.no_gradients(*needs)
    leave_out_ids = _leave_out_ids(candidates)
    column_lse = queries.new_full((n,), -torch.inf)
    for _, _, strip in candidates.similarities(leave_out_ids):
        column_lse = torch.logaddexp(column_lse, (strip[:, :n] / temperature).logsumexp(dim=0))
    scale = queries.new_full((n, 1), 0.5 / (n * temperature))
    for start, stop, strip in candidates.similarities(leave_out_ids):
        logits = strip.div_(temperature)
        own = candidates.own[start:stop, None]
        matched = logits.gather(1, own)[:, 0]
        row_lse = logits.logsumexp(dim=1)
        losses[start:stop] = 0.5 * ((row_lse - matched) + (column_lse[start:stop] - matched))
        if not any(needs):
            continue
        by_column = torch.exp(logits[:, :n] - column_lse)
        weights = logits.sub_(row_lse[:, None]).exp_()
        weights[:, :n] += by_column
        weights.scatter_add_(1, own, weights.new_full(own.shape, -2.0))
        candidates.add_gradients(start, stop, weights, scale[start:stop], gradients)
    return losses.mean(), *gradients


def _leave_out_ids(candidates: Candidates):
    key_ids, own = candidates.key_ids, candidates.own

    def leave_out(strip: Tensor, start: int, stop: int) -> None:
        twins = key_ids[own[start:stop], None] == key_ids
        twins.scatter_(1, own[start:stop, None], False)
        strip[:, : len(key_ids)].masked_fill_(twins, -torch.inf)

    return leave_out


def _rows(
    strip: Tensor, own: Tensor, temperature: float, beta: float, gamma: float, detach: bool
) -> tuple[Tensor, Tensor]:
    """Losses of the rows and the factor that makes what the strip becomes their derivatives."""
    target = own[:, None]
    matched = strip.gather(1, target)[:, 0]
    strip.scatter_(1, target, -torch.inf)
    left_out = strip == -torch.inf
    kept = strip.shape[1] - left_out.sum(1)
    steep = 1 / temperature + beta
    if steep < 0:  # the easiest negative counts most
        centre = strip.masked_fill(left_out, torch.inf).amin(1)
    else:
        centre = strip.amax(1)
    centre = torch.where(kept > 0, centre, 0)
    strip.sub_(centre[:, None])
    log_mean = 0.0
    if beta:
        log_mean = (beta * strip).masked_fill_(left_out, -torch.inf).logsumexp(1) - kept.to(strip.dtype).log()
    total = strip.mul_(steep).masked_fill_(left_out, -torch.inf).exp_().sum(1)
    gap = torch.where(kept > 0, (centre - matched) / temperature + total.log() - log_mean, -torch.inf)
    losses = torch.logaddexp(gap, torch.zeros_like(gap))
    missed = gap.sigmoid()  # one minus the probability of the own key
    derivative = missed
    if gamma:
        focus = torch.where(kept > 0, torch.exp(gamma * (gap - losses)), 0)
        derivative = focus * (missed if detach else missed + gamma * (1 - missed) * losses)
        losses = focus * losses
    strip.scatter_(1, target, -total[:, None])
    return losses, torch.where(kept > 0, derivative / (temperature * total), 0)
