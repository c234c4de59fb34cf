"""Masks of ids, palettes and colours, decoded as a plain loop over pixels does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scene_files import ids, write

from transkd.data.colour_masks import MaskReader, decode_colours
from transkd.data.labels import UNKNOWN_ID, UnknownIdsError, lookup_table
from transkd.errors import DataError

NAMES = ("road", "car", "sky")
COLOURS = (((128, 64, 128), 0), ((0, 0, 142), 1), ((70, 130, 180), 2), ((0, 0, 0), 255))
IDS = np.array([[0, 1, 2, 2], [255, 1, 0, 2], [2, 2, 1, 255]], np.uint8)
SHADES = {class_id: colour for colour, class_id in COLOURS}
RGB = np.array([[SHADES[v] for v in row] for row in IDS.tolist()], np.uint8)


def reader(kind="auto", colours=COLOURS, default_ignore=False, names=NAMES, ids=None) -> MaskReader:
    ids = {0: 0, 1: 1, 2: 2, 255: 255} if ids is None else ids
    return MaskReader(lookup_table(ids), colours, names, kind, default_ignore)


def palette(colours: dict[int, tuple[int, int, int]]) -> list[int]:
    return [channel for i in range(256) for channel in colours.get(i, (9, 9, 9))]


def test_every_colour_is_decoded_as_a_loop_does() -> None:
    rng = np.random.default_rng(0)
    table = {tuple(colour): i for i, colour in enumerate(rng.integers(0, 256, (40, 3)).tolist())}
    known = np.array(list(table), np.uint8)
    pixels = np.where(rng.random((50, 60, 1)) < 0.9, known[rng.integers(0, 40, (50, 60))], np.uint8(7))
    expected = [[table.get(tuple(pixel), UNKNOWN_ID) for pixel in row] for row in pixels.tolist()]
    assert decode_colours(pixels, list(table.items())).tolist() == expected
    assert any(UNKNOWN_ID in row for row in expected)


def test_files_are_read_by_ids_or_colours(tmp_path: Path) -> None:
    opaque = np.concatenate([RGB, np.full((*IDS.shape, 1), 255, np.uint8)], 2)
    order = {13: SHADES[0], 11: SHADES[1], 12: SHADES[2], 10: SHADES[255]}  # colours counted anew for each file
    shuffled = np.vectorize({0: 13, 1: 11, 2: 12, 255: 10}.get)(IDS).astype(np.uint8)
    for name, kind, pixels, colours in (
        ("rgb", "auto", RGB, None),
        ("rgb", "colours", RGB, None),
        ("alpha", "auto", opaque, None),
        ("ids and colours agree", "auto", IDS, palette(SHADES)),
        ("by colours", "auto", shuffled, palette(order)),
        ("by ids", "auto", IDS, palette({})),
    ):
        read = reader(kind)(write(tmp_path / "a.png", pixels, colours))
        np.testing.assert_array_equal(read, IDS, err_msg=name)


def test_a_palette_that_means_two_things_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "two.png", IDS, palette({**SHADES, 0: SHADES[1], 1: SHADES[0]}))
    with pytest.raises(DataError, match=r"two\.png: this mask means one thing by its ids .*masks_hold=ids or"):
        reader()(path)
    np.testing.assert_array_equal(reader("ids")(path), IDS)
    exchanged = np.where(IDS == 0, 1, np.where(IDS == 1, 0, IDS))
    np.testing.assert_array_equal(reader("colours")(path), exchanged)


def test_unknown_colours_are_named_counted_and_compared(tmp_path: Path) -> None:
    strange = RGB.copy()
    strange[0, :3] = (0, 0, 140)
    strange[1, 1] = (1, 2, 3)
    with pytest.raises(UnknownIdsError) as caught:
        reader()(write(tmp_path / "strange.png", strange))
    message = str(caught.value)
    assert f"{tmp_path / 'strange.png'}: colours of no class: " in message
    assert "[0, 0, 140] (3 pixels, nearest is car [0, 0, 142])" in message
    assert "[1, 2, 3] (1 pixels, nearest is ignore [0, 0, 0])" in message
    assert caught.value.values == ("[0, 0, 140]", "[1, 2, 3]")
    smooth = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    with pytest.raises(DataError, match=r"395 more colours.*resized smoothly or saved lossily"):
        reader()(write(tmp_path / "smooth.png", smooth))
    with pytest.raises(DataError, match=r"colours of no class: \[9, 9, 9\] \(1 pixels"):
        reader("colours")(write(tmp_path / "palette.png", np.array([[0, 3]], np.uint8), palette(SHADES)))


def test_black_and_white_masks_are_never_guessed(tmp_path: Path) -> None:
    mask = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
    path = write(tmp_path / "bw.png", mask)
    options = {"names": ("background", "person"), "ids": {0: 0, 1: 1, 255: 255}}
    with pytest.raises(DataError, match=r"bw\.png: this mask holds only 0 and 255\. If 255 is the class person"):
        reader(colours=(), default_ignore=True, **options)(path)
    np.testing.assert_array_equal(reader(colours=(), **options)(path), mask)
    grey = (((0, 0, 0), 0), ((255, 255, 255), 1))
    np.testing.assert_array_equal(reader(colours=grey, default_ignore=True, **options)(path), mask // 255)


def test_colours_of_grey_masks_that_are_no_ids(tmp_path: Path) -> None:
    """Ids 100 and 200 of a grey file are the colours (100, 100, 100) and (200, 200, 200)."""
    colours = (((100, 100, 100), 0), ((200, 200, 200), 1))
    path = write(tmp_path / "grey.png", np.array([[100, 200], [200, 100]], np.uint8))
    assert reader(colours=colours, default_ignore=True)(path).tolist() == [[0, 1], [1, 0]]


def test_ids_written_three_times(tmp_path: Path) -> None:
    label = ids(0, range(3))
    path = write(tmp_path / "a.png", np.repeat(label[:, :, None], 3, 2))
    np.testing.assert_array_equal(reader(colours=())(path), label)
    coloured = (((1, 2, 3), 0), ((4, 5, 6), 1), ((7, 8, 9), 2))
    np.testing.assert_array_equal(reader("ids", coloured)(path), label)
    with pytest.raises(DataError, match=r"All of them are grey: if they are ids, set data\.options\.masks_hold=ids"):
        reader(colours=coloured)(path)


@pytest.mark.parametrize(
    ("options", "pixels", "message"),
    [
        ({"colours": ()}, RGB, r"a\.png: an RGB picture, but no class has a colour"),
        ({"kind": "ids"}, RGB, r"a\.png: an RGB picture, but data\.options\.masks_hold=ids"),
        (
            {"colours": ()},
            np.array([[7, 7], [0, 1]], np.uint8),
            r"a\.png: label ids outside the classes: 7 \(2 pixels\)",
        ),
    ],
)
def test_masks_that_do_not_fit_the_classes_are_named(tmp_path: Path, options, pixels, message: str) -> None:
    with pytest.raises(DataError, match=message):
        reader(**options)(write(tmp_path / "a.png", pixels))
