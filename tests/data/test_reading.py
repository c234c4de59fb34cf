from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_files import ids, picture, write

from transkd.data import CAMVID
from transkd.data.classes import CITYSCAPES_LABEL_IDS
from transkd.data.labels import class_lookup, lookup_table, to_class_ids
from transkd.data.mask_files import read_label, read_mask
from transkd.data.reading import read_image
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


def test_exif_orientation_is_applied_to_images(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90 degrees clockwise
    result = read_image(saved(tmp_path / "a.png", Image.fromarray(SMOOTH), exif=exif))
    np.testing.assert_array_equal(result, np.rot90(SMOOTH, -1))


def test_labels_keep_their_ids(tmp_path: Path) -> None:
    label = ids(0, range(256))
    np.testing.assert_array_equal(read_label(write(tmp_path / "grey.png", label)), label)
    palette = Image.fromarray(label).convert("P")
    palette.putdata(label.ravel().tolist())
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    np.testing.assert_array_equal(read_label(saved(tmp_path / "palette.png", palette)), label)
    few = Image.fromarray(label % 12).convert("P")
    few.putdata((label % 12).ravel().tolist())
    np.testing.assert_array_equal(read_label(saved(tmp_path / "4-bit.png", few, bits=4)), label % 12)
    np.testing.assert_array_equal(read_label(write(tmp_path / "16.png", label.astype(np.uint16))), label)


def four_bit_grey_png(values: np.ndarray) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    height, width = values.shape
    packed = (values[:, ::2] << 4 | values[:, 1::2]).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([4, 0, 0, 0, 0])
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_label_files_that_are_no_labels(tmp_path: Path) -> None:
    wide = write(tmp_path / "wide.png", np.full((4, 4), 26001, np.uint16))
    with pytest.raises(DataError, match=r"wide\.png: 16-bit label ids from 26001 to 26001; ids must be 0 to 255"):
        read_label(wide)
    with pytest.raises(DataError, match=r"rgb\.png: a label must hold one id a pixel, .* RGB picture of colours"):
        read_label(write(tmp_path / "rgb.png", picture(0)))
    with pytest.raises(DataError, match=r"lossy\.jpg: a label stored as JPEG"):
        read_label(saved(tmp_path / "lossy.jpg", Image.fromarray(ids(0))))
    with pytest.raises(DataError, match=r"bits\.png: a 1-bit greyscale label"):
        read_label(saved(tmp_path / "bits.png", Image.fromarray(ids(0)).convert("1")))
    four = tmp_path / "four.png"
    four.write_bytes(four_bit_grey_png(ids(0, range(16))))
    with Image.open(four) as file:
        assert np.asarray(file).max() > 15, "the trap this guards against is gone: Pillow no longer rescales"
    with pytest.raises(DataError, match=r"four\.png: a 4-bit greyscale label"):
        read_label(four)


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("read", [read_image, read_label])
def test_truncated_files(tmp_path: Path, kind: str, read) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(0, (64, 64))).convert("L").save(buffer, {"jpg": "JPEG", "png": "PNG"}[kind])
    for keep in (0, 20, len(buffer.getvalue()) // 2, len(buffer.getvalue()) - 40):
        path = tmp_path / f"cut_{keep}.{kind}"
        path.write_bytes(buffer.getvalue()[:keep])
        with pytest.raises(DataError, match=rf"cut_{keep}\.{kind}: cannot read this (image|label) .*truncated"):
            read(path)


@pytest.mark.parametrize("read", [read_image, read_label])
def test_files_that_are_not_there_or_no_images(tmp_path: Path, read) -> None:
    with pytest.raises(DataError, match=r"gone\.png: the (image|label) does not exist"):
        read(tmp_path / "gone.png")
    text = tmp_path / "text.png"
    text.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(DataError, match=r"text\.png: cannot read this"):
        read(text)
    with pytest.raises(DataError, match="cannot read this"):
        read(tmp_path)
    flipped = bytearray(write(tmp_path / "flipped.png", picture(0)).read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / "flipped.png").write_bytes(flipped)
    with pytest.raises(DataError, match=r"flipped\.png: cannot read this"):
        read(tmp_path / "flipped.png")


def test_ids_map_as_a_plain_loop_does() -> None:
    raw = ids(3, range(34))
    raw[0, :3] = 255
    expected = [[CITYSCAPES_LABEL_IDS[-1 if v == 255 else v] for v in row] for row in raw.tolist()]
    mapped = to_class_ids(raw, lookup_table(CITYSCAPES_LABEL_IDS), Path("a.png"))
    assert mapped.dtype == np.uint8
    assert mapped.tolist() == expected
    camvid = to_class_ids(ids(3, range(12)), class_lookup(CAMVID, ignored=(11,)), Path("a.png"))
    np.testing.assert_array_equal(camvid, np.where(ids(3, range(12)) == 11, 255, ids(3, range(12))))


def test_ids_outside_the_classes_are_named() -> None:
    label = ids(0, range(11))
    label[0, :3], label[1, 1] = 12, 254
    message = r"x/a\.png: label ids outside .* 12 \(3 pixels\), 254 \(1 pixels\)\. Known ids are 0-11, 255"
    with pytest.raises(DataError, match=message):
        to_class_ids(label, class_lookup(CAMVID, ignored=(11,)), Path("x/a.png"))


def test_exif_orientation_is_applied_to_labels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    result = read_label(saved(tmp_path / "a.png", Image.fromarray(ids(0)), exif=exif))
    np.testing.assert_array_equal(result, np.rot90(ids(0), -1))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("read", [read_image, read_label])
def test_animations_are_refused(tmp_path: Path, suffix: str, read) -> None:
    frames = [Image.fromarray(picture(i)).quantize(8).convert("RGB") for i in range(3)]
    path = saved(tmp_path / f"moving{suffix}", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=rf"moving\{suffix}: this (image|label) holds 3 frames or pages; save the one"):
        read(path)


def test_a_picture_with_a_camera_preview_is_read(tmp_path: Path) -> None:
    image, preview = Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[::2, ::2])
    path = saved(tmp_path / "phone.jpg", image, format="MPO", save_all=True, append_images=[preview], quality=95)
    with Image.open(path) as file:
        assert (file.format, file.n_frames) == ("MPO", 2)
    assert read_image(path).shape == SMOOTH.shape


def test_masks_of_colours_and_palettes(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_mask(write(tmp_path / "rgb.png", picture(0))).pixels, picture(0))
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    palette = Image.fromarray(ids(0)).convert("P")
    palette.putdata(ids(0).ravel().tolist())
    palette.putpalette(colours.ravel().tolist())
    mask = read_mask(saved(tmp_path / "palette.png", palette))
    np.testing.assert_array_equal(mask.pixels, ids(0))
    np.testing.assert_array_equal(mask.palette[:19], colours[:19])
    assert read_mask(write(tmp_path / "grey.png", ids(0))).palette is None


def test_transparent_masks(tmp_path: Path) -> None:
    rgba = np.concatenate([picture(0), np.full((24, 32, 1), 255, np.uint8)], 2)
    np.testing.assert_array_equal(read_mask(write(tmp_path / "opaque.png", rgba)).pixels, picture(0))
    rgba[:2, :3, 3] = 0
    with pytest.raises(DataError, match=r"clear\.png: 6 pixels of this label are transparent"):
        read_mask(write(tmp_path / "clear.png", rgba))
    cmyk = saved(tmp_path / "cmyk.tif", Image.fromarray(picture(0)).convert("CMYK"))
    with pytest.raises(DataError, match=r"cmyk\.tif: a CMYK picture holds neither ids nor RGB colours"):
        read_mask(cmyk)
    grey_alpha = np.stack([ids(0), np.full((24, 32), 255, np.uint8)], 2)
    np.testing.assert_array_equal(
        read_mask(saved(tmp_path / "la.png", Image.fromarray(grey_alpha, "LA"))).pixels, ids(0)
    )
