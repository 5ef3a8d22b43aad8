"""Metrics asked for by their names, such as "ndcg@10"."""

import re
from collections.abc import Collection, Iterable, Mapping

_NAME = re.compile(r"(.+?)(?:@([1-9][0-9]{0,17}))?")


def parse_names(
    metrics: object,
    kinds: Mapping[str, str],
    *,
    example: str,
    need_cutoff: Collection[str] = (),
    no_cutoff: Collection[str] = (),
) -> dict[str, tuple[str, int | None]]:
    """The kind and the cutoff behind each name; ``kinds`` maps the spellings to the kinds that there are."""
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise TypeError(f"metrics must be a list of names; got {metrics!r}")
    wanted: dict[str, tuple[str, int | None]] = {}
    for name in metrics:
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match is None or match[1] not in kinds:
            raise ValueError(
                f"metrics must be of {', '.join(kinds)}, with a cutoff as in {example} where wanted; got {name!r}"
            )
        kind = kinds[match[1]]
        if kind in need_cutoff and match[2] is None:
            raise ValueError(
                f"metrics must have a cutoff, as in {name + '@10'!r}, for {match[1]!r}; got {name!r}"
            )
        if kind in no_cutoff and match[2] is not None:
            raise ValueError(f"metrics must have no cutoff for {match[1]!r}; got {name!r}")
        wanted[name] = kind, int(match[2]) if match[2] else None
    if not wanted:
        raise ValueError("metrics must name at least one metric; got none")
    return wanted
