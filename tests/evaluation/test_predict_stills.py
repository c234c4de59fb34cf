from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from transkd.errors import DataError
from transkd.evaluation.predict.colours import Classes
from transkd.evaluation.predict.drawing import Drawer
from transkd.evaluation.predict.network import Network
from transkd.evaluation.predict.outputs import Model
from transkd.evaluation.predict.plan import plan_outputs
from transkd.evaluation.predict.sources import Source
from transkd.evaluation.predict.stills import predict_stills

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


def jobs(names: list[str], folder: Path):  # type: ignore[no-untyped-def]
    sources = [Source(Path(name), name, False) for name in names]
    return plan_outputs(sources, folder, ["ids"], "error").jobs


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
    tally = predict_stills(jobs(names, tmp_path), picture, spy.model(), progress=lambda: steps.append(1))
    assert (tally.done, tally.failures, len(steps)) == (21, [], 21)
    for name in names:
        red = picture(Path(name))[..., 0]
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{name}.png")), red // 64)
    assert sum(shape[0] for shape in spy.batches) == 21
    assert sum(shape[0] == 4 for shape in spy.batches) >= 3


def test_pictures_of_rare_sizes_do_not_pile_up(tmp_path: Path) -> None:
    reading = threading.Lock()
    counts = {"read": 0, "most": 0}
    spy = Spy()

    def read(path: Path) -> np.ndarray:
        with reading:
            counts["read"] += 1
            counts["most"] = max(counts["most"], counts["read"] - sum(shape[0] for shape in spy.batches))
        return picture(path)

    names = [f"{32 + number}-40-{number}" for number in range(60)]
    assert predict_stills(jobs(names, tmp_path), read, spy.model()).done == 60
    assert counts["most"] <= 4 * (3 + 2) + 2 + 3


def test_one_bad_picture_does_not_stop_the_others(tmp_path: Path) -> None:
    names = ["40-40-1", "bad", "40-40-2", "20-40-3"]
    tally = predict_stills(jobs(names, tmp_path), picture, Spy().model())
    assert tally.done == 3
    assert tally.failures == ["bad: cannot read this image"]
    assert tally.enlarged == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20-40-3.png", "40-40-1.png", "40-40-2.png"]


def test_stopping_leaves_whole_files_only(tmp_path: Path) -> None:
    steps = []

    def step() -> None:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt

    names = [f"40-40-{number}" for number in range(30)]
    with pytest.raises(KeyboardInterrupt):
        predict_stills(jobs(names, tmp_path), picture, Spy().model(batch_size=1), progress=step)
    made = list(tmp_path.iterdir())
    assert 3 <= len(made) < 30
    for path in made:
        assert np.asarray(Image.open(path)).shape == (40, 40)


def test_an_output_that_cannot_be_written_stops_with_its_name(tmp_path: Path) -> None:
    planned = jobs(["40-40-1", "40-40-2"], tmp_path / "out")
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(DataError, match=r"out/40-40-1\.png cannot be written"):
        predict_stills(planned, picture, Spy().model())
