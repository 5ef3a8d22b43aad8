"""The pairwise losses in plain torch: tiles of rows, never the full matrix of pairs."""

import torch

TILE = 1 << 22  # pairs held at once


def mann_whitney(
    pos: torch.Tensor,
    neg: torch.Tensor,
    pos_weight: torch.Tensor,
    neg_weight: torch.Tensor,
    temperature: float,
    need_pos: bool,
    need_neg: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weighted mean of softplus((neg - pos) / temperature) and its gradients, in float64.

    The weights are float64 and sum to 1 on each side; a gradient that is not needed comes back empty.
    """
    value = pos_weight.new_zeros(())
    grad_pos = torch.empty_like(pos_weight) if need_pos else pos_weight.new_empty(0)
    grad_neg = torch.zeros_like(neg_weight) if need_neg else neg_weight.new_empty(0)
    y = neg.double()
    rows = max(1, TILE // len(neg))
    for start in range(0, len(pos), rows):
        tile = slice(start, start + rows)
        weight = pos_weight[tile]
        z = (y - pos[tile].double()[:, None]) / temperature
        value -= weight @ (torch.nn.functional.logsigmoid(-z) @ neg_weight)
        if need_pos or need_neg:
            slope = torch.sigmoid(z)
            if need_pos:
                grad_pos[tile] = -(weight / temperature) * (slope @ neg_weight)
            if need_neg:
                grad_neg += weight @ slope
    return value, grad_pos, grad_neg * (neg_weight / temperature) if need_neg else grad_neg
