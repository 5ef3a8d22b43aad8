"""Texts as numbered words, for language models: what every such data set of the book returns."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from corelib._checks import check_choice, check_int

UNKNOWN = "<unk>"


@dataclass(frozen=True, kw_only=True, eq=False)
class WordCorpus:
    """Texts in three parts, each text an array of word numbers.

    Attributes
    ----------
    name : str
        Of the data set.
    vocabulary : tuple of str
        What each number stands for; 0 is ``"<unk>"``, any other word.
    train, dev, test : tuple of numpy.ndarray of int32
        One array for each text.
    """

    name: str
    vocabulary: tuple[str, ...]
    train: tuple[np.ndarray, ...]
    dev: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]

    @classmethod
    def from_words(
        cls,
        name: str,
        *,
        train: Sequence[Sequence[str]],
        dev: Sequence[Sequence[str]],
        test: Sequence[Sequence[str]],
        size: int | None = None,
    ) -> Self:
        """Number the words of texts: the most frequent ones of ``train``, ties in alphabetical order.

        Parameters
        ----------
        name : str
        train, dev, test : sequence of sequences of str
            The words of each text.
        size : int, optional
            Of the vocabulary with ``"<unk>"``, at least 2; by default every word of ``train`` has its number.

        Raises
        ------
        TypeError, ValueError
            If ``size`` is not an integer of at least 2.

        Examples
        --------
        >>> from corelib.data import WordCorpus
        >>> corpus = WordCorpus.from_words("toy", train=[["a", "b", "a", "c"]], dev=[], test=[["c", "a"]], size=3)
        >>> corpus.vocabulary, corpus.test[0]
        (('<unk>', 'a', 'b'), array([0, 1], dtype=int32))
        """
        size = None if size is None else check_int(size, "size", minimum=2)
        counts = Counter(word for text in train for word in text)
        del counts[UNKNOWN]
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[
            : None if size is None else size - 1
        ]
        number = {word: i for i, word in enumerate(frequent, 1)}

        def numbered(texts: Iterable[Sequence[str]]) -> tuple[np.ndarray, ...]:
            return tuple(np.array([number.get(word, 0) for word in text], dtype=np.int32) for text in texts)

        parts = {part: numbered(texts) for part, texts in (("train", train), ("dev", dev), ("test", test))}
        return cls(name=name, vocabulary=(UNKNOWN, *frequent), **parts)

    def windows(self, part: str, context: int = 4) -> tuple[np.ndarray, np.ndarray]:
        """Every known word of a part, with the words before it in its text.

        Parameters
        ----------
        part : {"train", "dev", "test"}
        context : int
            Words before, at least 1.

        Returns
        -------
        contexts : numpy.ndarray of int64, shape (n, context)
            The nearest word last; 0 for unknown words and before the start of the text.
        targets : numpy.ndarray of int64, shape (n,)
            Never 0: unknown words are no targets.

        Raises
        ------
        TypeError, ValueError
            If ``part`` is no part or ``context`` is not an integer of at least 1.

        Examples
        --------
        >>> from corelib.data import WordCorpus
        >>> corpus = WordCorpus.from_words("toy", train=[["a", "b", "a"]], dev=[], test=[])
        >>> contexts, targets = corpus.windows("train", context=2)
        >>> contexts.tolist(), targets.tolist()
        ([[0, 0], [0, 1], [1, 2]], [1, 2, 1])
        """
        check_choice(part, "part", ("train", "dev", "test"))
        check_int(context, "context", minimum=1)
        before = np.zeros(context, dtype=np.int64)
        pieces = (piece for text in getattr(self, part) for piece in (text, before))
        words = np.concatenate([before, *pieces, [0]])
        rows = np.lib.stride_tricks.sliding_window_view(words, context + 1)
        rows = rows[rows[:, -1] > 0].astype(np.int64)
        return rows[:, :-1].copy(), rows[:, -1].copy()
