"""Learned prompts of the chapter on many prompts for one class: the result of minutes of training, stored."""

from pathlib import Path

import numpy as np

STORED = Path(__file__).with_name("prompt_contexts_f16.npz")


def prompt_contexts() -> dict[str, np.ndarray]:
    """The contexts that the chapter on many prompts for one class (``msgcoop``) trained, by the name of the run.

    A context is a sequence of four vectors that stand in the place of words in front of a class name. They were trained
    through the encoder ``MiniLM`` and are stored in float16; the chapter holds the code that trains them, repeats some of
    the runs and compares.

    Returns
    -------
    dict of str to numpy.ndarray of float32, shape (prompts, 4, 384)
        The names are ``arm/draw/rate/steps``, such as ``CoOp/0/0.09/20``.

    Examples
    --------
    >>> from corelib.data import prompt_contexts
    >>> contexts = prompt_contexts()
    >>> contexts["CoOp/0/0.09/20"].shape, contexts["MSGCoOp/0/0.03/20"].shape
    ((1, 4, 384), (4, 4, 384))
    """
    with np.load(STORED) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
