"""Files and published layouts with faults: nothing is read as something else than it is."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from scene_files import ids, picture, write

from transkd.cli.data.actions import CheckAction
from transkd.cli.data.check import print_classes, run_check
from transkd.data.check import Kind, survey
from transkd.data.colour_masks import MaskReader
from transkd.data.datasets import classes_of, find_incomplete_scenes, find_scenes, find_splits
from transkd.data.labels import lookup_table
from transkd.data.mask_files import read_label, read_mask
from transkd.data.reading import read_image
from transkd.errors import DataError

# Images


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_wide_images_that_hold_8_bits_are_not_black(tmp_path: Path, kind: type) -> None:
    path = write(tmp_path / "a.tif", np.arange(200, dtype=kind).reshape(10, 20))
    with pytest.raises(DataError, match=r"a\.tif: a 16- or 32-bit image whose values end at 199, which would be black"):
        read_image(path)
    assert not read_image(write(tmp_path / "b.png", np.zeros((4, 4), np.uint16))).any()
    assert read_image(write(tmp_path / "c.png", np.full((4, 4), 0x1234, np.uint16)))[0, 0].tolist() == [0x12] * 3


def test_files_that_are_no_pictures_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png: cannot read this image \(truncated to an empty file\)"):
        read_image(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(DataError, match=r"a\.png: cannot read this label \(a pointer of Git LFS to it\); run 'git lfs"):
        read_label(path)
    write(path, picture(0, (40, 40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    with pytest.raises(DataError, match=r"a\.png: this image is too large to be read .*1600 pixels.*cut it into tiles"):
        read_image(path)


# Masks


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("a.jpg", {}, "JPEG"),
        ("a.jp2", {}, "JPEG2000"),
        ("a.avif", {}, "AVIF"),
        ("a.webp", {}, "WEBP"),
        ("a.pgm", {}, "PPM"),
        ("a.tif", {"compression": "jpeg"}, "TIFF with jpeg compression"),
    ],
)
def test_masks_in_formats_that_change_ids_are_refused(
    tmp_path: Path, name: str, options: dict[str, str], kind: str
) -> None:
    Image.fromarray(ids(0, range(3))).save(tmp_path / name, **options)
    with pytest.raises(DataError, match=rf"{name}: a label stored as {kind}, which may change ids"):
        read_mask(tmp_path / name)


@pytest.mark.parametrize("white_is", [0, 1])
def test_tiffs_of_4_bits_of_either_sign(tmp_path: Path, white_is: int) -> None:
    tags = {256: 4, 257: 2, 258: 4, 259: 1, 262: white_is, 273: 200, 277: 1, 278: 2, 279: 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(header.ljust(200, b"\0") + b"\x01\x20\x12\x00")
    with pytest.raises(DataError, match=r"a\.tif: a 4-bit greyscale label"):
        read_mask(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colour_masks_of_16_bits_are_not_halved(tmp_path: Path, suffix: str, channels: int) -> None:
    """Pillow keeps the upper half of each channel, so that ids below 256 all become 0."""
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.full((8, 8, channels), 2, np.uint16))
    with pytest.raises(DataError, match=rf"a\{suffix}: a colour label with 16 bits a channel"):
        read_mask(path)


def test_float_masks_are_called_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.tif: a floating-point picture holds neither ids"):
        read_mask(write(tmp_path / "a.tif", np.ones((4, 4), np.float32)))


def test_ids_written_three_times(tmp_path: Path) -> None:
    label = ids(0, range(3))
    path = write(tmp_path / "a.png", np.repeat(label[:, :, None], 3, 2))
    table = lookup_table({0: 0, 1: 1, 2: 2})
    names = ("road", "car", "sky")
    np.testing.assert_array_equal(MaskReader(table, (), names)(path), label)
    coloured = (((1, 2, 3), 0), ((4, 5, 6), 1), ((7, 8, 9), 2))
    np.testing.assert_array_equal(MaskReader(table, coloured, names, "ids")(path), label)
    with pytest.raises(DataError, match=r"All of them are grey: if they are ids, set data\.options\.masks_hold=ids"):
        MaskReader(table, coloured, names)(path)
    with pytest.raises(DataError, match=r"an RGB picture, but no class has a colour"):
        MaskReader(table, (), names)(write(tmp_path / "b.png", picture(0)))


# Published layouts


def test_camvid_frames_of_one_name_are_not_chosen_from(make_camvid: Callable[..., Path]) -> None:
    root = make_camvid()
    frame = sorted((root / "train").iterdir())[0]
    write(frame.with_suffix(".jpg"), picture(77))
    with pytest.raises(DataError, match=rf"{frame.stem}\.png and .*{frame.stem}\.jpg have the same name"):
        find_scenes("camvid", root, "train")


def test_a_root_above_camvid_is_hinted_at(make_camvid: Callable[..., Path]) -> None:
    root = make_camvid()
    with pytest.raises(DataError, match=f"Did you mean {root}"):
        find_splits("camvid", root.parent)


def test_extra_cityscapes_images_without_fine_labels_are_no_split(cityscapes_root: Path) -> None:
    name = "train_extra/x/x_000000_000000"
    write(cityscapes_root / f"leftImg8bit/{name}_leftImg8bit.png", picture(0))
    assert find_splits("cityscapes", cityscapes_root) == ["train", "val"]
    write(cityscapes_root / f"gtFine/{name}_gtFine_labelIds.png", ids(0))
    assert find_splits("cityscapes", cityscapes_root) == ["train", "val", "train_extra"]


@pytest.mark.parametrize("conditions", [3, None])
def test_acdc_conditions_of_another_kind(acdc_root: Path, conditions: object) -> None:
    with pytest.raises(DataError, match=r"data\.options\.conditions: give 'all' or some of fog, night, rain, snow"):
        find_scenes("acdc", acdc_root, "train", conditions=conditions)


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    root = tmp_path / "nyu"
    for i in range(1, 5):
        write(root / f"images/{i:04d}.png", picture(i))
        write(root / f"labels40/{i:04d}.png", ids(i, range(41)))
    (root / "train.txt").write_text("0001\n0002\n")
    (root / "test.txt").write_text("0003\n0004\n")
    return root


def test_nyuv2_labels_that_count_from_0_are_not_read_one_off(nyu: Path) -> None:
    label = ids(0, range(40))
    label[0] = 255
    write(nyu / "labels40/0001.png", label)
    scenes = find_scenes("nyuv2", nyu, "train")
    with pytest.raises(DataError, match=r"outside the classes: 255 .*files that count them from 0 and hold 255 must"):
        scenes.read_label(scenes.samples[0].label)


def test_nyuv2_texts_that_are_no_lists(nyu: Path) -> None:
    (nyu / "LICENSE.txt").write_text("All rights reserved\nby\n")
    (nyu / "tiny.txt").write_text("0001\n")
    assert find_splits("nyuv2", nyu) == ["train", "test", "tiny"]


def test_a_list_that_names_no_file_at_all_is_told(nyu: Path) -> None:
    (nyu / "train.txt").write_text("1\n2\n")
    (place,) = find_incomplete_scenes("nyuv2", nyu, "train").unmatched
    assert place.nowhere == ("1", "2")
    with pytest.raises(DataError, match=r"train\.txt: 2 names of no file \(1, 2\), beside 0 complete pairs"):
        find_scenes("nyuv2", nyu, "train")
    found = survey("nyuv2", str(nyu), ["train"])
    assert [finding.kind for finding in found.findings] == [Kind.UNMATCHED] * 2
    assert found.findings[0].message.startswith("1: name of no file (")


# The check


def checked(root: Path, pictures: int = 4) -> tuple[str, Path]:
    """Check a folder; return what the screen shows and the contact sheet."""
    console = Console(width=200, record=True, file=io.StringIO())
    data = {"name": "folder", "root": str(root), "size": "native"}
    action = CheckAction(data=data, workers=0, pictures=pictures, output=str(root.parent / "out.json"), overwrite=True)
    outcome = run_check(action, lambda *_: None)
    outcome.print(console)
    assert outcome.sheet is not None
    return console.export_text(), outcome.sheet


def test_images_turned_by_exif_are_told_and_shown(tmp_path: Path) -> None:
    """A label of a mirrored or half-turned image has the right size, turned or not: only looking can tell."""
    root = tmp_path / "own"
    exif = Image.Exif()
    exif[0x0112] = 3
    for i in range(12):
        write(root / f"masks/s{i:02d}.png", ids(i, range(2)))
        path = write(root / f"images/s{i:02d}.jpg", np.full((24, 32, 3), 90, np.uint8))
        if i == 11:
            Image.fromarray(picture(i)).save(path, exif=exif)
    (root / "classes.yaml").write_text("- a\n- b\n")
    (root / "train.txt").write_text("".join(f"s{i:02d}\n" for i in range(12)))
    text, sheet = checked(root, pictures=1)
    assert "1 images of train are turned or mirrored by their EXIF orientation, such as" in text
    assert "s11.jpg" in text
    shown = np.asarray(Image.open(sheet))
    assert len(np.unique(shown[40:100, 40:200].reshape(-1, 3), axis=0)) > 50, "the turned one is in the sheet"


def test_an_outcome_that_could_not_be_written_is_told_before_reading(make_camvid: Callable[..., Path]) -> None:
    root = make_camvid()
    (root / "file").touch()
    read: list[int] = []
    data = {"name": "camvid", "root": str(root), "size": "native"}
    action = CheckAction(data=data, workers=0, pictures=0, output=str(root / "file/x/out.json"))
    with pytest.raises(DataError, match=r"cannot write .*out\.json: .*file is no folder that can be written to"):
        run_check(action, lambda done, _: read.append(done))
    assert read == []


def test_names_with_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    """Square brackets style the screen's text, and some of them end in an error there."""
    root = tmp_path / "[/own]"
    for split in ("train", "val"):
        write(root / f"masks/{split}/[b].png", ids(0, range(2)))
        write(root / f"images/{split}/[b].png", picture(len(split)))
    (root / "classes.yaml").write_text("- '[/x]'\n- '[red]y'\n")
    text, _ = checked(root)
    assert "[/x]" in text
    assert "[red]y" in text
    assert "folder at " in text
    assert "folders images/train and masks/train" in " ".join(text.split())
    console = Console(width=200, record=True, file=io.StringIO())
    print_classes(classes_of("folder", root), console)
    assert "[/x]" in console.export_text()


def test_nearly_black_images_are_told(tmp_path: Path) -> None:
    """12-bit numbers in 16-bit files, as cameras for science and heat write them."""
    root = tmp_path / "own"
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for i in range(2):
            write(root / f"masks/{split}/{i}.png", ids(i, range(2)))
            most = 4096 if split == "train" else 65536
            write(root / f"images/{split}/{i}.png", rng.integers(0, most, (24, 32)).astype(np.uint16))
    (root / "classes.yaml").write_text("- a\n- b\n")
    text, _ = checked(root)
    assert "the images of train are nearly black" in text
    assert "the images of val are nearly black" not in text
