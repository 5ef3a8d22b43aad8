"""The data sets of the book: one function each, offline, from dependencies that are pinned and verified."""

from corelib.data.cub200 import cub200
from corelib.data.digits import digits
from corelib.data.glyphs import Glyphs, glyphs
from corelib.data.labelled_images import LabelledImages
from corelib.data.minilm import MiniLM, MiniLMVectors, minilm_vectors
from corelib.data.rhelp import rhelp
from corelib.data.seealso import seealso
from corelib.data.squad import squad
from corelib.data.text_retrieval import TextRetrieval

__all__ = [
    "Glyphs",
    "LabelledImages",
    "MiniLM",
    "MiniLMVectors",
    "TextRetrieval",
    "cub200",
    "digits",
    "glyphs",
    "minilm_vectors",
    "rhelp",
    "seealso",
    "squad",
]
