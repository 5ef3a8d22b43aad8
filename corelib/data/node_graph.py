"""A graph whose nodes have features and a class each: what every graph of the book is."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from corelib._checks import check_int


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeGraph:
    """An undirected graph whose nodes have features and a class each.

    Attributes
    ----------
    features : numpy.ndarray of float64, shape (n, d)
        One row per node.
    edges : numpy.ndarray of int64, shape (2, m)
        Each edge once, as a column with the smaller node first; columns are sorted, no node is joined to itself.
    labels : numpy.ndarray of int64, shape (n,)
        The class of each node: an index into ``names``.
    names : tuple of str
        The names of the classes.
    """

    features: np.ndarray
    edges: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def from_pairs(
        cls, features: np.ndarray, pairs: np.ndarray, labels: np.ndarray, names: tuple[str, ...]
    ) -> Self:
        """Join nodes by pairs in any order; repeated pairs and pairs of a node with itself are dropped.

        Parameters
        ----------
        features, labels, names
            As the attributes.
        pairs : numpy.ndarray of int64, shape (2, any)
            Two nodes a column.

        Returns
        -------
        NodeGraph

        Raises
        ------
        ValueError
            If shapes disagree, or a node lies outside 0..n - 1.

        Examples
        --------
        >>> import numpy as np
        >>> from corelib.data import NodeGraph
        >>> pairs = np.array([[1, 0, 2], [0, 1, 2]])
        >>> NodeGraph.from_pairs(np.zeros((3, 2)), pairs, np.zeros(3, int), ("a",)).edges
        array([[0],
               [1]])
        """
        if features.ndim != 2 or labels.shape != features.shape[:1]:
            raise ValueError(
                f"features and labels must have shapes (n, d) and (n,); got {features.shape} and {labels.shape}"
            )
        if pairs.ndim != 2 or len(pairs) != 2:
            raise ValueError(f"pairs must have shape (2, any); got {pairs.shape}")
        n = len(features)
        if pairs.size and not 0 <= pairs.min() <= pairs.max() < n:
            raise ValueError(f"pairs must lie in 0..{n - 1}; got {pairs.min()}..{pairs.max()}")
        low, high = pairs.min(axis=0), pairs.max(axis=0)
        codes = np.unique((low * n + high)[low < high])
        return cls(features=features, edges=np.stack(divmod(codes, n)), labels=labels, names=names)

    @classmethod
    def nearest_neighbours(
        cls, features: np.ndarray, labels: np.ndarray, names: tuple[str, ...], *, neighbours: int = 6
    ) -> Self:
        """Join each node to the ones with the nearest features; an edge if either is among the other's nearest.

        Parameters
        ----------
        features, labels, names
            As the attributes.
        neighbours : int
            How many each node chooses, 1 to n - 1. Of equally near nodes the first ones are chosen.

        Returns
        -------
        NodeGraph

        Raises
        ------
        TypeError, ValueError
            If ``neighbours`` is not an integer in its range, or shapes disagree.

        Notes
        -----
        O(n^2 (d + log n)) time and O(n^2) memory: for graphs of a few thousand nodes.

        Examples
        --------
        >>> import numpy as np
        >>> from corelib.data import NodeGraph
        >>> line = np.array([[0.0], [1.0], [5.0]])
        >>> NodeGraph.nearest_neighbours(line, np.zeros(3, int), ("a",), neighbours=1).edges
        array([[0, 1],
               [1, 2]])
        """
        n = len(features)
        if check_int(neighbours, "neighbours", minimum=1) >= n:
            raise ValueError(f"neighbours must be at most {n - 1}, the other nodes; got {neighbours}")
        norms = (features**2).sum(axis=1)
        distances = norms[:, None] + norms - 2 * features @ features.T
        np.fill_diagonal(distances, np.inf)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :neighbours]
        pairs = np.stack([np.repeat(np.arange(n), neighbours), nearest.ravel()])
        return cls.from_pairs(features, pairs, labels, names)

    def part(self, nodes: np.ndarray) -> Self:
        """Some of the nodes, in that order, with the edges among them.

        Parameters
        ----------
        nodes : numpy.ndarray of int64, shape (k,)
            All different.

        Returns
        -------
        NodeGraph

        Examples
        --------
        >>> import numpy as np
        >>> from corelib.data import digit_graph
        >>> graph = digit_graph(np.arange(100))
        >>> part = graph.part(np.arange(99, -1, -1))
        >>> len(part), part.edges.shape == graph.edges.shape, int(part.labels[0]) == int(graph.labels[99])
        (100, True, True)
        """
        number = np.full(len(self), -1)
        number[nodes] = np.arange(len(nodes))
        pairs = number[self.edges]
        return self.from_pairs(
            self.features[nodes], pairs[:, (pairs >= 0).all(axis=0)], self.labels[nodes], self.names
        )

    def non_edges(self, seed: int) -> np.ndarray:
        """As many pairs of different nodes as there are edges, drawn at random from those that are not joined.

        Parameters
        ----------
        seed : int
            Of ``numpy.random.default_rng``, at least 0.

        Returns
        -------
        numpy.ndarray of int64, shape (2, m)
            In the form of ``edges``: each pair once.

        Raises
        ------
        TypeError, ValueError
            If ``seed`` is not an integer of at least 0, or more than half of all pairs are joined.

        Examples
        --------
        >>> import numpy as np
        >>> from corelib.data import digit_graph
        >>> graph = digit_graph(np.arange(100))
        >>> graph.non_edges(0).shape == graph.edges.shape
        True
        """
        rng = np.random.default_rng(check_int(seed, "seed", minimum=0))
        n, m = len(self), self.edges.shape[1]
        if 2 * m > n * (n - 1) // 2:
            raise ValueError(f"at most half of all pairs may be joined; got {m} of {n * (n - 1) // 2}")
        taken = self.edges[0] * n + self.edges[1]
        chosen = np.empty(0, dtype=np.int64)
        while len(chosen) < m:
            low, high = np.sort(rng.integers(n, size=(2, 2 * m)), axis=0)
            codes = (low * n + high)[low < high]
            drawn = np.concatenate([chosen, codes[~np.isin(codes, taken)]])
            chosen = drawn[np.sort(np.unique(drawn, return_index=True)[1])]  # in the order of drawing
        return np.stack(divmod(np.sort(chosen[:m]), n))
