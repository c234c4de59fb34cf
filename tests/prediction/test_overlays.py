from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transkd.evaluation.pictures import BACKGROUND, INK, SteadyLegend
from transkd.prediction.drawing import (
    LEAST_LEGEND,
    LEAST_PANEL,
    MOST_PANEL,
    MOST_PANEL_HEIGHT,
    Classes,
    Drawer,
    colours_by_name,
    confidence_pixels,
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
    return {tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}


def test_an_overlay_mixes_picture_and_colours_and_keeps_the_size() -> None:
    image = np.full((60, 400, 3), 200, np.uint8)
    bare = Drawer("m", CLASSES, opacity=0.25, legend=False).overlay(image, halves())
    assert bare.shape == image.shape
    assert bare[5, 5].tolist() == [182, 166, 182]
    assert bare[5, 350].tolist() == [150, 150, round(0.75 * 200 + 0.25 * 142)]
    with_legend = Drawer("m", CLASSES, opacity=0.25).overlay(image, halves())
    assert np.array_equal(with_legend[:60], bare)


def swatches(legend: np.ndarray) -> set[tuple[int, ...]]:
    """Colours of the squares, which the outline surrounds: (left, top) + 3 of each."""
    outlined = (legend == INK).all(2)
    corners = outlined[:-1, :-1] & outlined[1:, :-1] & outlined[:-1, 1:] & ~outlined[1:, 1:]
    whole = (outlined[y, x : x + 12].all() and outlined[y : y + 12, x].all() for y, x in np.argwhere(corners))
    squares = [corner for corner, is_square in zip(np.argwhere(corners), whole, strict=True) if is_square]
    return {tuple(legend[y + 3, x + 3].tolist()) for y, x in squares}


@pytest.mark.parametrize("opacity", [0.25, 0.5, 1.0])
def test_the_legend_shows_classes_as_they_look_in_the_overlay_and_no_other(opacity: float) -> None:
    image = np.full((60, 400, 3), 200, np.uint8)
    image[:, 200:] = (10, 40, 80)
    drawn = Drawer("m", CLASSES, opacity=opacity).overlay(image, halves())
    road, car = tuple(drawn[5, 5].tolist()), tuple(drawn[5, 350].tolist())
    assert swatches(drawn[60:]) == {road, car}
    assert (road == CLASSES.colours[0]) == (opacity == 1)


def test_a_class_over_many_colours_has_their_mean_in_the_legend() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 400, 3), dtype=np.uint8)
    drawn = Drawer("m", CLASSES).overlay(image, halves(right=0))
    (swatch,) = swatches(drawn[60:])
    expected = 0.5 * image.reshape(-1, 3).mean(0) + 0.5 * np.array(CLASSES.colours[0])
    assert np.abs(np.array(swatch) - expected).max() <= 1


def test_a_tiny_picture_is_enlarged_to_a_legend_that_can_be_read() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 33, 3), dtype=np.uint8)
    small = Drawer("m", CLASSES, legend=False).overlay(image, halves(40, 33))
    assert small.shape == (40, 33, 3)
    drawn = Drawer("m", CLASSES).overlay(image, halves(40, 33))
    assert drawn.shape[1] == 33 * 8 >= LEAST_LEGEND
    assert np.array_equal(drawn[: 40 * 8 : 8, ::8], small)
    assert Drawer("m", CLASSES).overlay(np.zeros((3000, 3, 3), np.uint8), halves(3000, 3)).shape[0] < 3100


@pytest.mark.parametrize(("width", "panel"), [(100, LEAST_PANEL), (500, 500), (3000, MOST_PANEL)])
def test_a_comparison_shows_picture_and_both_predictions(width: int, panel: int) -> None:
    image = np.full((width // 5, width, 3), 200, np.uint8)
    one, other = Drawer("student", CLASSES), Drawer("teacher", CLASSES)
    drawn = one.compare(image, halves(width // 5, width), (other, halves(width // 5, width, right=2)))
    alone = one.compare(image, halves(width // 5, width))
    assert drawn.shape[1] - alone.shape[1] == panel + 8
    row = 30 + panel // 10
    columns = [8 + number * (panel + 8) + 3 * panel // 4 for number in range(3)]
    assert [tuple(drawn[row, column]) for column in columns] == [(200,) * 3, CLASSES.colours[1], CLASSES.colours[2]]
    assert set(CLASSES.colours) <= colours_in(drawn)
    assert CLASSES.colours[2] not in colours_in(alone)


def test_a_comparison_of_a_strip_stays_small_and_keeps_its_titles() -> None:
    for height, width in ((5000, 3), (3, 5000), (700, 40)):
        drawn = Drawer("student", CLASSES).compare(np.zeros((height, width, 3), np.uint8), halves(height, width))
        assert drawn.shape[0] <= MOST_PANEL_HEIGHT + 100
        assert 2 * LEAST_PANEL < drawn.shape[1] <= 3 * MOST_PANEL
        assert (drawn[:20, drawn.shape[1] // 2 :] < 100).any()  # the second title


def test_classes_of_the_same_name_and_colour_stand_in_a_legend_once() -> None:
    other = Drawer("other", Classes(("sky", "boat"), ((70, 130, 180), (9, 9, 9))))
    image = np.zeros((60, 400, 3), np.uint8)
    steady = Drawer("m", CLASSES).steady_legend("compare", image, [other])
    assert steady is not None
    assert list(steady.names) == ["road", "car", "sky", "boat"]


def test_the_legend_of_a_video_shows_what_is_mixed_and_no_name_is_cut() -> None:
    classes = Classes(("road", "a class whose name is wider than such a small video"), ((128, 64, 128), (0, 0, 142)))
    drawer = Drawer("m", classes)
    image = np.full((60, 100, 3), 200, np.uint8)
    steady = drawer.steady_legend("overlay", image)
    first = drawer.overlay(image, halves(60, 100, right=0), steady)
    second = drawer.overlay(image // 2, halves(60, 100), steady)
    assert first.shape == second.shape
    road, car = tuple(first[5, 5].tolist()), tuple(second[5, 90].tolist())
    assert swatches(first[60:]) == {road}
    assert swatches(second[60:]) == {road, car}
    assert (second[60:, -1] == BACKGROUND).all()


def test_a_legend_without_room_says_what_it_leaves_out() -> None:
    names = [f"class {number}" for number in range(40)]
    steady = SteadyLegend(names, distinct_colours(40), 240, 13, 60)
    strip = steady.strip(range(40))
    assert strip.size[1] <= 60
    assert steady.left_out == names[40 - len(steady.left_out) :]
    assert 0 < len(steady.left_out) < 40


def test_distinct_colours_are_distinct_bright_and_always_the_same() -> None:
    colours = distinct_colours(256)
    assert len(set(colours)) == 256
    assert colours[:20] == distinct_colours(20)
    hues = sorted(colorsys.rgb_to_hsv(*(value / 255 for value in colour))[0] for colour in colours[:20])
    gaps = np.diff([*hues, hues[0] + 1])
    assert gaps.max() < 0.12
    assert min(max(colour) for colour in colours) > 140


def test_colours_come_from_the_legend_that_knows_most_names() -> None:
    streets = {"Road": (1, 1, 1), "traffic light": (2, 2, 2), "car": (3, 3, 3)}
    rooms = {"wall": (4, 4, 4), "car": (5, 5, 5)}
    assert colours_by_name(("traffic_light", "road"), [rooms, streets]) == ((2, 2, 2), (1, 1, 1))
    found = colours_by_name(("car", "road", "boat"), [rooms, streets])
    assert found is not None
    assert found[:2] == ((3, 3, 3), (1, 1, 1))
    assert found[2] not in {*streets.values(), *rooms.values()}
    assert colours_by_name(("boat", "quay", "car"), [rooms, streets]) is None
    assert colours_by_name(("boat",), []) is None


def test_ids_are_8_bits_with_the_colours_as_palette(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_ids(ids, distinct_colours(12), tmp_path / "ids.png")
    assert (tmp_path / "ids.png").read_bytes()[24] == 8  # IHDR's bit depth
    with Image.open(tmp_path / "ids.png") as file:
        assert file.mode == "P"
        assert np.array_equal(np.asarray(file), ids)
        shown = np.asarray(file.convert("RGB")).reshape(-1, 3)
    assert [tuple(colour) for colour in shown.tolist()] == list(distinct_colours(12))


def test_confidences_are_grey_and_jpegs_are_jpegs(tmp_path: Path) -> None:
    grey = confidence_pixels(Prediction(np.zeros((1, 3), np.uint8), np.array([[0, 0.5, 1]], np.float32)))
    assert grey.tolist() == [[0, 128, 255]]
    write_pixels(np.zeros((8, 8, 3), np.uint8), "overlay", tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as file:
        assert file.format == "JPEG"
