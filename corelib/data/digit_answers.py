"""Small classifiers that sit an exam of handwritten digits, offline."""

import itertools
import warnings

import numpy as np

from corelib._checks import check_int
from corelib.data.answer_matrix import AnswerMatrix

_DIGITS = 1797


def digit_answers(
    train: np.ndarray,
    test: np.ndarray,
    *,
    sizes: tuple[int, ...] = (40, 80, 160, 320, 640, 1100),
    pixels: tuple[int, ...] = (8, 16, 32, 64),
    seed: int = 0,
) -> AnswerMatrix:
    """Which of some digits each of many scikit-learn classifiers recognises.

    Five families (decision tree, nearest neighbour, logistic regression, nearest centroid, support vector machine), each
    with every training size and every number of pixels; training digits and pixels are drawn anew for each classifier.
    The digits: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine Learning Repository,
    CC BY 4.0. It stands in for the answers of language models to the questions of a benchmark.

    Parameters
    ----------
    train, test : numpy.ndarray of int64, shape (n,) and (items,)
        Which of the 1,797 digits may be used for training and which are asked.
    sizes : tuple of int
        Training digits of a classifier, 10 to n.
    pixels : tuple of int
        Pixels that a classifier sees, 1 to 64.
    seed : int
        Of the draws, at least 0.

    Returns
    -------
    AnswerMatrix
        Complete: 5 * len(sizes) * len(pixels) classifiers. An item is named by the number of its digit.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError, ValueError
        If an argument has the wrong type or range.

    Examples
    --------
    >>> import numpy as np
    >>> from corelib.data import digit_answers
    >>> exam = digit_answers(np.arange(1000), np.arange(1000, 1020), sizes=(40, 80), pixels=(8, 64))
    >>> exam.shape, exam.solvers[0]
    ((20, 20), 'tree, 40 digits, 8 pixels')
    """
    from sklearn.datasets import load_digits

    train, test = _check_rows(train, "train"), _check_rows(test, "test")
    for name, values, least, most in (("sizes", sizes, 10, len(train)), ("pixels", pixels, 1, 64)):
        if not isinstance(values, tuple) or not values:
            raise TypeError(f"{name} must be a tuple of at least one integer; got {values!r}")
        for value in values:
            if check_int(value, name, minimum=least) > most:
                raise ValueError(f"{name} must be at most {most}; got {value}")
    rng = np.random.default_rng(check_int(seed, "seed", minimum=0))
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    families = _families()
    responses, names = [], []
    for family, size, width in itertools.product(families, sizes, pixels):
        rows = rng.choice(train, size, replace=False)
        seen = rng.choice(images.shape[1], width, replace=False)
        if len(np.unique(labels[rows])) < 2:
            raise ValueError(f"train must hold digits of several classes; {size} drawn from it show one")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # logistic regression stops after 100 steps, on purpose
            model = families[family]().fit(images[np.ix_(rows, seen)], labels[rows])
        responses.append(model.predict(images[np.ix_(test, seen)]) == labels[test])
        names.append(f"{family}, {size} digits, {width} pixels")
    return AnswerMatrix(
        responses=np.array(responses, dtype=np.float64),
        solvers=tuple(names),
        items=tuple(str(row) for row in test),
    )


def _families() -> dict:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    return {
        "tree": lambda: DecisionTreeClassifier(random_state=0),
        "neighbour": lambda: KNeighborsClassifier(1),
        "logistic": lambda: LogisticRegression(max_iter=100),
        "centroid": NearestCentroid,
        "svm": SVC,
    }


def _check_rows(rows: np.ndarray, name: str) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.dtype.kind != "i" or rows.ndim != 1:
        raise TypeError(
            f"{name} must be a 1-dimensional array of integers; got {rows.ndim}-dimensional {rows.dtype}"
        )
    if not rows.size:
        raise ValueError(f"{name} must hold at least one digit; got none")
    if not 0 <= rows.min() <= rows.max() < _DIGITS:
        raise ValueError(f"{name} must lie in 0..{_DIGITS - 1}; got {rows.min()}..{rows.max()}")
    return rows
