"""Why a network could not be measured, in one line that a person reads."""

from __future__ import annotations

import torch

from transkd.errors import TransKDError

OUT_OF_MEMORY = "not enough memory"
LONGEST = 300
_ALLOCATORS = ("can't allocate memory", "DefaultCPUAllocator", "bad_alloc", "Failed to allocate memory")


def reason(error: BaseException) -> str:
    """Return what an error says, in one line."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _ALLOCATORS):
        return OUT_OF_MEMORY
    if isinstance(error, TransKDError):
        return " ".join(text.split())
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut where it is very long."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
