"""InfoNCE over two gloo processes against one process with the concatenated batch."""

import subprocess
import sys

import pytest
import torch

from corelib.losses import distributed_info_nce, info_nce

WORKER = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
import corelib
from corelib.losses import distributed_info_nce

folder, rank, implementation = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
corelib.set_backend(implementation)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
cases, results = torch.load(f"{folder}/cases.pt"), {}
for name, (parts, options) in cases.items():
    leaves = {key: value.requires_grad_() if value.is_floating_point() else value for key, value in parts[rank].items()}
    loss = distributed_info_nce(**leaves, temperature=0.3, **options)
    loss.backward()
    results[name] = loss.detach(), {key: value.grad for key, value in leaves.items() if value.is_floating_point()}

torch.manual_seed(rank)
model = DistributedDataParallel(torch.nn.Linear(4, 3, bias=False).double())
torch.manual_seed(5 + rank)
x, y = torch.randn(4, 4).double(), torch.randn(4, 4).double()
q, k = model(torch.cat([x, y])).chunk(2)
distributed_info_nce(q, k, 0.3).backward()
results["ddp"] = x, y, model.module.weight.detach(), model.module.weight.grad


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.log_tau = torch.nn.Linear(4, 3).double(), torch.nn.Parameter(torch.tensor(-1.0))

    def forward(self, x):
        return self.linear(x), self.log_tau.exp()


torch.manual_seed(0)
model = DistributedDataParallel(Model())
z, tau = model(torch.cat([x, y]))
distributed_info_nce(*z.chunk(2), tau, symmetric=True).backward()
results["learned"] = x, y, model.module.log_tau.grad, model.module.linear.weight.grad

q = torch.eye(3, requires_grad=True)
distributed_info_nce(q, q, gradient="sum").backward()
results["sum"] = q.grad.clone()
q.grad = None
half = q.detach().bfloat16().requires_grad_()
with torch.autocast("cpu", dtype=torch.bfloat16):
    loss = distributed_info_nce(half, half, gradient="sum")
    loss.backward()
results["half"] = loss.detach(), half.grad
(g,) = torch.autograd.grad(distributed_info_nce(q, q), q, create_graph=True)
try:
    g.square().sum().backward()
except NotImplementedError as error:
    results["second"] = str(error)

q = torch.eye(3)
refused = {
    "columns": (dict(queries=q[:, : 2 + rank], keys=q[:, : 2 + rank]), {}),
    "dtype": (dict(queries=q.to([torch.float32, torch.float64][rank]), keys=q.to([torch.float32, torch.float64][rank])), {}),
    "temperature": (dict(queries=q, keys=q), dict(temperature=0.1 + rank)),
    "key_ids": (dict(queries=q, keys=q, key_ids=torch.arange(3) if rank else None), {}),
    "gradient": (dict(queries=q, keys=q), dict(gradient=["ddp", "sum"][rank])),
    "exponent": (dict(queries=q * [1e37, 1.0][rank], keys=q), {}),
    "other": (dict(queries=q / rank if rank == 0 else q, keys=q), {}),
}
for name, (tensors, options) in refused.items():
    try:
        distributed_info_nce(**tensors, **options)
    except (TypeError, ValueError) as error:
        results["refused " + name] = str(error)
torch.save(results, f"{folder}/result{rank}.pt")
dist.barrier()
dist.destroy_process_group()
"""


def part(n, m, seed, *, hard=0, ids=False):
    generator = torch.Generator().manual_seed(seed)
    made = {
        name: torch.nn.functional.normalize(
            torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1
        )
        for name, shape in (("queries", (n, 5)), ("keys", (m, 5)), ("hard_negatives", (n, hard, 5)))
        if 0 not in shape
    }
    return made | ({"key_ids": torch.randint(6, (m,), generator=generator)} if ids else {})


CASES = {
    "equal parts": ([part(6, 6, 0), part(6, 6, 1)], {}),
    "unequal parts and further keys": ([part(3, 5, 2), part(8, 8, 3)], {}),
    "ids and hard negatives": ([part(5, 7, 4, hard=2, ids=True), part(4, 4, 5, hard=2, ids=True)], {}),
    "symmetric": ([part(3, 6, 6, hard=2, ids=True), part(7, 7, 7, hard=2, ids=True)], {"symmetric": True}),
}


@pytest.fixture(scope="module", params=["compiled", "torch"])
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    torch.save(CASES, folder / "cases.pt")
    command = [sys.executable, "-W", "error", "-c", WORKER, str(folder)]
    workers = [
        subprocess.Popen([*command, str(rank), request.param], stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    try:
        errors = [worker.communicate(timeout=60)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], errors
    return [torch.load(folder / f"result{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_are_those_of_one_process(results, name):
    parts, options = CASES[name]
    whole = {key: torch.cat([p[key].detach() for p in parts]) for key in parts[0]}
    leaves = {key: value.requires_grad_() for key, value in whole.items() if value.is_floating_point()}
    counts = [(len(p["queries"]), len(p["keys"])) for p in parts]
    (n0, m0), (n1, _) = counts
    own = torch.cat([torch.arange(n0), m0 + torch.arange(n1)])
    hard, ids = leaves.get("hard_negatives"), whole.get("key_ids")
    forth = info_nce(leaves["queries"], leaves["keys"], 0.3, labels=own, hard_negatives=hard, key_ids=ids)
    if options:
        back_ids = None if ids is None else ids[own]
        expected = (forth + info_nce(leaves["keys"][own], leaves["queries"], 0.3, key_ids=back_ids)) / 2
    else:
        expected = forth
    (2 * expected).backward()
    for result, rank in zip(results, (0, 1), strict=True):
        loss, gradients = result[name]
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=0)
        for key, gradient in gradients.items():
            rows = counts[0][key == "keys"]
            reference = leaves[key].grad[:rows] if rank == 0 else leaves[key].grad[rows:]
            torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-14)


def test_the_gradient_under_ddp_is_that_of_one_process(results):
    xs, ys, weights, gradients = zip(*(result["ddp"] for result in results), strict=True)
    weight = weights[0].clone().requires_grad_()
    assert torch.equal(weights[0], weights[1])
    info_nce(torch.cat(xs) @ weight.T, torch.cat(ys) @ weight.T, 0.3).backward()
    for gradient in gradients:
        torch.testing.assert_close(gradient, weight.grad, rtol=1e-10, atol=1e-14)


def test_a_temperature_is_learned_under_ddp(results):
    xs, ys, temperatures, weights = zip(*(result["learned"] for result in results), strict=True)
    torch.manual_seed(0)
    linear, log_tau = torch.nn.Linear(4, 3).double(), torch.tensor(-1.0, requires_grad=True)
    info_nce(linear(torch.cat(xs)), linear(torch.cat(ys)), log_tau.exp(), symmetric=True).backward()
    for of_temperature, of_weight in zip(temperatures, weights, strict=True):
        torch.testing.assert_close(of_temperature, log_tau.grad)
        torch.testing.assert_close(of_weight, linear.weight.grad, rtol=1e-7, atol=1e-9)


def test_the_gradient_for_a_sum_over_processes(results):
    whole = torch.eye(3).repeat(2, 1).requires_grad_()
    loss = info_nce(whole, whole)
    loss.backward()
    for result in results:
        torch.testing.assert_close(result["sum"], whole.grad[:3])
        value, gradient = result["half"]
        assert value.dtype == torch.float32 and gradient.dtype == torch.bfloat16
        torch.testing.assert_close(value, loss.detach())
        torch.testing.assert_close(gradient, whole.grad[:3].bfloat16())


def test_no_second_derivative(results):
    assert all("no second derivative" in result["second"] for result in results)


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("columns", ["all ranks must agree on the number of columns of queries and keys; got 2, 3"] * 2),
        ("dtype", ["all ranks must agree on dtype; got float32, float64"] * 2),
        ("temperature", ["all ranks must agree on temperature; got 0.1, 1.1"] * 2),
        ("key_ids", ["all ranks must agree on key_ids; got False, True"] * 2),
        ("gradient", ["all ranks must agree on gradient; got ddp, sum"] * 2),
        (
            "exponent",
            ["queries and keys must be small enough", "another rank of the group could not compute its part"],
        ),
        (
            "other",
            ["queries must be finite", "rank 0 of the group refused its arguments: queries must be finite"],
        ),
    ],
)
def test_every_process_refuses(results, name, messages):
    for result, message in zip(results, messages, strict=True):
        assert result["refused " + name].startswith(message)


def test_refuses_without_a_group():
    with pytest.raises(
        RuntimeError, match="torch.distributed is not initialised: call .*init_process_group first"
    ):
        distributed_info_nce(torch.eye(2), torch.eye(2))
