"""AlpacaFarm's human cross-annotations: the full-scale set of the chapter on preference rankings."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from corelib._checks import check_bool
from corelib.data._download import fetch
from corelib.data.preference_pairs import PreferencePairs

FILE = "alpaca_farm_human_crossannotations.json"
URL = f"https://huggingface.co/datasets/tatsu-lab/alpaca_eval/resolve/main/{FILE}"
DEV_PERCENT = 20


def alpaca_farm(folder: str | Path = "data", *, download: bool = False) -> PreferencePairs:
    """Two answers to an instruction, compared by several people: about 650 instructions with four judgements each.

    Dubois et al., *AlpacaFarm: A Simulation Framework for Methods that Learn from Human Feedback* (2023), CC BY-NC 4.0.
    The same return type as ``word_preferences``. Pairs without a majority are left out.

    Parameters
    ----------
    folder : str or Path
        Where the file ``alpaca_farm_human_crossannotations.json`` lies, or where to put it.
    download : bool
        Whether to fetch it from Hugging Face if it is not there.

    Returns
    -------
    PreferencePairs
        Prompts have the form of AlpacaFarm's instructions. The last fifth of the pairs, in the order of the file, is of
        the part "dev". ``texts`` is empty: the reference is a public model.

    Raises
    ------
    FileNotFoundError
        If the file is not in ``folder`` and ``download`` is False.
    TypeError, ValueError
        If ``download`` is no bool, or the file is not in the format of the public set.

    Examples
    --------
    >>> from corelib.data import alpaca_farm
    >>> pairs = alpaca_farm("data", download=True)  # doctest: +SKIP
    >>> len(pairs.prompts) == len(pairs.agreement)  # doctest: +SKIP
    True
    """
    check_bool(download, "download")
    path = Path(folder) / FILE
    if not path.is_file():
        if not download:
            raise FileNotFoundError(f"no {FILE} in {Path(folder)}; pass download=True to fetch it")
        fetch(URL, path)
    votes = _votes(path)
    rows = [(key, first / total) for key, (first, total) in votes.items() if 2 * first != total]
    dev = len(rows) * DEV_PERCENT // 100
    return PreferencePairs(
        prompts=tuple(_prompt(instruction, text) for (instruction, text, _, _), _ in rows),
        chosen=tuple(a if share > 0.5 else b for (_, _, a, b), share in rows),
        rejected=tuple(b if share > 0.5 else a for (_, _, a, b), share in rows),
        agreement=np.array([max(share, 1 - share) for _, share in rows]),
        split=np.array(["train"] * (len(rows) - dev) + ["dev"] * dev),
        texts=(),
    )


def _votes(path: Path) -> dict[tuple[str, str, str, str], list[int]]:
    """Votes for the first output, and all votes, of each (instruction, input, output_1, output_2)."""
    votes = defaultdict(lambda: [0, 0])
    try:
        for row in json.loads(path.read_text(encoding="utf-8")):
            key = (row["instruction"], row.get("input") or "", row["output_1"], row["output_2"])
            first = {1: 1, 2: 0}[row["preference"]]
            votes[key][0] += first
            votes[key][1] += 1
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be a JSON list of objects with instruction, output_1, output_2 and preference (1 or 2); "
            f"delete it and download it again ({type(error).__name__}: {error})"
        ) from error
    return votes


def _prompt(instruction: str, text: str) -> str:
    given = f"\n\n### Input:\n{text}" if text else ""
    return f"### Instruction:\n{instruction}{given}\n\n### Response:\n"
