"""Pictures of scenes, legends and confusion matrices: colours, and texts that nothing cuts off."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from transkd.evaluation import colourise, scene_picture
from transkd.evaluation.pictures import (
    BACKGROUND,
    CAPTION,
    EMPTY,
    FULL,
    NO_LABELS,
    TITLE_HEIGHT,
    above_legend,
    confusion_picture,
    font,
    scene_sheet,
)
from transkd.evaluation.pictures import LEGEND_MARGIN as MARGIN

NAMES = ("road", "car", "sky")
PALETTE = ((128, 64, 128), (0, 0, 142), (70, 130, 180))


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
            assert min(left, top) >= 0, text
            assert right <= width, text
            assert bottom <= height, text
        return [text for text, _, _ in self.texts]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    return Written(monkeypatch)


def colours_in(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}


def test_classes_get_their_colours_and_ignored_pixels_black() -> None:
    coloured = colourise(np.array([[0, 1], [2, 255]]), PALETTE)
    assert coloured.dtype == np.uint8
    assert coloured.tolist() == [[[128, 64, 128], [0, 0, 142]], [[70, 130, 180], [0, 0, 0]]]


def test_panels_stand_side_by_side_in_their_colours() -> None:
    image = np.full((20, 40, 3), 200, np.uint8)
    label, prediction = np.zeros((20, 40), np.int64), np.full((5, 10), 1)
    picture = np.asarray(scene_picture(image, {"label": label, "student": prediction}, NAMES, PALETTE, panel_width=80))
    centres = [MARGIN + column * (80 + MARGIN) + 40 for column in range(3)]
    row = TITLE_HEIGHT + 20
    assert [tuple(picture[row, column]) for column in centres] == [(200, 200, 200), PALETTE[0], PALETTE[1]]
    assert picture.shape[1] == MARGIN + 3 * (80 + MARGIN)


def test_the_legend_names_the_classes_that_occur_and_what_black_is() -> None:
    image, label = np.zeros((16, 32, 3), np.uint8), np.zeros((16, 32), int)
    legend = np.asarray(scene_picture(image, {"label": label}, NAMES, PALETTE))[TITLE_HEIGHT + 192 + MARGIN :]
    assert {PALETTE[0], BACKGROUND} <= colours_in(legend)
    assert not {PALETTE[1], (0, 0, 0)} & colours_in(legend)
    label[0, 0] = 255
    legend = np.asarray(scene_picture(image, {"label": label}, NAMES, PALETTE))[TITLE_HEIGHT + 192 + MARGIN :]
    assert {PALETTE[0], (0, 0, 0)} <= colours_in(legend)


@pytest.mark.parametrize("count", [11, 60])
def test_all_names_are_written_inside_the_legend(count: int, written: Written) -> None:
    names = [f"a rather long name {k}" if k % 4 else f"n{k}" for k in range(count)]
    entries = [(name, (200, 200, k)) for k, name in enumerate(names)]
    strip = np.asarray(above_legend(Image.new("RGB", (300, 1), BACKGROUND), entries, width=300, letters=13))
    assert written.whole() == names
    assert (strip[:, [0, -1]] == BACKGROUND).all()
    assert (strip[[0, -1]] == BACKGROUND).all()
    assert {colour for _, colour in entries} <= colours_in(strip)


def test_letters_beyond_ascii_are_not_boxes() -> None:
    def drawn(letter: str) -> bytes:
        return bytes(font(20).getmask(letter))

    no_such_letter = drawn("\ufffe")
    assert all(drawn(letter) != no_such_letter for letter in "äßéłøдЖΩ")
    assert isinstance(font(13), ImageFont.FreeTypeFont)


def test_a_sheet_has_one_legend_for_all_its_scenes() -> None:
    scenes = [(np.full((20, 40, 3), 200, np.uint8), {"label": np.full((20, 40), k)}) for k in (0, 1, 255)]
    sheet = np.asarray(scene_sheet(iter(scenes), NAMES, PALETTE, panel_width=80, columns=2))
    cell = 2 * (80 + MARGIN)
    assert sheet.shape[1] == MARGIN + 2 * cell
    row = TITLE_HEIGHT + 40 + MARGIN
    labels = [
        sheet[TITLE_HEIGHT + 20 + y * row, MARGIN + 80 + MARGIN + 40 + x * cell] for x, y in ((0, 0), (1, 0), (0, 1))
    ]
    assert [tuple(colour) for colour in labels] == [PALETTE[0], PALETTE[1], (0, 0, 0)]
    legend = {tuple(colour) for colour in sheet[2 * row :].reshape(-1, 3)}
    assert {PALETTE[0], PALETTE[1], (0, 0, 0)} <= legend
    assert PALETTE[2] not in legend


@pytest.mark.parametrize("count", [11, 60])
def test_every_name_stands_beside_its_row_and_above_its_column(count: int, written: Written) -> None:
    names = [f"class number {k}" for k in range(count)]
    names[1] = "a class with quite a long name"
    picture = np.asarray(confusion_picture(torch.eye(count) * 7, names))
    assert Counter(text for text in written.whole() if text in names) == dict.fromkeys(names, 2)
    assert written.whole()[:2] == list(CAPTION)
    for edge in (picture[:2], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == BACKGROUND).all()


def test_shares_are_of_the_row_and_a_row_without_labels_is_grey(written: Written) -> None:
    picture = np.asarray(confusion_picture(torch.tensor([[30, 10, 0], [0, 0, 0], [0, 3, 997]]), list("abc")))
    expected = {tuple(np.rint(EMPTY + share**0.6 * (FULL - EMPTY)).astype(int).tolist()) for share in (0.75, 0.25)}
    assert expected <= colours_in(picture)
    assert 3 * 32 * 32 <= (picture == NO_LABELS).all(2).sum() < 3 * 32 * 32 + 20  # letters' edges are grey too
    assert [text for text in written.whole() if text.isdigit()] == ["75", "25", "100"]
