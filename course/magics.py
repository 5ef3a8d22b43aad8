"""Lines that only a notebook understands."""

import re

MAGIC = re.compile(r"^(\s*)([%!])")


def python(source: str) -> str:
    """The source with ``pass`` in the place of such lines, which may be all that a block holds."""
    return "\n".join(MAGIC.sub(r"\1pass  # \2", line) for line in source.split("\n"))
