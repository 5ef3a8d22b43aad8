"""SQuAD as a retrieval task: what a chapter's full scale puts in the place of the R help pages."""

import hashlib
from collections.abc import Iterable

import numpy as np

from corelib._checks import check_int
from corelib.data.text_retrieval import OWN, TextRetrieval

DEV_PERCENT = 25


def squad(*, train_paragraphs: int = 4000) -> TextRetrieval:
    """Questions of SQuAD 1.1 as queries, its paragraphs as documents; downloaded from Hugging Face at the first call.

    Rajpurkar et al., *SQuAD: 100,000+ Questions for Machine Comprehension of Text* (2016), CC BY-SA 4.0. The same return
    type as ``rhelp``, but a question has one right paragraph and no related ones: other paragraphs that answer it are
    not known.

    Parameters
    ----------
    train_paragraphs : int
        Paragraphs (with all their questions) from the training set, chosen by a hash; all if there are no more than
        that. Grades are a dense matrix of (questions, paragraphs) bytes: about 180 MB at the default.

    Returns
    -------
    TextRetrieval
        Part "train" from SQuAD's training set; "dev" and "test" from its validation set, a quarter and three quarters
        of the articles.

    Raises
    ------
    ModuleNotFoundError
        If the package ``datasets`` is missing.
    TypeError, ValueError
        If ``train_paragraphs`` is not an integer of at least 1.

    Examples
    --------
    >>> from corelib.data import squad
    >>> data = squad(train_paragraphs=1000)  # doctest: +SKIP
    """
    check_int(train_paragraphs, "train_paragraphs", minimum=1)
    try:
        from datasets import load_dataset
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("SQuAD is loaded by the package datasets: pip install datasets") from error
    train = _first_paragraphs(load_dataset("rajpurkar/squad", split="train"), train_paragraphs)
    validation = list(load_dataset("rajpurkar/squad", split="validation"))
    rows = [*train, *validation]
    paragraphs = list(dict.fromkeys(row["context"] for row in rows))
    column = {paragraph: i for i, paragraph in enumerate(paragraphs)}
    relevance = np.zeros((len(rows), len(paragraphs)), dtype=np.int8)
    relevance[np.arange(len(rows)), [column[row["context"]] for row in rows]] = OWN
    return TextRetrieval(
        name="squad",
        document_ids=tuple(f"paragraph-{i}" for i in range(len(paragraphs))),
        documents=tuple(paragraphs),
        query_ids=tuple(row["id"] for row in rows),
        queries=tuple(row["question"] for row in rows),
        relevance=relevance,
        split=np.array(["train"] * len(train) + [_part(row["title"]) for row in validation]),
    )


def _first_paragraphs(rows: Iterable[dict], count: int) -> list[dict]:
    """The rows of the ``count`` paragraphs with the smallest hash."""
    rows = list(rows)
    chosen = set(sorted({row["context"] for row in rows}, key=_number)[:count])
    return [row for row in rows if row["context"] in chosen]


def _part(title: str) -> str:
    return "dev" if _number(title) % 100 < DEV_PERCENT else "test"


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
