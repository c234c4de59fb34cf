"""NYUv2 from MATLAB files made in the published layout, by h5py and scipy themselves."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from transkd.data import build_dataset
from transkd.data.convert import convert_nyuv2
from transkd.errors import DataError

COUNT, WIDTH, HEIGHT = 6, 32, 24
LABELS = 894
MAPPING = (np.arange(LABELS) % 40 + 1).astype(np.uint8)


@pytest.fixture
def archive(tmp_path: Path) -> dict[str, Path]:
    """Three files as published: HDF5 in MATLAB's order of axes, behind MATLAB's 512 bytes, and two of version 5."""
    paths = {name: tmp_path / f"{name}.mat" for name in ("mat", "mapping", "splits")}
    rng = np.random.default_rng(0)
    with h5py.File(paths["mat"], "w", userblock_size=512) as file:
        file["images"] = rng.integers(0, 256, (COUNT, 3, WIDTH, HEIGHT), dtype=np.uint8)
        labels = rng.integers(0, LABELS + 1, (COUNT, WIDTH, HEIGHT), dtype=np.uint16)
        labels[:, 0, 0] = 0
        file["labels"] = labels
        file["depths"] = rng.random((COUNT, WIDTH, HEIGHT), dtype=np.float32)
    savemat(paths["mapping"], {"mapClass": MAPPING[None], "className": np.array(["wall"], object)})
    savemat(paths["splits"], {"trainNdxs": np.array([[2], [4], [5]], np.uint16), "testNdxs": np.array([[1], [3], [6]])})
    return paths


def test_the_folder_layout_is_written(archive: dict[str, Path], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = convert_nyuv2(**archive, root=tmp_path / "out", progress=lambda *step: steps.append(step))
    assert str(report) == f"wrote 6 scenes; {tmp_path / 'out'} holds 6"
    assert steps[-1] == (6, 6)
    with h5py.File(archive["mat"]) as file:
        images, labels = np.asarray(file["images"]), np.asarray(file["labels"])
    for i in range(COUNT):
        written = np.asarray(Image.open(tmp_path / f"out/images/{i + 1:04d}.png"))
        assert all((written[y, x] == images[i, :, x, y]).all() for y in range(HEIGHT) for x in range(WIDTH))
        raw = labels[i].T.tolist()
        expected = [[0 if value == 0 else int(MAPPING[value - 1]) for value in row] for row in raw]
        assert np.asarray(Image.open(tmp_path / f"out/labels40/{i + 1:04d}.png")).tolist() == expected
    train, test = (build_dataset("nyuv2", tmp_path / "out", split) for split in ("train", "test"))
    assert [sample.name for sample in train.samples] == ["0002", "0004", "0005"]
    assert [sample.name for sample in test.samples] == ["0001", "0003", "0006"]
    assert test[0]["label"][0, 0] == 255


def test_an_interrupted_conversion_is_resumed(archive: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_nyuv2(**archive, root=out, workers=1, progress=stop)
    assert not (out / "train.txt").exists()
    (out / "labels40/0001.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in (out / "labels40").glob("*.png")}
    report = convert_nyuv2(**archive, root=out, workers=1)
    assert report.written == COUNT - len(before)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "nothing to do" in str(convert_nyuv2(**archive, root=out))


def test_other_files_are_never_overwritten(archive: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(DataError, match=r"already holds other files \(mine\.txt\)"):
        convert_nyuv2(**archive, root=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("key", "content", "message"),
    [
        ("mat", None, r"there is no file .*wrong\.mat"),
        ("splits", b"cut", r"wrong\.mat: not a readable MATLAB file"),
        ("mat", b"cut", r"wrong\.mat: not a readable MATLAB file"),
        ("mapping", {"x": [1]}, r"wrong\.mat holds no 'mapClass' \(it holds x\)"),
        ("mapping", {"mapClass": np.arange(LABELS)}, r"wrong\.mat: 'mapClass' must map to the classes 1 to 40"),
        ("splits", {"trainNdxs": [1, 2], "testNdxs": [2, 3]}, r"wrong\.mat: its numbers must be 1 to 6, .* each once"),
        ("splits", {"trainNdxs": [1, 2], "testNdxs": [7]}, r"wrong\.mat: its numbers must be 1 to 6"),
        ("mapping", {"mapClass": MAPPING[:13]}, r"scene \d has label \d+, but the mapping ends at 13"),
    ],
)
def test_files_that_are_wrong(archive: dict[str, Path], tmp_path: Path, key: str, content, message: str) -> None:
    wrong = tmp_path / "wrong.mat"
    if content == b"cut":
        wrong.write_bytes(archive[key].read_bytes()[:150])
    elif content is not None:
        savemat(wrong, content)
    with pytest.raises(DataError, match=message):
        convert_nyuv2(**{**archive, key: wrong}, root=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.txt"))


def test_without_h5py_the_extra_is_named(
    archive: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(DataError, match=r"h5py, which is not installed: pip install 'transkd\[nyuv2\]'"):
        convert_nyuv2(**archive, root=tmp_path / "out")
