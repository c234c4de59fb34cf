from __future__ import annotations

import numpy as np

from transkd.evaluation import colourise, scene_picture
from transkd.evaluation.legend import BACKGROUND, MARGIN
from transkd.evaluation.pictures import TITLE_HEIGHT

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
