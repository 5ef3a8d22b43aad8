"""Graphs with labelled nodes: the digits byte for byte, neighbours against scikit-learn, Cora in its own text format."""

import hashlib
import sys
import tarfile

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from corelib.data import NodeGraph, cora, digit_graph
from corelib.data.cora import _read

DIGITS_SHA256 = "24468f56de6eb76e9bd9c3b99402ca15796a43b17fc6c87fdcd00730c97b7a97"


@pytest.fixture(scope="module")
def digits():
    return digit_graph(np.arange(0, 1797, 6))


def test_the_digit_graph_is_the_one_that_the_book_was_measured_on(digits):
    digest = hashlib.sha256(
        digits.features.tobytes() + digits.edges.tobytes() + digits.labels.tobytes()
    ).hexdigest()
    assert digest == DIGITS_SHA256
    assert digits.features.dtype == np.float64 and digits.edges.dtype == digits.labels.dtype == np.int64


def test_nodes_are_joined_to_their_nearest_ones():
    points = np.random.default_rng(0).normal(size=(80, 3))
    nearest = NearestNeighbors(n_neighbors=4).fit(points).kneighbors(return_distance=False)
    expected = {(min(i, j), max(i, j)) for i, row in enumerate(nearest.tolist()) for j in row}
    graph = NodeGraph.nearest_neighbours(points, np.zeros(80, int), ("a",), neighbours=4)
    assert list(zip(*graph.edges.tolist())) == sorted(expected)


def test_of_equally_near_nodes_the_first_are_chosen():
    graph = NodeGraph.nearest_neighbours(np.zeros((4, 2)), np.zeros(4, int), ("a",), neighbours=1)
    assert graph.edges.tolist() == [[0, 0, 0], [1, 2, 3]]


def test_pairs_become_edges_once_and_without_loops():
    pairs = np.array([[2, 1, 0, 3], [0, 1, 2, 1]])
    graph = NodeGraph.from_pairs(np.zeros((4, 1)), pairs, np.zeros(4, int), ("a",))
    assert graph.edges.tolist() == [[0, 1], [2, 3]]


def test_a_part_keeps_the_edges_among_its_nodes(digits):
    nodes = np.random.default_rng(1).permutation(len(digits))[:50]
    part = digits.part(nodes)
    joined = {frozenset(edge) for edge in digits.edges.T.tolist()}
    expected = {
        (i, j)
        for i in range(50)
        for j in range(i + 1, 50)
        if frozenset((int(nodes[i]), int(nodes[j]))) in joined
    }
    assert set(zip(*part.edges.tolist())) == expected
    np.testing.assert_array_equal(part.features, digits.features[nodes])
    np.testing.assert_array_equal(part.labels, digits.labels[nodes])


@pytest.mark.parametrize("seed", [0, 1])
def test_non_edges_are_as_many_pairs_that_are_not_joined(digits, seed):
    pairs = digits.non_edges(seed)
    drawn, joined = set(zip(*pairs.tolist())), set(zip(*digits.edges.tolist()))
    assert len(drawn) == digits.edges.shape[1] and not drawn & joined
    assert (pairs[0] < pairs[1]).all() and pairs.max() < len(digits) and pairs.dtype == np.int64
    np.testing.assert_array_equal(pairs, digits.non_edges(seed))


def test_non_edges_are_drawn_evenly():
    """In a path of five nodes there are six; each should be drawn in 4 of 6 cases."""
    path = NodeGraph.from_pairs(
        np.zeros((5, 1)), np.array([[0, 1, 2, 3], [1, 2, 3, 4]]), np.zeros(5, int), ("a",)
    )
    counts = np.zeros((5, 5))
    for seed in range(600):
        counts[tuple(path.non_edges(seed))] += 1
    free = counts[counts > 0]
    assert len(free) == 6 and np.abs(free / 600 - 4 / 6).max() < 0.1


CONTENT = "31336\t0\t1\t1\tNeural_Networks\n35\t0\t0\t0\tTheory\n40\t1\t0\t0\tCase_Based\n"
CITES = "35\t40\n40\t35\n35\t31336\n40\t40\n"


@pytest.fixture
def papers(tmp_path):
    (tmp_path / "cora").mkdir()
    (tmp_path / "cora" / "cora.content").write_text(CONTENT)
    (tmp_path / "cora" / "cora.cites").write_text(CITES)
    return tmp_path


@pytest.fixture
def three_papers(monkeypatch):
    monkeypatch.setattr(sys.modules["corelib.data.cora"], "PAPERS", 3)


def test_cora_in_its_own_format(papers, three_papers):
    graph = cora(papers)
    assert type(graph) is type(digit_graph(np.arange(10)))
    np.testing.assert_array_equal(graph.features, [[0, 0.5, 0.5], [0, 0, 0], [1, 0, 0]])
    assert graph.names == ("Case_Based", "Neural_Networks", "Theory")
    assert graph.labels.tolist() == [1, 2, 0]
    assert graph.edges.tolist() == [[0, 1], [1, 2]]


def test_cora_is_unpacked_after_a_download(papers, tmp_path_factory, monkeypatch, three_papers):
    def fetch(url, path):
        assert url.endswith("/cora.tgz")
        with tarfile.open(path, "w:gz") as archive:
            archive.add(papers / "cora", "cora")

    monkeypatch.setattr("urllib.request.urlretrieve", fetch)
    assert len(cora(tmp_path_factory.mktemp("new") / "data", download=True)) == 3


def test_a_damaged_archive_says_what_to_do(tmp_path):
    (tmp_path / "cora.tgz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="damaged .* delete it"):
        cora(tmp_path, download=True)


def test_a_missing_set_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="download=True"):
        cora(tmp_path)


def test_an_incomplete_set_is_refused(papers):
    with pytest.raises(ValueError, match="2708 papers; got 3"):
        cora(papers)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("cora.content", "1 0 1 A\n2 0 B\n", r"cora.content, row 2"),
        ("cora.content", "1 0 2 A\n", r"cora.content, row 1"),
        ("cora.content", "1 A\n", r"cora.content, row 1"),
        ("cora.cites", "35 40\n35 99\n", r"cora.cites, line 2.*35 99"),
        ("cora.cites", "35\n", r"cora.cites, line 1"),
    ],
)
def test_a_wrong_line_is_named(papers, file, text, message):
    (papers / "cora" / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        _read(papers / "cora")


POINTS, LABELS = np.eye(3), np.zeros(3, int)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: digit_graph(np.array([0.0, 1.0])),
            TypeError,
            "rows must be a 1-dimensional array of integers",
        ),
        (lambda: digit_graph(np.arange(4).reshape(2, 2)), TypeError, "rows must be a 1-dimensional"),
        (lambda: digit_graph(np.array([0, 1797])), ValueError, r"rows must lie in 0..1796; got 0..1797"),
        (lambda: digit_graph(np.arange(5)), ValueError, "neighbours must be at most 4"),
        (lambda: digit_graph(np.arange(5), neighbours=1.0), TypeError, "neighbours must be an integer"),
        (
            lambda: NodeGraph.from_pairs(POINTS, np.array([[0], [3]]), LABELS, ("a",)),
            ValueError,
            "pairs must lie in 0..2",
        ),
        (
            lambda: NodeGraph.from_pairs(POINTS, np.array([0, 1]), LABELS, ("a",)),
            ValueError,
            "pairs must have shape",
        ),
        (
            lambda: NodeGraph.from_pairs(POINTS, np.array([[0], [1]]), LABELS[:2], ("a",)),
            ValueError,
            "features and labels",
        ),
        (
            lambda: NodeGraph.from_pairs(POINTS, np.array([[0, 1], [1, 2]]), LABELS, ("a",)).non_edges(0),
            ValueError,
            "half",
        ),
        (lambda: digit_graph(np.arange(20)).non_edges(-1), ValueError, "seed must be at least 0"),
        (lambda: cora(download=1), TypeError, "download must be True or False"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
