from __future__ import annotations

import struct
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scene_files import ids, picture, write

from transkd.data import CAMVID
from transkd.data.classes import CITYSCAPES_LABEL_IDS
from transkd.data.labels import IdReader, class_id_reader, lookup_table
from transkd.data.reading import image_size, read_image, read_label, read_mask
from transkd.errors import DataError

# Smooth, so that lossy formats keep it closely.
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[0:240:24j, 0:240:32j], 90.0), axis=-1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def test_kinds_of_images_become_rgb(tmp_path: Path) -> None:
    rgb = Image.fromarray(SMOOTH)
    grey = np.asarray(rgb.convert("L"))
    exact = {
        "rgb.png": (rgb, SMOOTH),
        "rgba.png": (rgb.convert("RGBA"), SMOOTH),
        "grey.png": (rgb.convert("L"), np.repeat(grey[..., None], 3, 2)),
        "grey-alpha.png": (rgb.convert("LA"), np.repeat(grey[..., None], 3, 2)),
        "16-bit.png": (Image.fromarray(grey.astype(np.uint16) * 257), np.repeat(grey[..., None], 3, 2)),
    }
    for name, (image, expected) in exact.items():
        result = read_image(saved(tmp_path / name, image))
        assert result.dtype == np.uint8, name
        np.testing.assert_array_equal(result, expected, err_msg=name)
    palette = rgb.quantize(64)
    np.testing.assert_array_equal(
        read_image(saved(tmp_path / "palette.png", palette)), np.asarray(palette.convert("RGB"))
    )
    for name, image in {"a.jpg": rgb, "cmyk.jpg": rgb.convert("CMYK")}.items():
        result = read_image(saved(tmp_path / name, image, quality=95, subsampling=0))
        assert np.abs(result.astype(int) - SMOOTH).max() <= 12, name


def test_labels_keep_their_ids(tmp_path: Path) -> None:
    label = ids(0, range(256))
    np.testing.assert_array_equal(read_label(write(tmp_path / "grey.png", label)), label)
    colours = np.random.default_rng(0).integers(0, 256, 768).tolist()
    mask = read_mask(write(tmp_path / "palette.png", label, colours))
    np.testing.assert_array_equal(mask.pixels, label)
    assert mask.palette.ravel().tolist() == colours
    few = Image.fromarray(label % 12).convert("P")
    few.putdata((label % 12).ravel().tolist())
    np.testing.assert_array_equal(read_label(saved(tmp_path / "4-bit.png", few, bits=4)), label % 12)
    np.testing.assert_array_equal(read_label(write(tmp_path / "16.png", label.astype(np.uint16))), label)
    np.testing.assert_array_equal(read_mask(write(tmp_path / "rgb.png", picture(0))).pixels, picture(0))


def test_ids_map_as_a_plain_loop_does(tmp_path: Path) -> None:
    raw = ids(3, range(34))
    raw[0, :3] = 255
    path = write(tmp_path / "a.png", raw)
    expected = [[CITYSCAPES_LABEL_IDS[-1 if v == 255 else v] for v in row] for row in raw.tolist()]
    mapped = IdReader(lookup_table(CITYSCAPES_LABEL_IDS))(path)
    assert (mapped.dtype, mapped.tolist()) == (np.uint8, expected)
    label = ids(0, range(11))
    label[0, :3], label[1, 1] = 12, 254
    message = r"a\.png: label ids outside .* 12 \(3 pixels\), 254 \(1 pixels\)\. Known ids are 0-11, 255"
    with pytest.raises(DataError, match=message):
        class_id_reader(CAMVID, ignored=(11,))(write(path, label))


def test_a_picture_with_a_camera_preview_is_read(tmp_path: Path) -> None:
    image, preview = Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[::2, ::2])
    path = saved(tmp_path / "phone.jpg", image, format="MPO", save_all=True, append_images=[preview], quality=95)
    with Image.open(path) as file:
        assert (file.format, file.n_frames) == ("MPO", 2)
    assert read_image(path).shape == SMOOTH.shape


def test_transparent_masks(tmp_path: Path) -> None:
    rgba = np.concatenate([picture(0), np.full((24, 32, 1), 255, np.uint8)], 2)
    np.testing.assert_array_equal(read_mask(write(tmp_path / "opaque.png", rgba)).pixels, picture(0))
    rgba[:2, :3, 3] = 0
    with pytest.raises(DataError, match=r"clear\.png: 6 pixels of this label are transparent"):
        read_mask(write(tmp_path / "clear.png", rgba))
    grey_alpha = Image.fromarray(np.stack([ids(0), np.full((24, 32), 255, np.uint8)], 2), "LA")
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "la.png", grey_alpha)).pixels, ids(0))


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


@pytest.mark.parametrize("read", [read_image, read_label])
def test_exif_orientation_is_applied(tmp_path: Path, read) -> None:
    pixels = SMOOTH if read is read_image else ids(0)
    exif = Image.Exif()
    for orientation, turns in ((1, 0), (3, 2), (6, -1), (8, 1)):  # 6 is shown rotated by 90 degrees clockwise
        exif[0x0112] = orientation
        path = saved(tmp_path / "a.png", Image.fromarray(pixels), exif=exif)
        np.testing.assert_array_equal(read(path), np.rot90(pixels, turns))
        assert image_size(path) == read(path).shape[:2]


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_truncated_files(tmp_path: Path, kind: str) -> None:
    whole = saved(tmp_path / f"whole.{kind}", Image.fromarray(picture(0, (64, 64))).convert("L")).read_bytes()
    for read, keep in product((read_image, read_label), (0, 20, len(whole) // 2, len(whole) - 40)):
        path = tmp_path / f"cut_{keep}.{kind}"
        path.write_bytes(whole[:keep])
        with pytest.raises(DataError, match=rf"cut_{keep}\.{kind}: cannot read this (image|label) .*truncated"):
            read(path)


def animation(path: Path) -> None:
    frames = [Image.fromarray(picture(i)).quantize(8).convert("RGB") for i in range(3)]
    saved(path, frames[0], save_all=True, append_images=frames[1:])


def flipped_bit(path: Path) -> None:
    content = bytearray(write(path, picture(0)).read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def four_bits(path: Path) -> None:
    """Write a TIFF file of 4-bit greys by hand, in which black is 1."""
    tags = {256: 4, 257: 2, 258: 4, 259: 1, 262: 1, 273: 200, 277: 1, 278: 2, 279: 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    path.write_bytes(header.ljust(200, b"\0") + b"\x01\x20\x12\x00")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


@pytest.mark.parametrize(
    ("read", "name", "make", "message"),
    [
        (read_image, "a.png", None, "the image does not exist"),
        (read_label, "a.png", lambda p: p.write_bytes(LFS), r"cannot read this label \(a pointer of Git LFS to it\)"),
        (read_image, "a.png", flipped_bit, "cannot read this image"),
        (read_image, "a.gif", animation, "this image holds 3 frames or pages"),
        (read_label, "a.tif", animation, "this label holds 3 frames or pages"),
        (
            read_image,
            "a.tif",
            lambda p: write(p, np.arange(200, dtype=np.uint16).reshape(10, 20)),
            "a 16- or 32-bit image whose values end at 199 of 65535",
        ),
        (
            read_label,
            "a.png",
            lambda p: write(p, np.full((4, 4), 26001, np.uint16)),
            "16-bit label ids from 26001 to 26001; ids must be 0 to 255",
        ),
        (read_label, "a.png", lambda p: write(p, picture(0)), "a label must hold one id a pixel, .* RGB picture"),
        (read_label, "a.png", lambda p: Image.fromarray(ids(0)).convert("1").save(p), "a 1-bit greyscale label"),
        (read_label, "a.tif", four_bits, "a 4-bit greyscale label"),
        (
            read_mask,
            "a.png",
            lambda p: cv2.imwrite(str(p), np.full((8, 8, 3), 2, np.uint16)),
            "a 16-bit colour picture holds neither",
        ),
        (read_mask, "a.tif", lambda p: write(p, np.ones((4, 4), np.float32)), "a floating-point picture holds neither"),
        (read_mask, "a.tif", lambda p: Image.new("CMYK", (4, 4)).save(p), "a CMYK picture holds neither ids nor RGB"),
        (image_size, "a.png", None, "the image does not exist"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, read, name: str, make, message: str) -> None:
    path = tmp_path / name
    if make is not None:
        make(path)
    with pytest.raises(DataError, match=rf"{name}: {message}"):
        read(path)


def test_images_too_large_to_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.png", picture(0, (40, 40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    with pytest.raises(DataError, match=r"a\.png: this image is too large to be read .*1600 pixels.*cut it into tiles"):
        read_image(path)
