"""Public retrieval sets with training queries: what a chapter's full scale puts in the place of the shared corpora."""

import numpy as np

from corelib._checks import check_choice
from corelib.data.text_retrieval import OWN, TextRetrieval

NAMES = ("fiqa", "nfcorpus", "scifact")
DEV_EVERY = 5
"""A set without validation queries gives every fifth training query to "dev"."""


def beir(name: str) -> TextRetrieval:
    """A set of the BEIR benchmark as queries, documents and grades; downloaded from Hugging Face at the first call.

    The same return type as ``seealso``. Thakur et al., *BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of
    Information Retrieval Models* (arXiv 2104.08663).

    ========  =======  =========  ============================================================================
    name      queries  documents  what
    ========  =======  =========  ============================================================================
    fiqa      6,648    57,638     questions and answers about finance; few answers a question (WWW 2018)
    nfcorpus  3,237    3,633      medical questions and articles, one to several hundred a question (ECIR 2016)
    scifact   1,109    5,183      scientific claims and abstracts (EMNLP 2020)
    ========  =======  =========  ============================================================================

    Parameters
    ----------
    name : {"fiqa", "nfcorpus", "scifact"}

    Returns
    -------
    TextRetrieval
        A query's documents of the highest grade count as its own (grade 3), others keep their grade 1 or 2. Grades
        are a dense matrix of bytes: 380 MB for fiqa. Where a set has no validation queries, every fifth training query
        is "dev".

    Raises
    ------
    ModuleNotFoundError
        If the package ``datasets`` is missing.
    OSError
        If the set cannot be downloaded and was not downloaded before.
    ValueError
        If there is no such set.

    Notes
    -----
    Licences: each set keeps that of its authors; NFCorpus and FiQA are for research, SciFact is CC BY-NC 2.0. Do not
    publish the texts. The copies are those of the MTEB benchmark.

    Examples
    --------
    >>> from corelib.data import beir
    >>> data = beir("nfcorpus")  # doctest: +SKIP
    """
    check_choice(name, "name", NAMES)
    try:
        from datasets import get_dataset_split_names, load_dataset
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("BEIR is loaded by the package datasets: pip install datasets") from error
    try:
        documents = list(load_dataset(f"mteb/{name}", "corpus", split="corpus"))
        texts = {row["_id"]: row["text"] for row in load_dataset(f"mteb/{name}", "queries", split="queries")}
        judged = {
            part: list(load_dataset(f"mteb/{name}", "default", split=part))
            for part in get_dataset_split_names(f"mteb/{name}", "default")
        }
    except OSError as error:
        raise OSError(
            f"BEIR's {name} could not be loaded: it needs the internet once, then it is kept by datasets ({error})"
        ) from error
    column = {row["_id"]: i for i, row in enumerate(documents)}
    grades: dict[tuple[str, str], dict[int, int]] = {}
    for part, rows in judged.items():
        for row in rows:
            query, document, grade = str(row["query-id"]), str(row["corpus-id"]), int(row["score"])
            if grade > 0 and query in texts and document in column:
                grades.setdefault((part, query), {})[column[document]] = grade
    relevance = np.zeros((len(grades), len(documents)), dtype=np.int8)
    for row, found in zip(relevance, grades.values(), strict=True):
        highest = max(found.values())
        row[list(found)] = [OWN if grade == highest else min(grade, OWN - 1) for grade in found.values()]
    return TextRetrieval(
        name=name,
        document_ids=tuple(column),
        documents=tuple(f"{row['title']} {row['text']}".strip() for row in documents),
        query_ids=tuple(query for _, query in grades),
        queries=tuple(texts[query] for _, query in grades),
        relevance=relevance,
        split=_split([part for part, _ in grades]),
    )


def _split(parts: list[str]) -> np.ndarray:
    split = np.array(parts, dtype="<U5")
    if "dev" not in parts:
        split[np.flatnonzero(split == "train")[::DEV_EVERY]] = "dev"
    return split
