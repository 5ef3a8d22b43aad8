"""BM25 scores of queries against documents, by the package ``bm25s``."""

import warnings
from collections.abc import Sequence

import numpy as np

from corelib._checks import check_choice, check_positive, check_real

INSTALL = 'pip install "keeping-score[notebooks]"'


def bm25_scores(
    queries: Sequence[str],
    documents: Sequence[str],
    *,
    k1: float = 1.2,
    b: float = 0.75,
    stop_words: str | None = "en",
) -> np.ndarray:
    r"""BM25 of every document for every query, in the form that Lucene uses, without a stemmer.

    .. math:: \sum_{t\in q\cap d}\log\Big(1+\frac{m-m_t+1/2}{m_t+1/2}\Big)\,
       \frac{f_{td}}{f_{td}+k_1(1-b+b\,|d|/\overline{|d|})}

    over the words t of query q, with f the count in document d, m documents, m_t of them with t. Words are runs of at
    least two letters, digits or underscores, in lower case; a word that stands twice in a query counts twice.

    Parameters
    ----------
    queries : sequence of str, length n
        A query without a word of the documents scores 0 everywhere.
    documents : sequence of str, length m
        At least one of them must hold a word that is no stop word.
    k1 : float
        How soon repetitions stop counting, greater than 0.
    b : float
        How far long documents are held back, in [0, 1].
    stop_words : {"en", None}
        Which words are left out of both: a list of 33 English ones, or none.

    Returns
    -------
    numpy.ndarray of float32, shape (n, m)

    Raises
    ------
    ModuleNotFoundError
        If bm25s is missing.
    TypeError, ValueError
        If an argument has a wrong type or value, or no document holds a word.

    References
    ----------
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3.4. Kamphuis et al.,
    Which BM25 Do You Mean? (2020), for the variants. Lù, BM25S (2024).

    Examples
    --------
    >>> from corelib.data import bm25_scores
    >>> bm25_scores(["fuel of cars"], ["Fuel use of 32 cars.", "Heights of 31 cherry trees."]).round(2)
    array([[0.63, 0.  ]], dtype=float32)
    """
    try:
        # its progress bars, which are never shown, miss a widget in notebooks
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="IProgress not found")
            import bm25s
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"bm25_scores needs the package bm25s: {INSTALL}", name="bm25s") from error
    _check_texts(queries, "queries")
    _check_texts(documents, "documents")
    k1, b = check_positive(k1, "k1"), check_real(b, "b")
    if not 0 <= b <= 1:
        raise ValueError(f"b must be between 0 and 1; got {b}")
    if stop_words is not None:
        check_choice(stop_words, "stop_words", ["en"])

    def words(texts: Sequence[str]) -> list[list[str]]:
        return bm25s.tokenize(list(texts), stopwords=stop_words or [], return_ids=False, show_progress=False)

    document_words = words(documents)
    if not any(document_words):
        raise ValueError("documents must hold at least one word that is no stop word")
    index = bm25s.BM25(method="lucene", k1=k1, b=b)
    index.index(document_words, show_progress=False)
    scores = np.zeros((len(queries), len(documents)), dtype=np.float32)
    for row, query_words in zip(scores, words(queries), strict=True):
        if query_words:
            row[:] = index.get_scores(query_words)
    return scores


def _check_texts(texts: object, name: str) -> None:
    """Refuse what is no sequence of strings, a single string included."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise TypeError(f"{name} must be a sequence of str; got {type(texts).__name__}")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{i}] must be a str; got {type(text).__name__}")
