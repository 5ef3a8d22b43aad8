"""One training step of an output layer with very many classes."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from benchmarks.case import Case, Peer, Work
from corelib import losses

FEATURES, BATCH, LEARNING_RATE = 512, 200, 0.1


def vocabulary(full: bool) -> dict:
    classes, features = (793_471, FEATURES) if full else (1000, 64)
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.empty(classes, features).normal_(0, features**-0.5, generator=generator),
        "hidden": torch.randn(BATCH, features, generator=generator, requires_grad=True),
        "targets": torch.randint(0, classes, (BATCH,), generator=generator),
    }


def spherical(data: dict) -> Work:
    weight, hidden, targets = data.values()
    classes, features = weight.shape
    layer = losses.SphericalLinear(features, classes, weight=weight, dtype=torch.float32)

    def work():
        hidden.grad = None
        loss = layer(hidden, targets)
        loss.backward()
        layer.step(LEARNING_RATE)
        return [loss.item(), hidden.grad.norm().item()]

    return work


def fewer_classes(data: dict) -> Work:
    return spherical(
        data
        | {"weight": data["weight"][:20_000], "targets": data["targets"] % min(20_000, len(data["weight"]))}
    )


def dense(loss_of: Callable) -> Callable[[dict], Work]:
    def prepare(data: dict) -> Work:
        weight, hidden, targets = data.values()
        layer = torch.nn.Linear(weight.shape[1], len(weight), bias=False, device="meta")
        layer.weight = torch.nn.Parameter(weight.clone())
        optimiser = torch.optim.SGD(layer.parameters(), lr=LEARNING_RATE)

        def work():
            hidden.grad = None
            optimiser.zero_grad()
            loss = loss_of(layer(hidden), targets)
            loss.backward()
            optimiser.step()
            return [loss.item(), hidden.grad.norm().item()]

        return work

    return prepare


def dense_z_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    deviation, mean = torch.std_mean(outputs, dim=1, correction=0)
    return F.softplus((mean - outputs.gather(1, targets[:, None])[:, 0]) / deviation).mean()


CASES = (
    Case(
        "spherical-linear",
        "Training step of an output layer, Z-loss",
        "793,471 classes x 512, batch of 200, float32",
        vocabulary,
        spherical,
        (
            Peer(
                "nn.Linear, the same loss in torch, SGD",
                dense(dense_z_loss),
                150,
                tolerance=1e-3,
                reason="The dense step fetches or writes 1.6 GB of weights in each of its three parts, and 0.6 GB of outputs "
                "for every operation of the loss; the prediction counted the products alone.",
            ),
            Peer(
                "nn.Linear, cross entropy, SGD (another loss)",
                dense(F.cross_entropy),
                150,
                yardstick=True,
                reason="As above, with fewer operations in the loss.",
            ),
            Peer(
                "the library itself with 20,000 classes",
                fewer_classes,
                0.9,
                yardstick=True,
                reason="The same work on either: timed side by side without the dense layers between, whose passes over "
                "gigabytes disturb what is timed after them, the two differ by 3 %.",
            ),
        ),
        rounds=3,
    ),
)
