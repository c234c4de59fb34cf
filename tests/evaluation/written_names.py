"""What drawing code writes into pictures, and whether all of it is inside them."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import ImageDraw


class Written:
    """Records what Pillow writes, with its box and the picture's size."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[tuple[str, tuple[float, ...], tuple[int, int]]] = []
        write = ImageDraw.ImageDraw.text

        def record(pen: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, **how: Any) -> None:
            box = pen.textbbox(xy, text, font=how["font"], anchor=how.get("anchor"))
            self.texts.append((text, box, pen.im.size))
            write(pen, xy, text, **how)

        monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)

    def whole(self) -> list[str]:
        """Return all texts, none of which is cut off."""
        for text, (left, top, right, bottom), (width, height) in self.texts:
            assert left >= 0, text
            assert top >= 0, text
            assert right <= width, text
            assert bottom <= height, text
        return [text for text, _, _ in self.texts]
