"""WikiText-103: what the full scale of a language-model chapter puts in the place of the R help pages."""

import re
from collections.abc import Iterable

from corelib._checks import check_int
from corelib.data.word_corpus import WordCorpus

_TITLE = re.compile(r" = [^=].* = \n?")


def wikitext103(size: int | None = None, *, articles: int | None = 4000) -> WordCorpus:
    """Good and featured articles of Wikipedia as numbered words; downloaded from Hugging Face at the first call.

    Merity et al., *Pointer Sentinel Mixture Models* (2016), CC BY-SA 3.0 and GFDL. The same return type as
    ``rhelp_words``; words as the set's word-level version separates them, with capitals and punctuation.

    Parameters
    ----------
    size : int, optional
        Of the vocabulary with ``"<unk>"``, at least 2; by default every word of the training texts.
    articles : int, optional
        The first so many training articles; None for all of them (103 million words).

    Returns
    -------
    WordCorpus
        One text for each article; parts as the set has them.

    Raises
    ------
    ModuleNotFoundError
        If the package ``datasets`` is missing.
    TypeError, ValueError
        If ``size`` is not an integer of at least 2, or ``articles`` not one of at least 1.

    Examples
    --------
    >>> from corelib.data import wikitext103
    >>> corpus = wikitext103(articles=1000)  # doctest: +SKIP
    """
    articles = None if articles is None else check_int(articles, "articles", minimum=1)
    try:
        from datasets import load_dataset
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "WikiText-103 is loaded by the package datasets: pip install datasets"
        ) from error

    def texts(split: str, limit: int | None = None) -> list[list[str]]:
        rows = load_dataset("Salesforce/wikitext", "wikitext-103-v1", split=split)
        return _articles((row["text"] for row in rows), limit)

    return WordCorpus.from_words(
        "wikitext103", train=texts("train", articles), dev=texts("validation"), test=texts("test"), size=size
    )


def _articles(lines: Iterable[str], limit: int | None) -> list[list[str]]:
    """The words of the first ``limit`` articles; an article starts with its title between single signs of equality."""
    found: list[list[str]] = []
    for line in lines:
        if _TITLE.fullmatch(line):
            if len(found) == limit:
                break
            found.append([])
        if found:
            found[-1] += line.split()
    return found
