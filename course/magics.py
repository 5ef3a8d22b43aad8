"""Lines that only a notebook understands."""


def python(source: str) -> str:
    """The source with such lines as comments."""
    return "\n".join(
        f"# {line}" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n")
    )
