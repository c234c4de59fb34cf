from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from transkd.errors import DataError
from transkd.prediction.drawing import Classes, Drawer
from transkd.prediction.network import Network
from transkd.prediction.outputs import Model
from transkd.prediction.plan import Job, Source, plan_outputs
from transkd.prediction.stills import Tally, predict_stills

CLASSES = Classes(tuple("abcd"), ((0, 0, 0), (80, 80, 80), (160, 160, 160), (240, 240, 240)))


class Spy:
    """A segmenter whose class is a quarter of a pixel's red, and that notes the batches it sees."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.batches.append(tuple(images.shape))
        centres = torch.tensor([31.5, 95.5, 159.5, 223.5]).view(1, 4, 1, 1)
        return -(images[:, :1].float() - centres).abs()

    def model(self, batch_size: int = 4) -> Model:
        network = Network(self, lambda images: self(images).argmax(1), torch.device("cpu"), batch_size=batch_size)
        return Model(network, Drawer("spy", CLASSES))


def jobs(names: list[str], folder: Path) -> list[Job]:
    return plan_outputs([Source(Path(name), name, False) for name in names], folder, ["ids"], "error")


def predicted(jobs: list[Job], model: Model, read: Callable[[Path], np.ndarray] | None = None, **options) -> Tally:
    tally = Tally()
    predict_stills(jobs, read or picture, [model], tally=tally, **options)
    return tally


def picture(path: Path) -> np.ndarray:
    """Return a picture that depends on its name, which begins with its height and width."""
    if "bad" in path.name:
        raise DataError(f"{path}: cannot read this image")
    height, width, seed = (int(part) for part in path.name.split("-"))
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_each_picture_gets_its_own_prediction_whatever_the_sizes(tmp_path: Path) -> None:
    sizes = ((40, 50), (40, 60), (33, 99))
    names = [f"{height}-{width}-{seed}" for seed in range(7) for height, width in sizes]
    spy, steps = Spy(), []
    tally = predicted(jobs(names, tmp_path), spy.model(), progress=lambda: steps.append(1))
    assert (tally.done, tally.failures, len(steps)) == (21, [], 21)
    for name in names:
        red = picture(Path(name))[..., 0]
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{name}.png")), red // 64)
    assert sum(shape[0] for shape in spy.batches) == 21
    assert sum(shape[0] == 4 for shape in spy.batches) >= 3


def test_one_bad_picture_does_not_stop_the_others(tmp_path: Path) -> None:
    names = ["40-40-1", "bad", "40-40-2", "20-40-3"]
    tally = predicted(jobs(names, tmp_path), Spy().model())
    assert tally.done == 3
    assert tally.failures == ["bad: cannot read this image"]
    assert tally.enlarged == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20-40-3.png", "40-40-1.png", "40-40-2.png"]


def test_a_full_disk_stops_all_and_leaves_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, saved = Image.Image.save, []

    def fill(self: Image.Image, path: Path, **options: object) -> None:
        saved.append(path)
        if len(saved) > 3:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "save", fill)
    tally = Tally()
    planned = jobs([f"40-40-{n}" for n in range(60)], tmp_path)
    with pytest.raises(OSError, match="No space left on device"):
        predict_stills(planned, picture, [Spy().model(1)], tally=tally, workers=1)
    assert tally.done == 3
    assert len(list(tmp_path.iterdir())) == 3
    assert len(saved) < 20
