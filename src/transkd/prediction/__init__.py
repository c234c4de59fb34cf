"""Predictions for pictures and videos on disk: what is read, what is computed, what is drawn and written."""

from typing import Literal, get_args

Kind = Literal["overlay", "colour", "ids", "compare", "confidence"]
"""What can be written of a picture or video."""
Existing = Literal["error", "skip", "overwrite"]
"""What to do where an output exists."""
KINDS: tuple[Kind, ...] = get_args(Kind)
EXACT_KINDS: tuple[Kind, ...] = ("ids", "confidence")
"""Kinds whose pixels are numbers: of a video, they are a folder with a PNG a frame, since videos lose them."""
