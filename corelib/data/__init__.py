"""The data sets of the book: one function each, offline, from dependencies that are pinned and verified."""

from corelib.data.alpaca_farm import alpaca_farm
from corelib.data.answer_log import answer_log
from corelib.data.answer_matrix import AnswerMatrix
from corelib.data.beir import beir
from corelib.data.bm25 import bm25_scores
from corelib.data.caption_groups import CaptionGroups
from corelib.data.cifar10 import cifar10
from corelib.data.cora import cora
from corelib.data.cub200 import cub200
from corelib.data.digit_answers import digit_answers
from corelib.data.digit_graph import digit_graph
from corelib.data.digit_pairs import digit_groups, digit_pairs
from corelib.data.digits import digits
from corelib.data.glyphs import Glyphs, glyphs
from corelib.data.item_ratings import ItemRatings
from corelib.data.labelled_images import LabelledImages
from corelib.data.minilm import MiniLM, MiniLMVectors, minilm_vectors
from corelib.data.mnist import mnist
from corelib.data.movielens import movielens, movielens_100k
from corelib.data.node_graph import NodeGraph
from corelib.data.preference_pairs import PreferencePairs
from corelib.data.prompt_contexts import prompt_contexts
from corelib.data.renamed_columns import renamed_columns
from corelib.data.rhelp import rhelp
from corelib.data.rhelp_words import rhelp_words
from corelib.data.seealso import seealso
from corelib.data.squad import squad
from corelib.data.text_retrieval import TextRetrieval
from corelib.data.wikitext103 import wikitext103
from corelib.data.winoground import winoground
from corelib.data.word_corpus import WordCorpus
from corelib.data.word_preferences import RatedWords, rated_words, word_preferences
from corelib.data.yahoo_r3 import yahoo_r3

__all__ = [
    "AnswerMatrix",
    "CaptionGroups",
    "Glyphs",
    "ItemRatings",
    "LabelledImages",
    "MiniLM",
    "MiniLMVectors",
    "NodeGraph",
    "PreferencePairs",
    "RatedWords",
    "TextRetrieval",
    "WordCorpus",
    "alpaca_farm",
    "answer_log",
    "beir",
    "bm25_scores",
    "cifar10",
    "cora",
    "cub200",
    "digit_answers",
    "digit_graph",
    "digit_groups",
    "digit_pairs",
    "digits",
    "glyphs",
    "minilm_vectors",
    "mnist",
    "movielens",
    "movielens_100k",
    "prompt_contexts",
    "rated_words",
    "renamed_columns",
    "rhelp",
    "rhelp_words",
    "seealso",
    "squad",
    "wikitext103",
    "winoground",
    "word_preferences",
    "yahoo_r3",
]
