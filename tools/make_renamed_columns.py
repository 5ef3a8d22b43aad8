"""Finds the renamed columns of tables that several R packages hold: python tools/make_renamed_columns.py (two minutes).

Writes ``corelib/data/rhelp_renamed_columns.json``: the numeric columns of each table, and for each pair of tables from
different packages which columns hold the same numbers, as sorted lists to six digits. Columns with fewer than 10 values or
fewer than 8 distinct ones are never linked, and pairs with fewer than two renamed columns are left out. Needs pandas, and ``rhelp_same_data.tsv``, which ``tools/make_rhelp_pairs.py`` writes.

Then it encodes the names of the columns and all definitions with MiniLM (it needs the weights, see ``corelib.data.MiniLM``)
and writes ``corelib/data/rhelp_renamed_columns_minilm_i8.npz``: one byte a component (a row's scale does not matter, the
reader makes its length 1) and a hash of each text. Of the definitions it keeps those that are a column's own or among the
eight nearest of a column, with and without relatives.
"""

import json

import numpy as np
from make_rhelp_pairs import fingerprint, numeric_columns, parts, read_table, says_enough

from corelib.data import MiniLM, renamed_columns
from corelib.data._rhelp_pages import SAME_DATA
from corelib.data.renamed_columns import COLUMNS, VECTORS
from corelib.data.text_retrieval import text_hashes

FEWEST_LINKS = 2
NAME_TOKENS, SENTENCE_TOKENS = 32, 48
NEAREST = 8


def main() -> None:
    write_columns()
    write_vectors()


def write_columns() -> None:
    pairs = [line.split("\t") for line in SAME_DATA.read_text(encoding="utf-8").splitlines()]
    columns: dict[str, list[str]] = {}
    links = []
    for source, target in pairs:
        if parts(source)[0] == parts(target)[0]:
            continue
        ours, theirs = hashes(source), hashes(target)
        same = [
            (i, j)
            for i, mine in enumerate(ours.values())
            for j, other in enumerate(theirs.values())
            if mine is not None and mine == other
        ]
        names = [(list(ours)[i].lower(), list(theirs)[j].lower()) for i, j in same]
        if sum(a != b for a, b in names) >= FEWEST_LINKS:
            columns |= {source: list(ours), target: list(theirs)}
            links.append([source, target, same])
    written = json.dumps(
        {"columns": dict(sorted(columns.items())), "links": links}, ensure_ascii=False, separators=(",", ":")
    )
    COLUMNS.write_text(written.replace(']],["', ']],\n["').replace('],"', '],\n"') + "\n", encoding="utf-8")


def write_vectors() -> None:
    tables, encoder = renamed_columns(), MiniLM()
    names = dict(zip(tables.names, encoder.encode(tables.names, NAME_TOKENS), strict=True))
    texts = sorted({found.sentence for found in tables.definitions})
    encoded = dict(zip(texts, encoder.encode(texts, SENTENCE_TOKENS), strict=True))
    sentences = [found.sentence for found in tables.definitions]
    rows = needed(tables, names, np.stack([encoded[sentence] for sentence in sentences]))
    kept = sorted({sentences[row] for row in rows})
    vectors = np.stack([*names.values(), *(encoded[sentence] for sentence in kept)])
    np.savez_compressed(
        VECTORS,
        vectors=np.round(127 * vectors / np.abs(vectors).max(axis=1, keepdims=True)).astype(np.int8),
        hashes=text_hashes([*tables.names, *kept]),
    )
    print("STORED =", len(tables.names) + sum(map(set(kept).__contains__, sentences)))


def needed(tables, names: dict[str, np.ndarray], vectors: np.ndarray) -> set[int]:
    """The definitions that are a column's own, or among the nearest of one."""
    own = {(page, column) for pair in tables.pairs for page, column in columns_of(pair)}
    rows = {i for i, found in enumerate(tables.definitions) if (found.page, found.name.lower()) in own}
    for pair in tables.pairs:
        for relatives in (True, False):
            foreign = tables.foreign(pair, relatives=relatives)
            for name in {*pair.source_columns, *pair.target_columns}:
                cosines = np.where(foreign, vectors @ names[name], -1)
                rows |= set(np.argsort(-cosines, kind="stable")[:NEAREST].tolist())
    return rows


def columns_of(pair) -> list[tuple[str, str]]:
    return [(pair.source, name.lower()) for name in pair.source_columns] + [
        (pair.target, name.lower()) for name in pair.target_columns
    ]


def hashes(page: str) -> dict[str, str | None]:
    """The names of the numeric columns, each with a hash of its numbers, or None if they say too little."""
    return {
        name: fingerprint(values) if says_enough(values) else None
        for name, values in numeric_columns(read_table(page))
    }


if __name__ == "__main__":
    main()
