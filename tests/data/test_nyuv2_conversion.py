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
        names = file.create_group("#refs#")
        refs = file.create_dataset("names", (1, LABELS), dtype=h5py.ref_dtype)
        for i in range(3):
            names[f"n{i}"] = np.array([[ord(letter)] for letter in f"thing {i}"], np.uint16)
            refs[0, i] = names[f"n{i}"].ref
    savemat(paths["mapping"], {"mapClass": MAPPING[None], "className": np.array(["wall"], object)})
    savemat(paths["splits"], {"trainNdxs": np.array([[2], [4], [5]], np.uint16), "testNdxs": np.array([[1], [3], [6]])})
    return paths


def expected_label(archive: dict[str, Path], index: int) -> list[list[int]]:
    with h5py.File(archive["mat"]) as file:
        raw = np.asarray(file["labels"][index])
    return [[0 if raw[x, y] == 0 else int(MAPPING[raw[x, y] - 1]) for x in range(WIDTH)] for y in range(HEIGHT)]


def test_the_folder_layout_is_written(archive: dict[str, Path], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    report = convert_nyuv2(**archive, root=tmp_path / "out", progress=lambda *step: steps.append(step))
    assert str(report) == f"wrote 6 scenes; {tmp_path / 'out'} holds 6"
    assert steps[-1] == (6, 6)
    with h5py.File(archive["mat"]) as file:
        image = np.asarray(file["images"][5])
    written = np.asarray(Image.open(tmp_path / "out/images/0006.png"))
    assert written.shape == (HEIGHT, WIDTH, 3)
    assert all((written[y, x] == image[:, x, y]).all() for y in range(HEIGHT) for x in range(WIDTH))
    for index in range(COUNT):
        label = np.asarray(Image.open(tmp_path / f"out/labels40/{index + 1:04d}.png"))
        assert label.tolist() == expected_label(archive, index)
    train, test = (build_dataset("nyuv2", tmp_path / "out", split) for split in ("train", "test"))
    assert [sample.name for sample in train.samples] == ["0002", "0004", "0005"]
    assert [sample.name for sample in test.samples] == ["0001", "0003", "0006"]
    assert test[0]["label"][0, 0] == 255


def test_an_interrupted_conversion_goes_on(archive: dict[str, Path], tmp_path: Path) -> None:
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


def test_files_that_are_wrong(archive: dict[str, Path], tmp_path: Path) -> None:
    def refused(message: str, **changed: Path) -> None:
        with pytest.raises(DataError, match=message):
            convert_nyuv2(**{**archive, **changed}, root=tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused(r"there is no file .*none\.mat", mat=tmp_path / "none.mat")
    refused(r"splits\.mat: not a readable MATLAB file", mat=archive["splits"])
    refused(r"splits\.mat holds no 'mapClass' \(it holds testNdxs, trainNdxs\)", mapping=archive["splits"])
    refused(r"mat\.mat: not a readable MATLAB file", splits=archive["mat"])
    cut = tmp_path / "cut.mat"
    cut.write_bytes(archive["mapping"].read_bytes()[:150])
    refused(r"cut\.mat: not a readable MATLAB file", mapping=cut)
    cut.write_bytes(archive["mat"].read_bytes()[:2000])
    refused(r"cut\.mat: not a readable MATLAB file", mat=cut)
    wrong = tmp_path / "wrong.mat"
    savemat(wrong, {"mapClass": np.arange(LABELS)})
    refused(r"wrong\.mat: 'mapClass' must map to the classes 1 to 40, but holds 0 to 893", mapping=wrong)
    savemat(wrong, {"trainNdxs": [1, 2], "testNdxs": [2, 3]})
    refused(r"wrong\.mat: scenes are in both splits", splits=wrong)
    savemat(wrong, {"trainNdxs": [1, 2], "testNdxs": [7]})
    refused(r"wrong\.mat: its numbers must be 1 to 6", splits=wrong)


def test_labels_beyond_the_mapping(archive: dict[str, Path], tmp_path: Path) -> None:
    short = tmp_path / "short.mat"
    savemat(short, {"mapClass": MAPPING[:13]})
    with pytest.raises(DataError, match=r"scene \d has label \d+, but the mapping ends at 13"):
        convert_nyuv2(**{**archive, "mapping": short}, root=tmp_path / "out")


def test_without_h5py_the_extra_is_named(
    archive: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(DataError, match=r"h5py, which is not installed: pip install 'transkd\[nyuv2\]'"):
        convert_nyuv2(**archive, root=tmp_path / "out")
