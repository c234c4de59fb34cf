"""The examples in the help of a command, as a person would copy them."""

from __future__ import annotations

import re


def examples_of_help(text: str) -> list[str]:
    """Return the commands under "Examples": joined where a backslash ends a line, without what is said beside them."""
    block = re.split(r"\nExamples:?\n", text)[1].partition("\n\n")[0]
    lines = re.sub(r"\s*\\\n\s*", " ", block).splitlines()
    return [re.split(r"\s{3,}", line.strip())[0] for line in lines]
