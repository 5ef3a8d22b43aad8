"""What may pass between the grader and a submission: plain values as JSON, arrays and tensors as bytes; never a pickle.

A frame is eight bytes that say its length, and JSON. Whoever reads decides how long it may be and how long he waits.
"""

import base64
import json
import math
import os
import re
import select
import time
from typing import Any

import numpy as np

LONGEST = 32 * 2**20  # bytes of a frame
DEEPEST = 20
KINDS = "biuf"


class WireError(Exception):
    """What came was no frame, too long, too late, or holds something that may not pass."""


def pack(value: Any, depth: int = 0) -> Any:
    """A value as what JSON can say.

    Raises
    ------
    WireError
        If it holds anything but None, booleans, numbers, strings, lists, tuples, dictionaries with strings as keys, arrays
        of numbers, and tensors.
    """
    if depth > DEEPEST:
        raise WireError("the value is nested too deeply")
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in KINDS:
        return value.item()
    if type(value) is list:
        return [pack(item, depth + 1) for item in value]
    if type(value) is tuple:
        return {"tuple": [pack(item, depth + 1) for item in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: pack(item, depth + 1) for key, item in value.items()}}
    tensor = type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")
    array = value.detach().cpu().numpy() if tensor else value
    if isinstance(array, np.ndarray) and array.dtype.kind in KINDS:
        array = np.asarray(array, order="C")
        data = base64.b64encode(array.tobytes()).decode()
        return {"tensor" if tensor else "array": [array.dtype.str, list(array.shape), data]}
    raise WireError(f"a value of type {type(value).__name__} cannot be handed over")


def unpack(plain: Any, depth: int = 0) -> Any:
    """The value that ``pack`` was given.

    Raises
    ------
    WireError
        If it is nothing that ``pack`` returns.
    """
    if depth > DEEPEST:
        raise WireError("the value is nested too deeply")
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    if isinstance(plain, list):
        return [unpack(item, depth + 1) for item in plain]
    if not isinstance(plain, dict) or len(plain) != 1:
        raise WireError("a value that nobody packed")
    (kind, inner), *_ = plain.items()
    if kind == "tuple" and isinstance(inner, list):
        return tuple(unpack(item, depth + 1) for item in inner)
    if kind == "dict" and isinstance(inner, dict):
        return {key: unpack(item, depth + 1) for key, item in inner.items()}
    if kind in ("array", "tensor"):
        array = _array(inner)
        if kind == "array":
            return array
        import torch

        try:
            return torch.from_numpy(array)
        except (TypeError, ValueError) as error:
            raise WireError("a tensor that nobody packed") from error
    raise WireError("a value that nobody packed")


def _array(inner: Any) -> np.ndarray:
    try:
        name, shape, data = inner
        if not re.fullmatch(r"[<>|]?[biuf]\d{1,2}", name):
            raise ValueError("no name of numbers")
        dtype = np.dtype(name)
        raw = base64.b64decode(data, validate=True)
        sizes = [int(size) for size in shape]
        if min(sizes, default=0) < 0 or math.prod(sizes) * dtype.itemsize != len(raw):
            raise WireError("an array whose parts do not agree")
        return np.frombuffer(raw, dtype).reshape(sizes).copy()
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError("an array that nobody packed") from error


def send(descriptor: int, message: dict, seconds: float | None = None) -> None:
    """Write a frame; None waits for ever until it is taken.

    Raises
    ------
    WireError
        If nobody would read it, because it is too long, or it is not taken in time.
    """
    text = json.dumps(message).encode()
    if len(text) > LONGEST:
        raise WireError(f"more than {LONGEST // 2**20} MB in one message")
    data = memoryview(len(text).to_bytes(8, "big") + text)
    until = None if seconds is None else time.monotonic() + seconds
    while data:
        left = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([], [descriptor], [], left)[1]:
            raise WireError("a question that is not taken in time")
        data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]


def receive(descriptor: int, seconds: float | None = None) -> dict:
    """Read a frame; None waits for ever.

    Raises
    ------
    WireError
        If it does not come in time, is too long, or is no frame.
    EOFError
        If the other side has gone.
    """
    until = None if seconds is None else time.monotonic() + seconds
    length = int.from_bytes(_exactly(descriptor, 8, until), "big")
    if length > LONGEST:
        raise WireError(f"an answer of more than {LONGEST // 2**20} MB")
    try:
        message = json.loads(_exactly(descriptor, length, until))
    except (ValueError, RecursionError) as error:
        raise WireError("an answer that cannot be read") from error
    if not isinstance(message, dict):
        raise WireError("an answer that cannot be read")
    return message


def _exactly(descriptor: int, count: int, until: float | None) -> bytes:
    parts, missing = [], count
    while missing:
        left = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([descriptor], [], [], left)[0]:
            raise WireError("no answer in time")
        part = os.read(descriptor, min(missing, 2**20))
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
