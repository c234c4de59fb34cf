"""Training and drawing in one call, as a notebook does it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import transkd
from transkd.errors import ConfigError
from transkd.evaluation.pictures import LEGEND_MARGIN as MARGIN
from transkd.evaluation.pictures import TITLE_HEIGHT

SCENES, BATCH = 12, 4


@pytest.fixture(scope="module")
def data(scenes_root: Path) -> transkd.SceneDataModule:
    return transkd.SceneDataModule("cityscapes", scenes_root, size=[64, 64], batch_size=BATCH, workers=0)


def distillation() -> transkd.DistillModule:
    torch.manual_seed(0)
    teacher = transkd.create_segmenter("tiny_teacher", 19)
    return transkd.DistillModule("tiny", teacher, losses={"csf": 1.0, "pea": 1.0})


def test_every_step_and_every_validation_is_kept(
    data: transkd.SceneDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    module = distillation()
    level, filters = logging.getLogger("lightning.pytorch").level, list(warnings.filters)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = transkd.fit(module, data, steps=5, validate_every=2, quiet=True, accelerator="cpu")
    assert set(history.terms) == {"ce", "csf", "pea"}
    assert all(len(values) == 5 for values in history.terms.values())
    assert history.terms["ce"][-1] == float(module.last_terms["ce"])
    assert list(history.scores) == [2, 4, 5]
    assert history.last_scores == module.last_scores
    assert not module.student.training
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
    assert not [str(one.message) for one in told if "lightning" in str(one.filename)]
    assert (logging.getLogger("lightning.pytorch").level, list(warnings.filters)) == (level, filters)


def test_the_tables_are_printed_and_accumulated_batches_are_one_step(
    data: transkd.SceneDataModule, capsys: pytest.CaptureFixture[str]
) -> None:
    module = distillation()
    transkd.preflight(module, data)
    printed = capsys.readouterr().out
    assert "one 64x64 image" in printed
    for network in (module.student, module.losses["csf"]):
        assert f"{sum(p.numel() for p in network.parameters()):,}" in printed
    history = transkd.fit(module, data, steps=3, accelerator="cpu", accumulate_grad_batches=2)
    assert len(history.terms["ce"]) == 3
    assert list(history.scores) == [3]
    assert "Loss terms in the first 3 steps" in capsys.readouterr().out
    transkd.preflight(transkd.SegmentationModule("tiny", num_classes=19), data)
    assert "Distillation losses" not in capsys.readouterr().out


REFUSED = {
    "no length": ({}, "fit: give the length by one of epochs=… and steps=…"),
    "no steps": ({"steps": 0}, "fit: steps is 0; it must be 1 or more"),
    "Lightning's name": ({"steps": 1, "max_epochs": 3}, "fit: max_epochs: there is no such key"),
    "unknown option": ({"steps": 1, "precison": 16}, "precison.*did you mean 'precision'"),
    "refused by Lightning": ({"steps": 1, "devices": 0}, "fit: .*devices"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_make_no_sense_are_one_message(data: transkd.SceneDataModule, case: str) -> None:
    options, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        transkd.fit(distillation(), data, quiet=True, **({"accelerator": "cpu"} | options))


def test_data_of_other_classes_is_told_before_the_first_step(data: transkd.SceneDataModule) -> None:
    teacher = transkd.create_segmenter("tiny_teacher", 5)
    module = transkd.DistillModule("tiny", teacher, losses={"csf": 1.0})
    with pytest.raises(ConfigError, match="has 5 classes, and cityscapes has 19: make it with num_classes=19"):
        transkd.fit(module, data, steps=1, quiet=True, accelerator="cpu")


def panel(picture: object, place: int) -> np.ndarray:
    left = MARGIN + place * (64 + MARGIN)
    return np.asarray(picture)[TITLE_HEIGHT : TITLE_HEIGHT + 64, left : left + 64]


def test_panels_hold_image_label_and_predictions(data: transkd.SceneDataModule) -> None:
    torch.manual_seed(0)
    model = transkd.create_segmenter("tiny", 19, dropout=0.5).train()
    picture = transkd.draw_predictions(data, {"student": model}, scene=2, panel_width=64)
    sample = data.val_dataset[2]
    palette = np.array([*data.classes.palette, *[(0, 0, 0)] * (256 - len(data.classes.palette))], np.uint8)
    assert np.array_equal(panel(picture, 0), sample["image"].permute(1, 2, 0).numpy())
    assert np.array_equal(panel(picture, 1), palette[sample["label"].numpy()])
    assert model.training
    with torch.no_grad():
        predicted = model.eval().predict(sample["image"][None])[0].numpy()
    assert np.array_equal(panel(picture, 2), palette[predicted])


def test_what_cannot_be_drawn_is_refused(data: transkd.SceneDataModule) -> None:
    with pytest.raises(ConfigError, match="scene 5: the validation split has 5, from 0 to 4"):
        transkd.draw_predictions(data, {}, scene=5)
    with pytest.raises(ConfigError, match="the teacher has 3 classes, and the data has 19"):
        transkd.draw_predictions(data, {"the teacher": transkd.create_segmenter("tiny", 3)})
