"""The data sets of the book: one function each, offline, from dependencies that are pinned and verified."""

from corelib.data.digits import digits
from corelib.data.glyphs import Glyphs, glyphs
from corelib.data.labelled_images import LabelledImages

__all__ = ["Glyphs", "LabelledImages", "digits", "glyphs"]
