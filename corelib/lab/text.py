"""Checks of the texts that are displayed and stored."""


def check_line(value: object, name: str) -> str:
    """``value`` if it is one non-empty line of text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str; got {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty")
    if "\n" in value:
        raise ValueError(f"{name} must be a single line; got {value!r}")
    return value
