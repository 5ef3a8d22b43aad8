"""The texts of the R help corpus as numbered words, for language models."""

import re

import numpy as np

from corelib.data.rhelp import rhelp
from corelib.data.text_retrieval import OWN
from corelib.data.word_corpus import WordCorpus

_WORD = re.compile(r"[a-z]+", flags=re.ASCII)


def rhelp_words(size: int | None = 2000) -> WordCorpus:
    """The documents of ``rhelp`` as words in lower case: 1,982 texts, 188,893 words.

    A document is in the part of the queries that it answers, so that pages which describe the same data or link to each
    other are never on both sides of the split; the 149 documents that no query asks for are left out. Stands in for
    Penn Treebank or One Billion Word. Licence: see ``rhelp``.

    Parameters
    ----------
    size : int, optional
        Of the vocabulary with ``"<unk>"``, at least 2; None for every word of the training texts.

    Returns
    -------
    WordCorpus

    Raises
    ------
    ModuleNotFoundError, RuntimeError
        As ``rhelp``.
    TypeError, ValueError
        If ``size`` is not an integer of at least 2.

    Examples
    --------
    >>> from corelib.data import rhelp_words
    >>> corpus = rhelp_words()
    >>> len(corpus.vocabulary), corpus.vocabulary[1:6]
    (2000, ('the', 'of', 'a', 'in', 'data'))
    """
    pages = rhelp()
    words = [_WORD.findall(text.lower()) for text in pages.documents]
    own = pages.relevance == OWN
    parts = {
        part: [words[i] for i in np.flatnonzero(own[pages.rows(part)].any(axis=0))]
        for part in ("train", "dev", "test")
    }
    return WordCorpus.from_words("rhelp", **parts, size=size)
