from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont
from written_names import Written

from transkd.evaluation import colourise, scene_picture
from transkd.evaluation.pictures import (
    BACKGROUND,
    INK,
    LETTERS,
    TITLE_HEIGHT,
    font,
    legend_strip,
    scene_sheet,
    shortened,
)
from transkd.evaluation.pictures import LEGEND_MARGIN as MARGIN

NAMES = ("road", "car", "sky")
PALETTE = ((128, 64, 128), (0, 0, 142), (70, 130, 180))


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


def test_legend_names_the_classes_that_occur_and_no_other() -> None:
    image = np.zeros((16, 32, 3), np.uint8)
    one = scene_picture(image, {"label": np.zeros((16, 32), int)}, NAMES, PALETTE)
    legend = np.asarray(one)[TITLE_HEIGHT + 192 + MARGIN :]
    colours = {tuple(colour) for colour in legend.reshape(-1, 3)}
    assert PALETTE[0] in colours
    assert PALETTE[1] not in colours
    assert BACKGROUND in colours
    assert (0, 0, 0) not in colours


def test_legend_says_what_black_is() -> None:
    label = np.zeros((16, 32), int)
    label[0, 0] = 255
    with_ignored = np.asarray(scene_picture(np.zeros((16, 32, 3), np.uint8), {"label": label}, NAMES, PALETTE))
    legend = with_ignored[TITLE_HEIGHT + 192 + MARGIN :]
    assert {PALETTE[0], (0, 0, 0)} <= {tuple(colour) for colour in legend.reshape(-1, 3)}


def test_a_long_legend_wraps_instead_of_running_out() -> None:
    names = tuple(f"a rather long class name {k}" for k in range(30))
    palette = tuple((k, 255 - k, 7) for k in range(30))
    label = np.arange(30).reshape(5, 6)
    picture = np.asarray(
        scene_picture(np.zeros((5, 6, 3), np.uint8), {"label": label}, names, palette, panel_width=120)
    )
    found = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert set(palette) <= found


@pytest.mark.parametrize("count", [11, 19, 150])
def test_all_names_are_written_inside_the_legend(count: int, written: Written) -> None:
    names = [f"a rather long name {k}" if k % 4 else f"n{k}" for k in range(count)]
    strip = np.asarray(legend_strip(names, [(200, 200, 255)] * count, 300))
    assert written.whole() == names
    assert (strip[:, [0, -1]] == BACKGROUND).all()
    assert (strip[[0, -1]] == BACKGROUND).all()


def test_a_single_name_that_is_wider_than_the_picture_is_not_cut(written: Written) -> None:
    name = "one class with a name that is much wider than such a small picture"
    image, label = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), int)
    picture = scene_picture(image, {"label": label}, [name], PALETTE, panel_width=64)
    assert picture.width > font(LETTERS).getlength(name)
    assert written.whole() == ["image", "label", name]


def test_letters_beyond_ascii_are_not_boxes() -> None:
    def drawn(letter: str) -> bytes:
        return bytes(font(20).getmask(letter))

    no_such_letter = drawn("\ufffe")
    assert all(drawn(letter) != no_such_letter for letter in "äßéłøдЖΩ")
    assert isinstance(font(), ImageFont.FreeTypeFont)


def test_a_long_title_stays_over_its_panel() -> None:
    title = "a scene's very long name in a deep folder (val)"
    cut = shortened(title, 100, LETTERS)
    assert title.endswith(cut.removeprefix("…"))
    assert 60 < font(LETTERS).getlength(cut) <= 100
    assert shortened("short", 100, LETTERS) == "short"
    maps = {title: np.zeros((8, 8), int), "b": np.zeros((8, 8), int)}
    picture = np.asarray(scene_picture(np.zeros((8, 8, 3), np.uint8), maps, NAMES, PALETTE, panel_width=100))
    gap = picture[:TITLE_HEIGHT, 2 * (100 + MARGIN) : 2 * (100 + MARGIN) + MARGIN]
    assert (gap == BACKGROUND).all()
    assert (picture[:TITLE_HEIGHT] == INK).all(2).any()


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
