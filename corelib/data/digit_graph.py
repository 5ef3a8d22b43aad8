"""Handwritten digits as the nodes of a graph, offline."""

import functools

import numpy as np

from corelib.data.node_graph import NodeGraph


def digit_graph(rows: np.ndarray, *, neighbours: int = 6) -> NodeGraph:
    """Some of the 1,797 digits of scikit-learn, each joined to those that look most like it.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine Learning Repository, CC BY 4.0.
    It stands in for the citation and co-purchase graphs of the literature (Cora, Amazon-Photo).

    Parameters
    ----------
    rows : numpy.ndarray of int64, shape (n,)
        Which digits, 0 to 1,796.
    neighbours : int
        How many each node chooses, 1 to n - 1; see :meth:`NodeGraph.nearest_neighbours`.

    Returns
    -------
    NodeGraph
        Features: the 64 pixels from 0 (paper) to 1 (ink), in steps of 1/16.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError, ValueError
        If ``rows`` are no integers of that range, or ``neighbours`` is not an integer in its range.

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.data import digit_graph
    >>> graph = digit_graph(np.arange(200))
    >>> graph.features.shape, graph.edges.shape
    ((200, 64), (2, 777))
    """
    pixels, labels = _digits()
    rows = np.asarray(rows)
    if rows.dtype.kind != "i" or rows.ndim != 1:
        raise TypeError(
            f"rows must be a 1-dimensional array of integers; got {rows.ndim}-dimensional {rows.dtype}"
        )
    if rows.size and not 0 <= rows.min() <= rows.max() < len(pixels):
        raise ValueError(f"rows must lie in 0..{len(pixels) - 1}; got {rows.min()}..{rows.max()}")
    names = tuple("0123456789")
    return NodeGraph.nearest_neighbours(
        pixels[rows] / 16, labels[rows].astype(np.int64), names, neighbours=neighbours
    )


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)
