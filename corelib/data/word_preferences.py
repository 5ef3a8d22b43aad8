"""Words that ten people rated, and preferences between two of them: the small preference set of the book.

The ratings are the sentiment lexicon of the package vaderSentiment, a text file that is read without importing the
package.
"""

import ast
import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corelib._checks import check_int
from corelib.data.preference_pairs import PreferencePairs

LEXICON_SHA256 = "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5"
INSTALL = "pip install vaderSentiment==3.3.2"
LEAST_AGREEMENT = 0.6
DEV_PERCENT = 20

_WORD = re.compile(r"[a-z]{3,14}")


@dataclass(frozen=True, kw_only=True, eq=False)
class RatedWords:
    """Words with the ratings of ten people each.

    Attributes
    ----------
    words : tuple of str
    ratings : numpy.ndarray of int64, shape (n, 10)
        From -4 (most negative) to 4 (most positive). The raters of a word are anonymous: a column is no person.
    """

    words: tuple[str, ...]
    ratings: np.ndarray

    def __len__(self) -> int:
        return len(self.words)


def rated_words() -> RatedWords:
    """The 7,027 lower-case words of 3 to 14 letters of VADER's sentiment lexicon, each rated by ten people.

    Hutto and Gilbert, *VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text* (2014), MIT
    licence. Five words stand there twice; the first counts. Some words are insults: show words that you picked, not random
    ones.

    Returns
    -------
    RatedWords

    Raises
    ------
    ModuleNotFoundError
        If the package vaderSentiment is missing.
    RuntimeError
        If the installed package holds another lexicon than that of version 3.3.2.

    Examples
    --------
    >>> from corelib.data import rated_words
    >>> rated = rated_words()
    >>> rated.ratings.shape, rated.ratings[rated.words.index("joy")].mean()
    ((7027, 10), np.float64(2.8))
    """
    spec = importlib.util.find_spec("vaderSentiment")
    if spec is None:
        raise ModuleNotFoundError(f"the rated words come with the package vaderSentiment: {INSTALL}")
    content = (Path(spec.submodule_search_locations[0]) / "vader_lexicon.txt").read_bytes()
    if hashlib.sha256(content).hexdigest() != LEXICON_SHA256:
        raise RuntimeError(f"the installed vaderSentiment has another lexicon than version 3.3.2: {INSTALL}")
    words, ratings = _parse(content.decode("utf-8"))
    return RatedWords(words=words, ratings=ratings)


def word_preferences(seed: int = 0, *, pairs: int = 1000) -> PreferencePairs:
    """Which of two words is more positive? 1,000 pairs, judged by the ratings of ten people for each word.

    The words are shuffled. One half is text to train a reference model on; random pairs of the other half become
    preferences if the raters do not nearly balance.

    Parameters
    ----------
    seed : int
    pairs : int
        A fifth of them, rounded down, are of the part "dev".

    Returns
    -------
    PreferencePairs
        ``agreement`` is the share of the 100 pairs of ratings, one of each word, in which the chosen word has the
        higher one; a tie counts one half. It is at least 0.6. No pair of words occurs twice.

    Raises
    ------
    ModuleNotFoundError, RuntimeError
        As ``rated_words``.
    TypeError, ValueError
        If an argument is no integer, the seed is negative, or ``pairs`` is not in 1..100,000.

    Examples
    --------
    >>> from corelib.data import word_preferences
    >>> data = word_preferences(seed=0)
    >>> len(data), len(data.texts), data.agreement.min()
    (1000, 3513, np.float64(0.6))
    """
    seed, pairs = check_int(seed, "seed", minimum=0), check_int(pairs, "pairs", minimum=1)
    if pairs > 100_000:
        raise ValueError(f"pairs must be at most 100,000; got {pairs}")
    rated = rated_words()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rated))
    texts, answers = np.split(order, [len(order) // 2])
    found: dict[tuple[int, int], float] = {}
    while len(found) < pairs:
        a, b = rng.choice(answers, size=2, replace=False)
        share = agreement(rated.ratings[a], rated.ratings[b])
        if share < 0.5:
            a, b, share = b, a, 1 - share
        if share >= LEAST_AGREEMENT:
            found.setdefault((int(a), int(b)), share)
    dev = pairs * DEV_PERCENT // 100
    return PreferencePairs(
        prompts=("",) * pairs,
        chosen=tuple(rated.words[a] for a, _ in found),
        rejected=tuple(rated.words[b] for _, b in found),
        agreement=np.array(list(found.values())),
        split=np.array(["train"] * (pairs - dev) + ["dev"] * dev),
        texts=tuple(rated.words[i] for i in texts),
    )


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the pairs of ratings, one of ``a`` and one of ``b``, in which that of ``a`` is higher; ties count half."""
    wins = 2 * np.count_nonzero(a[:, None] > b) + np.count_nonzero(a[:, None] == b)
    return wins / (2 * len(a) * len(b))


def _parse(lexicon: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Words and ratings from lines of token, mean, standard deviation and list of ratings, parted by tabs."""
    rows = [line.split("\t") for line in lexicon.splitlines() if line]
    kept: dict[str, list[int]] = {}
    for token, _, _, ratings in rows:
        if _WORD.fullmatch(token):
            kept.setdefault(token, ast.literal_eval(ratings))
    return tuple(kept), np.array(list(kept.values()), dtype=np.int64)
