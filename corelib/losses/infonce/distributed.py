"""InfoNCE over the batches of all processes of a ``torch.distributed`` group."""

import torch
import torch.distributed as dist
from torch import Tensor

from corelib._checks import check_bool, check_choice
from corelib._tensors import check_finite, check_temperature, number_of
from corelib._types import Scalar
from corelib.engines.route import first_derivative_only, outside_autocast
from corelib.losses.infonce.info_nce import check_info_nce, info_nce

_MUST_AGREE = ("columns", "dtype", "temperature", "symmetric", "key_ids", "gradient")
_HALF = (torch.float16, torch.bfloat16)


def distributed_info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: Scalar = 0.05,
    *,
    symmetric: bool = False,
    hard_negatives: Tensor | None = None,
    key_ids: Tensor | None = None,
    group: dist.ProcessGroup | None = None,
    gradient: str = "ddp",
) -> Tensor:
    r""":func:`info_nce` of the batch that all processes hold together: every key is a candidate of every query.

    All processes of the group must call it, each with its own part. The value is that of one process with the
    concatenated queries and keys, and so is, under DistributedDataParallel, the gradient of the parameters.

    Parameters
    ----------
    queries : Tensor, shape (n, d), float32 or float64
        The queries of this process; n may differ between processes, d and the dtype may not.
    keys : Tensor, shape (m, d), same dtype and device
        Row i is the key of query i of this process; rows beyond the n-th are further negatives of all queries.
    temperature, symmetric
        As in :func:`info_nce`, equal in all processes. A temperature that is learned gets its gradient as any other
        parameter does.
    hard_negatives : Tensor, shape (n, h, d), optional
        Negatives of single queries; they stay in their process.
    key_ids : Tensor, shape (m,), integer, optional
        What each key is, as in :func:`info_nce`; ids mean the same in all processes, and all or none give them.
    group : ProcessGroup, optional
        The processes; by default all.
    gradient : {"ddp", "sum"}
        What processes do with the parameters' gradients, equal in all of them. "ddp": they take the mean, as
        DistributedDataParallel does, so the gradients are those of the loss times the number of processes, and
        ``loss.backward()`` is all there is to do. "sum": they add them up, so the gradients are those of the loss.

    Returns
    -------
    Tensor, 0-dimensional
        The mean over all queries of the group: the same number in every process.

    Raises
    ------
    RuntimeError
        If ``torch.distributed`` is not initialised, or this process is not in ``group``.
    TypeError, ValueError
        As :func:`info_nce`; also if the processes disagree on d, the dtype, ``temperature``, ``symmetric``,
        ``gradient`` or whether there are ``key_ids``. All processes raise, whichever was wrong, so that none waits for ever.

    Notes
    -----
    Each process' embeddings get their part of the gradient of one common loss, so the parameters' gradient is the sum
    over processes of what their embeddings pass on. DistributedDataParallel divides that sum by the number of processes,
    which "ddp" makes up for.

    The processes speak in the forward pass only: keys are gathered, their gradients added up, d numbers for each key
    (twice that if symmetric). Memory :math:`O(Md)` for M keys in the group, time :math:`O(nMd)` for each process.

    Examples
    --------
    A group of one process, which anybody can run:

    >>> import tempfile, torch
    >>> import torch.distributed as dist
    >>> from corelib.losses import distributed_info_nce
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=0, world_size=1)
    ...     print(f"{distributed_info_nce(torch.eye(2), torch.eye(2), 0.5).item():.4f}")
    ...     dist.destroy_process_group()
    0.1269
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "torch.distributed is not initialised: call torch.distributed.init_process_group first, "
            "or info_nce for a single process"
        )
    if dist.get_rank(group) < 0:
        raise RuntimeError("this process is not in group")
    with outside_autocast(queries):
        return _loss(queries, keys, temperature, symmetric, hard_negatives, key_ids, group, gradient)


def _loss(queries, keys, temperature, symmetric, hard_negatives, key_ids, group, gradient) -> Tensor:
    own_error, told = None, {}
    queries, keys, hard_negatives = (
        value.float() if isinstance(value, Tensor) and value.dtype in _HALF else value
        for value in (queries, keys, hard_negatives)
    )
    try:
        _, key_ids = check_info_nce(queries, keys, None, hard_negatives, key_ids, None)
        temperature = check_temperature(temperature, queries.dtype)
        told = {
            "rows": (len(queries), len(keys)),
            "columns": queries.shape[1],
            "dtype": str(queries.dtype).removeprefix("torch."),
            "temperature": number_of(temperature),
            "symmetric": check_bool(symmetric, "symmetric"),
            "key_ids": key_ids is not None,
            "gradient": check_choice(gradient, "gradient", ("ddp", "sum")),
            "grad": torch.is_grad_enabled()
            and any(
                isinstance(value, Tensor) and value.requires_grad
                for value in (queries, keys, hard_negatives, temperature)
            ),
        }
        for value, name in ((queries, "queries"), (keys, "keys"), (hard_negatives, "hard_negatives")):
            if value is not None:
                check_finite(value, name)
    except (TypeError, ValueError) as error:
        own_error, told = error, {"error": str(error)}
    everybody = _agree(own_error, told, group)
    return _GlobalLoss.apply(queries / temperature, keys, hard_negatives, key_ids, everybody, group)


def _agree(own_error: Exception | None, told: dict, group) -> list[dict]:
    """What every process told; an error in all of them if it does not fit together."""
    everybody: list = [None] * dist.get_world_size(group)
    dist.all_gather_object(everybody, told, group=group)
    if own_error is not None:
        raise own_error
    for rank, other in enumerate(everybody):
        if "error" in other:
            raise ValueError(f"rank {rank} of the group refused its arguments: {other['error']}")
    for name in _MUST_AGREE:
        values = [other[name] for other in everybody]
        if len(set(values)) > 1:
            what = "the number of columns of queries and keys" if name == "columns" else name
            raise ValueError(
                f"all ranks must agree on {what}; got {', '.join(map(str, values))} on ranks 0, 1, ..."
            )
    return everybody


class _GlobalLoss(torch.autograd.Function):
    """The loss of the whole group for queries in temperatures, and in the forward pass already the gradients of this process' part."""

    @staticmethod
    def forward(ctx, queries, keys, hard_negatives, key_ids, everybody, group):
        rank = dist.get_rank(group)
        rows = [other["rows"] for other in everybody]
        total = sum(n for n, _ in rows)
        n = len(queries)
        symmetric = everybody[rank]["symmetric"]
        ctx.factor = len(rows) if everybody[rank]["gradient"] == "ddp" else 1
        all_keys = _gather(keys, [m for _, m in rows], group)
        all_ids = None if key_ids is None else _gather(key_ids, [m for _, m in rows], group)
        leaves = [queries.detach(), all_keys, None if hard_negatives is None else hard_negatives.detach()]
        first_key = sum(m for _, m in rows[:rank])
        own = first_key + torch.arange(n, device=queries.device)
        if symmetric:
            all_queries = _gather(queries, [n for n, _ in rows], group)
            starts = [sum(m for _, m in rows[:r]) for r in range(len(rows))]
            query_ids = None
            if all_ids is not None:
                query_ids = torch.cat(
                    [all_ids[start : start + count] for start, (count, _) in zip(starts, rows, strict=True)]
                )
            leaves += [keys.detach()[:n], all_queries]
            first_query = sum(n for n, _ in rows[:rank])
            back = first_query + torch.arange(n, device=queries.device)
        need = any(other["grad"] for other in everybody)
        leaves = [leaf if leaf is None else leaf.requires_grad_(need) for leaf in leaves]
        own_error, loss = None, queries.new_zeros(())
        with torch.set_grad_enabled(need):
            try:
                loss = info_nce(*leaves[:2], 1.0, labels=own, hard_negatives=leaves[2], key_ids=all_ids)
                if symmetric:
                    loss = 0.5 * (loss + info_nce(*leaves[3:], 1.0, labels=back, key_ids=query_ids))
                loss = loss * (n / total)
            except ValueError as error:  # an exponent overflows
                own_error = error
        value = _sum_of_all(loss, own_error, group)
        if need:
            used = [leaf for leaf in leaves if leaf is not None]
            gradients = iter(torch.autograd.grad(loss, used))
            grad_queries, grad_keys, grad_hard, *way_back = (
                leaf if leaf is None else next(gradients) for leaf in leaves
            )
            dist.all_reduce(grad_keys, group=group)
            grad_keys = grad_keys[first_key : first_key + len(keys)].clone()
            if symmetric:
                grad_own_keys, grad_all_queries = way_back
                dist.all_reduce(grad_all_queries, group=group)
                grad_keys[:n] += grad_own_keys
                grad_queries = grad_queries + grad_all_queries[first_query : first_query + n]
            ctx.save_for_backward(grad_queries, grad_keys, *(() if grad_hard is None else (grad_hard,)))
        return value.to(queries.dtype)

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        gradients = [*ctx.saved_tensors, None][:3]
        needs = ctx.needs_input_grad[:3]
        scale = ctx.factor * upstream
        return *(scale * g if needed else None for g, needed in zip(gradients, needs, strict=True)), *(
            None,
        ) * 3


def _sum_of_all(loss: Tensor, own_error: Exception | None, group) -> Tensor:
    """The sum of the processes' parts in float64; an error in all of them if one could not compute its part."""
    told = torch.stack(
        [loss.detach().double(), loss.new_full((), own_error is not None, dtype=torch.float64)]
    )
    dist.all_reduce(told, group=group)
    if own_error is not None:
        raise own_error
    if told[1]:
        raise ValueError("another rank of the group could not compute its part: an exponent overflows there")
    return told[0]


def _gather(rows: Tensor, counts: list[int], group) -> Tensor:
    """The rows of all processes, in their order; ``counts`` says how many each has."""
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
