"""Cora: papers on machine learning that cite each other, the full-scale graph of the chapter on shifted graphs."""

import tarfile
from pathlib import Path

import numpy as np

from corelib._checks import check_bool
from corelib.data._download import fetch
from corelib.data.node_graph import NodeGraph

URL = "https://linqs-data.soe.ucsc.edu/public/lbc/cora.tgz"
PAPERS = 2708


def cora(folder: str | Path = "data", *, download: bool = False) -> NodeGraph:
    """Cora: 2,708 papers of seven fields of machine learning; an edge where one cites the other.

    P. Sen et al., *Collective Classification in Network Data*, AI Magazine 29(3), 2008, in the text format of its authors
    (``cora.content``, ``cora.cites``). They name no licence; it is used in research everywhere.

    Parameters
    ----------
    folder : str or Path
        Where ``cora`` lies, as its archive unpacks, or where to put it.
    download : bool
        Whether to fetch the archive (under 1 MB) if it is not there.

    Returns
    -------
    NodeGraph
        Features: which of 1,433 words occur, each row divided by their number (what the GCN literature calls row
        normalisation). Nodes in the order of the file, classes in alphabetical order.

    Raises
    ------
    FileNotFoundError
        If the set is not in ``folder`` and ``download`` is False.
    TypeError, ValueError
        If ``download`` is no bool, or a file is not in the format of the set or not complete.

    Examples
    --------
    >>> from corelib.data import cora
    >>> graph = cora("data", download=True)  # doctest: +SKIP
    >>> graph.features.shape, len(graph.names)  # doctest: +SKIP
    ((2708, 1433), 7)
    """
    check_bool(download, "download")
    root = Path(folder) / "cora"
    if not ((root / "cora.content").is_file() and (root / "cora.cites").is_file()):
        if not download:
            raise FileNotFoundError(f"no cora in {Path(folder)}; pass download=True to fetch it (under 1 MB)")
        _download(Path(folder))
    graph = _read(root)
    if len(graph) != PAPERS:
        raise ValueError(
            f"{root / 'cora.content'} must hold {PAPERS} papers; got {len(graph)}: delete it and try again"
        )
    return graph


def _read(root: Path) -> NodeGraph:
    rows = [
        line.split()
        for line in (root / "cora.content").read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    for number, row in enumerate(rows, 1):
        if len(row) < 3 or len(row) != len(rows[0]) or set(row[1:-1]) - {"0", "1"}:
            raise ValueError(
                f"{root / 'cora.content'}, row {number}: must be a paper, as many zeros and ones as in row 1, and a class"
            )
    words = np.array([row[1:-1] for row in rows], dtype=np.float64)
    names = sorted({row[-1] for row in rows})
    labels = np.array([names.index(row[-1]) for row in rows], dtype=np.int64)
    number_of = {row[0]: number for number, row in enumerate(rows)}
    pairs = []
    for number, line in enumerate((root / "cora.cites").read_text(encoding="utf-8").splitlines(), 1):
        papers = line.split()
        if len(papers) != 2 or not number_of.keys() >= set(papers):
            raise ValueError(
                f"{root / 'cora.cites'}, line {number}: must be two papers of cora.content; got {line!r}"
            )
        pairs.append([number_of[paper] for paper in papers])
    features = words / np.maximum(words.sum(axis=1, keepdims=True), 1)
    return NodeGraph.from_pairs(
        features, np.array(pairs, dtype=np.int64).reshape(-1, 2).T, labels, tuple(names)
    )


def _download(folder: Path) -> None:
    archive = fetch(URL, folder / "cora.tgz")
    try:
        with tarfile.open(archive, "r:gz") as content:
            content.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{archive} is damaged ({error}): delete it and try again") from error
