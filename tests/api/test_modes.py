"""Every public function of tensors under every mode of torch: the right numbers, or an error, never a silent change."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest
import torch
from public import CALLS, ELSEWHERE, call, name_of
from torch import Tensor

from corelib import losses, metrics, ratings, score, search

FUNCTIONS = [
    f for f in CALLS if f.__module__.startswith(("corelib.losses", "corelib.score", "corelib.search"))
]
WITHOUT_GRADIENT = {  # by their docstrings: scores, weights and indices to choose by
    losses.el2n_scores, losses.multi_similarity_miner, losses.pair_weights, search.hard_negatives, search.top_inner_products,
}  # fmt: skip
CONSTANTS = {
    losses.click_loss: ["propensity"],
    losses.list_kl_loss: ["teacher"],
    losses.mann_whitney_loss: ["pos_weight", "neg_weight"],
    losses.pairwise_click_loss: ["propensity"],
    losses.pairwise_exponential_loss: ["pos_weight", "neg_weight"],
    losses.pairwise_hinge_loss: ["pos_weight", "neg_weight"],
    losses.pairwise_squared_hinge_loss: ["pos_weight", "neg_weight"],
    losses.preference_loss: ["reference_margin"],
    losses.squared_click_loss: ["propensity"],
    losses.thurstone_fidelity_loss: ["mean", "sd", "predicted_sd"],
    losses.weighted_info_nce: ["weight"],
    score.empirical_log_density: ["data", "weights"],
    score.empirical_score: ["data", "weights"],
}
DIFFERENTIABLE = [f for f in FUNCTIONS if f not in WITHOUT_GRADIENT]
over_halves = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)


def over(functions):
    return pytest.mark.parametrize("function", functions, ids=name_of)


def float_names(function) -> list[str]:
    return [n for n, v in CALLS[function].items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]


def learnable(function) -> list[str]:
    """The arguments that get a gradient."""
    return [n for n in float_names(function) if n not in CONSTANTS.get(function, ())]


def tensors(function, dtype=torch.float64) -> dict:
    """The ordinary arguments as tensors."""
    kwargs = {n: torch.tensor(v) if isinstance(v, np.ndarray) else v for n, v in CALLS[function].items()}
    return kwargs | {n: kwargs[n].to(dtype) for n in float_names(function)}


def parts(result) -> list[Tensor]:
    """All tensors of a result."""
    if isinstance(result, Tensor):
        return [result]
    return [part for value in result for part in parts(value)] if isinstance(result, tuple) else []


def weighted(result) -> Tensor:
    """One number of a result that depends on all that has a gradient in it."""
    total = torch.zeros((), dtype=torch.float64)
    for part in parts(result):
        if part.requires_grad:
            total = total + part.double().flatten() @ torch.linspace(
                0.5, 1.5, part.numel(), dtype=torch.float64
            )
    return total


def run(function, kwargs, call=None) -> tuple[list[Tensor], list[Tensor]]:
    """The result and the gradients of its weighted sum in everything learnable."""
    names = [] if function in WITHOUT_GRADIENT else learnable(function)
    leaves = {n: kwargs[n].clone().requires_grad_() for n in names}
    result = (call or function)(**kwargs | leaves)
    gradients = torch.autograd.grad(weighted(result), list(leaves.values())) if names else ()
    return [part.detach() for part in parts(result)], list(gradients)


def assert_same(got, expected, **tolerance) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, **tolerance or dict(rtol=1e-6, atol=1e-7), equal_nan=True)


def test_the_table_is_complete():
    public = [getattr(m, n) for m in (losses, metrics, ratings, score, search) for n in m.__all__]
    missing = (
        {f.__name__ for f in public if inspect.isfunction(f)} - {f.__name__ for f in CALLS} - set(ELSEWHERE)
    )
    assert not missing


@over(FUNCTIONS)
def test_no_gradient_is_lost(function):
    """Each argument of floats gets a gradient or refuses to require one."""
    kwargs = tensors(function)
    for name in float_names(function):
        given = kwargs | {name: kwargs[name].clone().requires_grad_()}
        if name in CONSTANTS.get(function, ()):
            with pytest.raises(ValueError, match=f"{name} must not require a gradient"):
                function(**given)
        else:
            has_gradient = any(part.requires_grad for part in parts(function(**given)))
            assert has_gradient == (function not in WITHOUT_GRADIENT)


@over(FUNCTIONS)
@over_halves
def test_autocast_changes_nothing(function, half):
    kwargs = tensors(function, torch.float32)
    expected = run(function, kwargs)
    with torch.autocast("cpu", dtype=half):
        got = run(function, kwargs)
    for a, b in zip(got, expected, strict=True):
        assert_same(a, b)


@over(FUNCTIONS)
@over_halves
def test_half_precision_is_computed_in_single(function, half):
    rounded = tensors(function, half)
    single = rounded | {n: rounded[n].float() for n in float_names(function)}
    (values, gradients), (expected, expected_gradients) = run(function, rounded), run(function, single)
    assert_same(values, expected)
    assert all(gradient.dtype == half for gradient in gradients)
    eps = torch.finfo(half).eps
    assert_same([g.float() for g in gradients], expected_gradients, rtol=eps, atol=eps)


@over(FUNCTIONS)
def test_views_that_torch_negates_when_they_are_read(function):
    kwargs = tensors(function)
    lazy = kwargs | {n: torch.complex(kwargs[n], -kwargs[n]).conj().imag for n in float_names(function)}
    assert all(lazy[n].is_neg() for n in float_names(function))
    assert_same(*(parts(function(**given)) for given in (lazy, kwargs)), rtol=0, atol=0)


@over(FUNCTIONS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(function, mode):
    expected, _ = run(function, tensors(function))
    with mode():
        got = parts(function(**tensors(function)))
    assert not any(part.requires_grad for part in got)
    assert_same(got, expected)


@over(DIFFERENTIABLE)
def test_second_derivatives_are_right_or_refused(function):
    """A gradient penalty against the finite differences of what it is made of."""
    kwargs = tensors(function)
    names = learnable(function)
    generator = torch.Generator().manual_seed(0)
    step = {n: torch.randn(kwargs[n].shape, dtype=torch.float64, generator=generator) for n in names}
    if "eigenvectors" in names:  # orthonormal columns are demanded
        names.remove("eigenvectors")
    for name in names:
        if name.startswith("covariance"):
            step[name] = step[name] + step[name].T

    def penalised(shift: float, create_graph: bool) -> tuple[Tensor, list[Tensor]]:
        leaves = {n: (kwargs[n] + shift * step[n]).requires_grad_() for n in names}
        loss = weighted(function(**kwargs | leaves))
        gradients = torch.autograd.grad(loss, list(leaves.values()), create_graph=create_graph)
        return loss + 10 * sum(g.square().sum() for g in gradients), list(leaves.values())

    total, leaves = penalised(0.0, True)
    try:
        total.backward()
    except NotImplementedError as error:
        assert "second derivative" in str(error)
        return
    h = 1e-5
    expected = (penalised(h, False)[0] - penalised(-h, False)[0]).item() / (2 * h)
    got = sum((leaf.grad * step[n]).sum().item() for leaf, n in zip(leaves, names, strict=True))
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-6)


SEVERAL_GRAPHS = {
    **dict.fromkeys(
        [
            losses.class_means, losses.icnn_score, losses.mixed_pair_loss, losses.ordered_contrast_loss,
            losses.ordered_hinge_loss, losses.pair_based_loss, losses.pairwise_click_loss, losses.proto_triplet_loss,
            losses.thurstone_fidelity_loss, score.empirical_log_density, score.empirical_score, score.mixture_log_density,
            score.mixture_score,
        ],
        "the shapes of intermediate results depend on values",
    ),
    losses.icnn_loss: "the search for neighbours is not traced",
    losses.multi_similarity_miner: "the number of pairs depends on values",
    losses.pair_weights: "autograd inside of the graph",
    losses.pairwise_exponential_loss: "looks at the sums of the weights",
    score.explained_variance: "looks at a sum",
    score.frechet_distance: "looks at eigenvalues",
    search.hard_negatives: "looks at norms",
    search.top_inner_products: "looks at norms",
}  # fmt: skip


@over([f for f in FUNCTIONS if f not in SEVERAL_GRAPHS])
def test_compiled_as_one_graph(function):
    assert_compiled_is_the_same(function, fullgraph=True)


@pytest.mark.parametrize(
    "function", [losses.icnn_loss, losses.ordered_contrast_loss, losses.pairwise_click_loss], ids=name_of
)
def test_compiled_in_pieces(function):
    """Some of those that cannot be one graph; each takes seconds."""
    assert_compiled_is_the_same(function, fullgraph=False)


def assert_compiled_is_the_same(function, fullgraph: bool) -> None:
    expected = run(function, tensors(function))
    torch._dynamo.reset()
    got = run(function, tensors(function), torch.compile(function, backend="eager", fullgraph=fullgraph))
    for a, b in zip(got, expected, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_traced_graph_still_refuses_bad_values(backend):
    """With a RuntimeError: the graph cannot count what is wrong."""
    torch._dynamo.reset()
    compiled = torch.compile(losses.preference_loss, backend=backend, fullgraph=True)
    assert compiled(torch.ones(3)) == losses.preference_loss(torch.ones(3))
    with pytest.raises(RuntimeError, match="margin must be finite"):
        compiled(torch.tensor([1.0, math.nan, 0.0]))


NOTHING_TO_COMPARE = {
    losses.approx_ndcg: dict(relevance=np.zeros(6)),
    losses.list_kl_loss: dict(mask=np.zeros((3, 4), dtype=bool)),
    losses.mann_whitney_loss: dict(
        pos=np.zeros(0), pos_weight=np.zeros(0), pos_indptr=np.zeros(3, dtype=int)
    ),
    losses.ordered_contrast_loss: dict(rank=np.zeros(6, dtype=int)),
    losses.pairwise_click_loss: dict(clicks=np.zeros((6, 3))),
    losses.pairwise_hinge_loss: dict(
        pos=np.zeros(0), pos_weight=np.zeros(0), pos_indptr=np.zeros(3, dtype=int)
    ),
    losses.set_contrast_loss: dict(pos=np.zeros(0), pos_indptr=np.zeros(3, dtype=int)),
    losses.smooth_ap: dict(relevance=np.zeros(6)),
    losses.thurstone_fidelity_loss: dict(groups=np.arange(6)),
    losses.triplet_loss: dict(labels=np.arange(6)),
}


@over(NOTHING_TO_COMPARE)
def test_a_batch_with_nothing_to_compare_has_loss_zero(function):
    changes = {name: torch.from_numpy(value) for name, value in NOTHING_TO_COMPARE[function].items()}
    values, gradients = run(function, tensors(function) | changes)
    assert [value.item() for value in values] == [0.0]
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("function", [f for f, kwargs in CALLS.items() if "indptr" in kwargs], ids=name_of)
def test_empty_groups_among_others(function):
    """They change nothing about the others; their own loss is 0."""
    kwargs = CALLS[function] | dict(indptr=np.array([0, 0, 2, 2, 6, 6]))
    if "reduction" not in inspect.signature(function).parameters:
        np.testing.assert_array_equal(function(**kwargs), function(**CALLS[function]))
        return
    with_empty = function(**kwargs, reduction="none")
    np.testing.assert_allclose(with_empty[[1, 3]], function(**CALLS[function], reduction="none"), rtol=1e-14)
    assert not with_empty[[0, 2, 4]].any()


ROWS = [
    f
    for f in DIFFERENTIABLE
    if any(CALLS[f][name].ndim == 2 for name in learnable(f))
    and f is not score.frechet_distance  # whose rows are no points
]


@over(ROWS)
def test_a_zero_row_has_a_gradient_of_ordinary_size(function):
    """Not 1e11: finite, so that a gradient scaler would not notice."""
    kwargs = tensors(function, torch.float32)
    name = next(name for name in learnable(function) if kwargs[name].ndim == 2)
    kwargs[name][0] = 0
    _, gradients = run(function, kwargs)
    bound = (
        1 / losses.ZLoss().epsilon if function is losses.spherical_loss else 1e3
    )  # a z-score by its definition
    assert all(gradient.abs().max() < bound for gradient in gradients)


WITH_INTEGERS = [
    f
    for f, kwargs in CALLS.items()
    if any(isinstance(v, np.ndarray) and v.dtype.kind == "i" for v in kwargs.values())
]


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.uint16])
@over(WITH_INTEGERS)
def test_integers_of_any_width(function, dtype):
    integers = {
        n: v.astype(dtype)
        for n, v in CALLS[function].items()
        if isinstance(v, np.ndarray) and v.dtype.kind == "i"
    }
    np.testing.assert_array_equal(call(function, CALLS[function] | integers), call(function, CALLS[function]))


MODULES = {
    "InfoNCELoss": lambda module: module(tensors(losses.info_nce)["queries"], tensors(losses.info_nce)["keys"]),
    "MannWhitneyLoss": lambda module: module(torch.arange(3.0), torch.arange(2.0)),
    "MultiSimilarityLoss": lambda module: module(*(tensors(losses.multi_similarity_loss)[n] for n in ("embeddings", "labels"))),
    "SphericalLinear": lambda module: module(torch.ones(2, 4, dtype=torch.float64), torch.tensor([0, 2])),
    **dict.fromkeys(
        ["BinomialDeviancePairs", "ContrastivePairs", "LiftedStructurePairs", "MultiSimilarityPairs", "TripletPairs"],
        lambda loss: losses.pair_based_loss(**tensors(losses.pair_based_loss) | dict(loss=loss)),
    ),
    **dict.fromkeys(
        ["SphericalSoftmaxLoss", "SquaredErrorLoss", "TaylorSoftmaxLoss", "ZLoss"],
        lambda loss: losses.spherical_loss(**tensors(losses.spherical_loss) | dict(loss=loss)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["deepcopy", "pickle"]
)
def test_modules_are_copied_and_pickled(name, again):
    module = getattr(losses, name)(*((4, 5) if name == "SphericalLinear" else ()))
    assert torch.equal(MODULES[name](again(module)), MODULES[name](module))


def test_every_class_of_losses_is_copied():
    classes = {
        n
        for n in losses.__all__
        if inspect.isclass(getattr(losses, n)) and not inspect.isabstract(getattr(losses, n))
    }
    assert classes == set(MODULES)


@over(FUNCTIONS)
@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("temprature", "temperature"), ("tau", "temperature"), ("target", "labels"), ("reductoin", "reduction")],
)
def test_an_unknown_keyword_gets_a_hint(function, wrong, meant):
    known = inspect.signature(function).parameters
    if wrong in known:
        pytest.skip("known")
    hint = f"did you mean {meant}" if meant in known else "did you mean |it takes "
    with pytest.raises(TypeError, match=f"{function.__name__} has no argument {wrong}; ({hint})"):
        function(**CALLS[function] | {wrong: 1.0})


@pytest.mark.parametrize(
    "function", [f for f in CALLS if f.__module__.startswith("corelib.metrics")], ids=name_of
)
def test_metrics_read_tensors_of_every_kind(function):
    """Values alone: of bfloat16, of what requires a gradient, inside autocast and inference mode."""
    floats = [n for n, v in CALLS[function].items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    rounded = {n: torch.tensor(CALLS[function][n]).bfloat16() for n in floats}
    expected = call(function, CALLS[function] | {n: v.float().numpy() for n, v in rounded.items()})
    leaves = {n: v.requires_grad_() for n, v in rounded.items()}
    np.testing.assert_array_equal(call(function, CALLS[function] | leaves), expected)
    with torch.autocast("cpu"), torch.inference_mode():
        np.testing.assert_array_equal(call(function, CALLS[function] | leaves), expected)
