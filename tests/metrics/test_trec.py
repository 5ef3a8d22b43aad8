"""TREC files: what trec_eval reads comes back, what it would misread is refused with file and line."""

import gzip
import math
from collections import OrderedDict

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from corelib import metrics

words = st.text(
    st.characters(exclude_characters=" \t\n\r\v\f", exclude_categories=["Cs"]), min_size=1, max_size=4
)
runs = st.dictionaries(
    words, st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False), min_size=1), max_size=4
)
judgements = st.dictionaries(
    words, st.dictionaries(words, st.integers(-(2**63), 2**63 - 1), min_size=1), max_size=4
)


@given(runs, judgements)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory, run, qrels):
    if any(word.startswith("\ufeff") for table in (run, qrels) for word in list(table)[:1]):
        return  # looks like a byte order mark, and is refused as one
    path = tmp_path_factory.mktemp("trec") / "file"
    metrics.write_run(run, path)
    assert metrics.read_run(path) == run
    metrics.write_qrels(qrels, path)
    assert metrics.read_qrels(path) == qrels


def test_numpy_numbers_are_written_in_full(tmp_path):
    third = np.float32(1) / np.float32(3)
    metrics.write_run({"q": {"a": third, "b": np.int64(2)}}, tmp_path / "run")
    assert metrics.read_run(tmp_path / "run") == {"q": {"a": float(third), "b": 2.0}}
    metrics.write_qrels({"q": {"a": np.uint8(3)}}, tmp_path / "qrels")
    assert metrics.read_qrels(tmp_path / "qrels") == {"q": {"a": 3}}


def test_files_are_read_as_trec_eval_reads_them(tmp_path):
    path = tmp_path / "run"
    path.write_bytes("q1\tQ0 d1  1 -.5e1\tme\r\n\n  q2 0 \u00e9\u3000x 007 +3 me\nq1 Q0 d2 1 0 me".encode())
    assert metrics.read_run(path) == {"q1": {"d1": -5.0, "d2": 0.0}, "q2": {"\u00e9\u3000x": 3.0}}
    with open(path, encoding="utf-8", newline="\n") as file:
        assert (
            metrics.read_run(str(path))["q1"]
            == pytrec_eval.parse_run(line for line in file if line.strip() and "x" not in line)["q1"]
        )
    path.write_text("q1 0 d1 -2\nq1 0 d2 +3\n")
    assert metrics.read_qrels(path) == {"q1": {"d1": -2, "d2": 3}}
    path.write_text("")
    assert metrics.read_run(path) == {} and metrics.read_qrels(path) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"q Q0 d 1 0.5", "a line must have 6 columns, query Q0 document rank score tag; got 5"),
        (b"q Q0 d 1 0.5 my tag", "a line must have 6 columns, .*; got 7"),
        (b"q Q0 d 1 nan me", "the score must be a finite number; got 'nan'"),
        (b"q Q0 d 1 -inf me", "the score must be a finite number; got '-inf'"),
        (b"q Q0 d 1 1e999 me", "the score must be a finite number; got '1e999'"),
        (b"q Q0 d 1 0,5 me", "the score must be a finite number; got '0,5'"),
        (b"q Q0 d 1 1_0 me", "the score must be a finite number; got '1_0'"),
        (b"q Q0 d 1 \xd9\xa1 me", "the score must be a finite number"),
        (b"a Q0 b 9 0.5 me", "document 'b' stands twice under query 'a'"),
        (b"q Q0 \xff 1 0.5 me", "the identifiers must be UTF-8"),
        (b"\xfe Q0 d 1 0.5 me", "the identifiers must be UTF-8"),
    ],
)
def test_a_bad_line_of_a_run_is_named(tmp_path, line, message):
    path = tmp_path / "my.run"
    path.write_bytes(b"a Q0 b 1 2.5 me\n\n" + line + b"\nq9 Q0 d9 1 1 me\n")
    with pytest.raises(ValueError, match=rf"my\.run:3: {message}"):
        metrics.read_run(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b"q 0 d",
            r"a line must have 4 columns, query iteration document relevance \(three below a header, .*\); got 3",
        ),
        (b"q 0 d 1 1", "a line must have 4 columns, .*; got 5"),
        (b"q 0 d 1_0", "the relevance must be a finite number, an integer of at most 64 bits; got '1_0'"),
        (b"q 0 d yes", "the relevance must be a finite number, an integer of at most 64 bits; got 'yes'"),
        (
            b"q 0 d 9223372036854775808",
            "the relevance must be a finite number, an integer of at most 64 bits; got '9223372036854775808'",
        ),
        (
            b"q 0 d " + b"9" * 5000,
            "the relevance must be a finite number, an integer of at most 64 bits; got '9{40}'$",
        ),
        (b"a 1 b 1", "document 'b' stands twice under query 'a'"),
        (b"q 0 \xff 1", "the identifiers must be UTF-8"),
    ],
)
def test_a_bad_line_of_qrels_is_named(tmp_path, line, message):
    path = tmp_path / "my.qrels"
    path.write_bytes(b"a 0 b 1\n" + line + b"\n")
    with pytest.raises(ValueError, match=rf"my\.qrels:2: {message}"):
        metrics.read_qrels(path)


def test_byte_order_mark_is_refused(tmp_path):
    path = tmp_path / "bom"
    path.write_bytes(b"\xef\xbb\xbfq 0 d 1\n")
    with pytest.raises(ValueError, match="bom:1: the file begins with a byte order mark"):
        metrics.read_qrels(path)


GOOD_RUN, GOOD_QRELS = {"q": {"d": 1.0}}, {"q": {"d": 1}}


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (None, TypeError, "run must be a mapping of queries to mappings; got NoneType"),
        ([("q", {})], TypeError, "run must be a mapping of queries to mappings; got list"),
        ({1.0: {"d": 1.0}}, TypeError, "the queries of run must be strings or integers; got float"),
        (
            {"q": [1.0]},
            TypeError,
            r"run\['q'\] must be a mapping of documents to real numbers up to float64; got list",
        ),
        ({"q": {True: 1.0}}, TypeError, r"the documents of run\['q'\] must be strings or integers; got bool"),
        (
            {"q": {3: 1.0, "3": 2.0}},
            ValueError,
            r"the documents of run\['q'\] must differ as strings too; of 2 only 1 do",
        ),
        (
            {"q": {"d": "1"}},
            TypeError,
            r"run\['q'\] must map documents to real numbers up to float64; got str",
        ),
        (
            {"q": {"d": True}},
            TypeError,
            r"run\['q'\] must map documents to real numbers up to float64; got bool",
        ),
        (
            {"q": {"d": np.True_}},
            TypeError,
            r"run\['q'\] must map documents to real numbers up to float64; got bool",
        ),
        (
            {"q": {"d": np.longdouble(1)}},
            TypeError,
            r"run\['q'\] must map documents to real numbers up to float64; got longdouble",
        ),
        ({"q": {"d": 1.0, "e": math.nan}}, ValueError, r"run\['q'\] must be finite; the score of 'e' is nan"),
        ({"q": {"d": 10**400}}, ValueError, r"run\['q'\] must be finite; the score of 'd' is 10000"),
        ({"q": {"d": -math.inf}}, ValueError, r"run\['q'\] must be finite; the score of 'd' is -inf"),
    ],
)
def test_bad_runs_are_refused(tmp_path, run, error, message):
    with pytest.raises(error, match=message):
        metrics.align_run(run, GOOD_QRELS)
    with pytest.raises(error, match=message):
        metrics.write_run(run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("qrels", "error", "message"),
    [
        (3, TypeError, "qrels must be a mapping of queries to mappings; got int"),
        ({"q": {"d": math.nan}}, ValueError, r"qrels\['q'\] must be finite; the relevance of 'd' is nan"),
        (
            {"q": {"d": "1"}},
            TypeError,
            r"qrels\['q'\] must map documents to real numbers up to float64; got str",
        ),
        (
            {"q": {"d": False}},
            TypeError,
            r"qrels\['q'\] must map documents to real numbers up to float64; got bool",
        ),
        (
            {"q": {"d": 2**63}},
            ValueError,
            r"qrels\['q'\] must fit 64 bits; the relevance of 'd' is 9223372036854775808",
        ),
    ],
)
def test_bad_qrels_are_refused(tmp_path, qrels, error, message):
    with pytest.raises(error, match=message):
        metrics.align_run(GOOD_RUN, qrels)
    with pytest.raises(error, match=message):
        metrics.write_qrels(qrels, tmp_path / "qrels")


def test_what_the_format_cannot_hold_is_not_written(tmp_path):
    path = tmp_path / "kept"
    path.write_text("before")
    for word in ("", "a b", "a\tb", "\n", "\ud800"):
        with pytest.raises(
            ValueError, match="run must use identifiers that are not empty and hold no whitespace"
        ):
            metrics.write_run({word: {"d": 1.0}}, path)
        with pytest.raises(ValueError, match="qrels must use identifiers"):
            metrics.write_qrels({"q": {word: 1}}, path)
        with pytest.raises(ValueError, match="tag must use identifiers"):
            metrics.write_run(GOOD_RUN, path, tag=word)
    with pytest.raises(TypeError, match="tag must be a string; got int"):
        metrics.write_run(GOOD_RUN, path, tag=1)
    with pytest.raises(ValueError, match=r"run\['q'\] has no documents"):
        metrics.write_run({"q": {}}, path)
    assert path.read_text() == "before"


def random_tables(seed, *, levels):
    """Ties, unjudged, unretrieved and negative documents, and queries that only one side has."""
    rng = np.random.default_rng(seed)
    names = [f"{prefix}{number}" for prefix in ("d", "D", "\u00e9", "\U0001f40d") for number in range(12)]
    run, qrels = {}, {}
    for query in range(40):
        if query % 7:
            chosen = rng.choice(names, rng.integers(1, 30), replace=False)
            run[f"q{query}"] = {
                str(d): float(s)
                for d, s in zip(chosen, rng.integers(0, levels, len(chosen)) / 7, strict=True)
            }
        if query % 5:
            chosen = rng.choice(names, rng.integers(1, 30), replace=False)
            qrels[f"q{query}"] = {
                str(d): int(r) for d, r in zip(chosen, rng.integers(-1, 3, len(chosen)), strict=True)
            }
    return run, qrels


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_aligned_arrays_give_the_numbers_of_pytrec_eval(levels):
    run, qrels = random_tables(levels, levels=levels)
    theirs = pytrec_eval.RelevanceEvaluator(
        qrels, {"map", "ndcg", "recip_rank", "P.5", "recall.10"}
    ).evaluate(run)
    aligned = metrics.align_run(run, qrels, queries="both")
    assert aligned.queries == [query for query in qrels if query in run]
    ours = metrics.evaluate(
        aligned.scores, aligned.relevance, ["map", "ndcg", "mrr", "p@5", "recall@10"], indptr=aligned.indptr
    )
    for name, their_name in zip(ours, ["map", "ndcg", "recip_rank", "P_5", "recall_10"], strict=True):
        np.testing.assert_allclose(
            ours[name], [theirs[q][their_name] for q in aligned.queries], rtol=1e-12, err_msg=name
        )


def test_scores_in_float32_tie_as_in_trec_eval():
    run = {"q": {"a": 1 + 1e-12, "b": 1.0}}
    qrels = {"q": {"a": 1, "b": 0}}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(run)["q"]["recip_rank"]
    aligned = metrics.align_run(run, qrels)
    assert metrics.reciprocal_rank(aligned.scores, aligned.relevance) == 1.0
    assert metrics.reciprocal_rank(aligned.scores.astype(np.float32), aligned.relevance) == theirs == 0.5


def test_queries_that_the_run_leaves_out_count_as_zero():
    run, qrels = random_tables(3, levels=5)
    every, shared = metrics.align_run(run, qrels), metrics.align_run(run, qrels, queries="both")
    ndcg = dict(
        zip(every.queries, metrics.ndcg(every.scores, every.relevance, indptr=every.indptr), strict=True)
    )
    assert list(ndcg) == list(qrels)
    assert all(ndcg[query] == 0 for query in qrels.keys() - run.keys())
    expected = metrics.ndcg(shared.scores, shared.relevance, indptr=shared.indptr)
    np.testing.assert_array_equal([ndcg[query] for query in shared.queries], expected)


def test_alignment_places_every_document():
    run = OrderedDict(q={"b": 2, "a": 1.5, "x": 0.0})
    qrels = {"q": {"c": 2, "a": -1, "b": 0}, "r": {}, "s": {"z": 1}}
    got = metrics.align_run(run, qrels)
    assert got.queries == ["q", "r", "s"] and got.documents == ["a", "b", "c", "x", "z"]
    np.testing.assert_array_equal(got.scores, [1.5, 2, -math.inf, 0, -math.inf])
    np.testing.assert_array_equal(got.relevance, [0, 0, 2, 0, 1])
    np.testing.assert_array_equal(got.judged, [False, True, True, False, True])
    np.testing.assert_array_equal(got.indptr, [0, 4, 4, 5])
    assert (got.scores.dtype, got.relevance.dtype, got.indptr.dtype) == (np.float64, np.int64, np.int64)
    nothing = metrics.align_run({}, {})
    assert nothing.scores.shape == (0,) and nothing.indptr.tolist() == [0]


@pytest.mark.parametrize("queries", ["qrels", "both"])
def test_a_run_of_other_queries_is_refused(queries):
    """Most likely two data sets, or identifiers with another prefix; 0 for every query would pass for a bad system."""
    with pytest.raises(ValueError, match="query in common; the run begins with 'test-1', the qrels with '1'"):
        metrics.align_run({"test-1": {"d": 1.0}}, {"1": {"d": 1}}, queries=queries)
    with pytest.raises(ValueError, match="the run begins with 'q', the qrels have none"):
        metrics.align_run({"q": {"d": 1.0}}, {}, queries=queries)
    nothing = metrics.align_run({}, {"1": {"d": 1}}, queries=queries)
    assert nothing.queries == (["1"] if queries == "qrels" else [])


def test_choice_of_queries_is_checked():
    with pytest.raises(ValueError, match="queries must be one of 'qrels', 'both'; got 'run'"):
        metrics.align_run(GOOD_RUN, GOOD_QRELS, queries="run")


@pytest.mark.parametrize("rank", ["1.0", "-", "NaN", "one", "1e3", "0"])
def test_ranks_do_not_count(tmp_path, rank):
    path = tmp_path / "run"
    path.write_text(f"q Q0 a {rank} 0.5 me\nq Q0 b {rank} 2.5 me\n")
    assert metrics.read_run(path) == {"q": {"a": 0.5, "b": 2.5}}


def test_grades_may_be_fractions(tmp_path):
    path = tmp_path / "qrels"
    path.write_text("q 0 a 0.5\nq 0 b 2.0\nq 0 c -1e-1\nq 0 d 1e0\n")
    qrels = metrics.read_qrels(path)
    assert qrels == {"q": {"a": 0.5, "b": 2, "c": -0.1, "d": 1}}
    assert {type(grade) for grade in (qrels["q"]["b"], qrels["q"]["d"])} == {int}
    metrics.write_qrels(qrels, path)
    assert metrics.read_qrels(path) == qrels and " 2\n" in path.read_text()
    aligned = metrics.align_run({"q": {"a": 1.0, "z": 2.0}}, qrels)
    assert aligned.relevance.dtype == np.float64
    np.testing.assert_array_equal(aligned.relevance, [0.5, 2, 0, 1, 0])
    np.testing.assert_array_equal(aligned.judged, [True, True, False, True, False])


def test_compressed_files_are_read_like_others(tmp_path):
    plain, packed = tmp_path / "plain", tmp_path / "packed"  # its first bytes tell, not its name
    for text, read in (
        ("q Q0 d 1 0.5 me\n\nq Q0 e 2 0.25 me", metrics.read_run),
        ("q 0 d 1\n", metrics.read_qrels),
    ):
        plain.write_text(text)
        packed.write_bytes(gzip.compress(text.encode()))
        assert read(packed) == read(plain)
    packed.write_bytes(gzip.compress(b"q Q0 d 1 0.5 me\nq Q0 d 2 0.5 me\n"))
    with pytest.raises(ValueError, match="packed:2: document 'd' stands twice"):
        metrics.read_run(packed)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b[:30] + b"x" * 20 + b[50:], lambda b: b[:-6] + b"xxxxxx"]
)
def test_damaged_compressed_files_are_named(tmp_path, damage):
    path = tmp_path / "my.run.gz"
    path.write_bytes(
        damage(gzip.compress("".join(f"q Q0 d{i} 1 {i * 0.37} me\n" for i in range(500)).encode()))
    )
    with pytest.raises(ValueError, match=r"my\.run\.gz:\d+: "):
        metrics.read_run(path)


@pytest.mark.parametrize("header", ["query-id\tcorpus-id\tscore", "query_id\tdoc_id\trelevance"])
def test_tables_of_beir_are_read(tmp_path, header):
    path = tmp_path / "test.tsv"
    path.write_bytes(f"{header}\r\n1\tMED-10\t1\r\n1\ta document\t0.5\r\n\r\n2\t31715818\t2\r\n".encode())
    assert metrics.read_qrels(path) == {"1": {"MED-10": 1, "a document": 0.5}, "2": {"31715818": 2}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\td", "a line must have 3 columns, query document relevance; got 2"),
        ("1 0 d 1", "a line must have 3 columns, query document relevance; got 1"),
        ("\td\t1", "a line must have 3 columns, query document relevance; got 2"),
        ("1\td\tgood", "the relevance must be a finite number, .*; got 'good'"),
        ("1\tb\t2", "document 'b' stands twice under query '1'"),
    ],
)
def test_a_bad_line_of_a_table_is_named(tmp_path, line, message):
    path = tmp_path / "my.tsv"
    path.write_text(f"query-id\tcorpus-id\tscore\n1\tb\t1\n{line}\n")
    with pytest.raises(ValueError, match=rf"my\.tsv:3: {message}"):
        metrics.read_qrels(path)


def test_three_columns_need_a_header(tmp_path):
    path = tmp_path / "my.tsv"
    path.write_text("1\tb\t1\n")
    with pytest.raises(
        ValueError, match=r"my\.tsv:1: .*three below a header, separated by tabs, would do\); got 3"
    ):
        metrics.read_qrels(path)


def test_identifiers_may_be_integers_and_meet_those_of_files(tmp_path):
    run, qrels = {1: {10: 0.5, np.int64(9): 1.5}}, {"1": {"9": 1, "11": 1}}
    aligned = metrics.align_run(run, qrels)
    assert aligned.queries == ["1"] and aligned.documents == ["10", "11", "9"]
    np.testing.assert_array_equal(aligned.scores, [0.5, -math.inf, 1.5])
    metrics.write_run(run, tmp_path / "run")
    assert metrics.read_run(tmp_path / "run") == {"1": {"10": 0.5, "9": 1.5}}
    metrics.write_qrels({1: {2: 3}}, tmp_path / "qrels")
    assert metrics.read_qrels(tmp_path / "qrels") == {"1": {"2": 3}}
