"""What predictions look like, and how they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transkd.evaluation.pictures import INK
from transkd.prediction.drawing import (
    LEAST_PANEL,
    MOST_PANEL,
    Classes,
    Drawer,
    colours_by_name,
    compare,
    distinct_colours,
)
from transkd.prediction.network import Prediction
from transkd.prediction.outputs import write_ids, write_pixels

CLASSES = Classes(("road", "car", "sky"), ((128, 64, 128), (0, 0, 142), (70, 130, 180)))


def halves(height: int = 60, width: int = 400, right: int = 1) -> Prediction:
    ids = np.zeros((height, width), np.uint8)
    ids[:, width // 2 :] = right
    return Prediction(ids)


def colours_in(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {colour for _, colour in Image.fromarray(pixels).getcolors(pixels.size)}


@pytest.mark.parametrize("opacity", [0.25, 1.0])
def test_an_overlay_mixes_picture_and_colours_above_the_classes_that_occur(opacity: float) -> None:
    image = np.full((60, 400, 3), 200, np.uint8)
    bare = Drawer("m", CLASSES, opacity, legend=False).overlay(image, halves())
    assert bare.shape == image.shape
    for column, colour in ((5, CLASSES.colours[0]), (350, CLASSES.colours[1])):
        assert np.abs(bare[5, column] - ((1 - opacity) * 200 + opacity * np.array(colour))).max() <= 0.5
    drawn = Drawer("m", CLASSES, opacity).overlay(image, halves())
    assert np.array_equal(drawn[:60], bare)
    squares = [np.rint((1 - opacity) * 128 + opacity * np.array(colour)).astype(int) for colour in CLASSES.colours]
    present = [tuple(square.tolist()) in colours_in(drawn[60:]) for square in squares]
    assert present == [True, True, False]
    assert (drawn[60:] == INK).all(2).any()


def test_all_frames_of_a_video_have_one_size_and_no_name_is_cut() -> None:
    classes = Classes(("road", "a class whose name is wider than such a small video"), CLASSES.colours[:2])
    drawer, image = Drawer("m", classes), np.full((60, 100, 3), 200, np.uint8)
    first, second = (drawer.overlay(image, halves(60, 100, right), every_class=True) for right in (0, 1))
    assert np.array_equal(first[60:], second[60:])
    assert first.shape[1] > 300
    one, both = (
        compare(image, [halves(60, 100, 0), halves(60, 100, right)], [drawer] * 2, every_class=True) for right in (0, 1)
    )
    assert one.shape == both.shape


@pytest.mark.parametrize(("width", "panel"), [(100, LEAST_PANEL), (500, 500), (3000, MOST_PANEL)])
def test_a_comparison_shows_picture_and_both_predictions(width: int, panel: int) -> None:
    image = np.full((width // 5, width, 3), 200, np.uint8)
    drawers = [Drawer("student", CLASSES), Drawer("teacher", CLASSES)]
    predictions = [halves(width // 5, width), halves(width // 5, width, right=2)]
    drawn, alone = compare(image, predictions, drawers), compare(image, predictions[:1], drawers[:1])
    assert drawn.shape[1] - alone.shape[1] == panel + 8
    row = 45 + panel // 10
    columns = [8 + number * (panel + 8) + 3 * panel // 4 for number in range(3)]
    assert [tuple(drawn[row, column]) for column in columns] == [(200,) * 3, CLASSES.colours[1], CLASSES.colours[2]]
    assert set(CLASSES.colours) <= colours_in(drawn)
    assert CLASSES.colours[2] not in colours_in(alone)


def test_colours_come_from_the_legend_that_knows_most_names() -> None:
    streets = {"Road": (1, 1, 1), "traffic light": (2, 2, 2), "car": (3, 3, 3)}
    rooms = {"wall": (4, 4, 4), "car": (5, 5, 5)}
    assert colours_by_name(("traffic_light", "road"), [rooms, streets]) == ((2, 2, 2), (1, 1, 1))
    found = colours_by_name(("car", "road", "boat"), [rooms, streets]) or ()
    assert found[:2] == ((3, 3, 3), (1, 1, 1))
    assert found[2] not in {*streets.values(), *rooms.values()}
    assert colours_by_name(("boat", "quay", "car"), [rooms, streets]) is None


def test_ids_are_8_bits_with_the_colours_as_palette(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_ids(ids, distinct_colours(12), tmp_path / "ids.png")
    assert (tmp_path / "ids.png").read_bytes()[24] == 8  # IHDR's bit depth
    with Image.open(tmp_path / "ids.png") as file:
        assert file.mode == "P"
        assert np.array_equal(np.asarray(file), ids)
        shown = np.asarray(file.convert("RGB")).reshape(-1, 3)
    assert [tuple(colour) for colour in shown.tolist()] == list(distinct_colours(12))
    write_pixels(np.zeros((8, 8, 3), np.uint8), tmp_path / "x.jpg")
    assert Image.open(tmp_path / "x.jpg").format == "JPEG"
