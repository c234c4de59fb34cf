"""Training in one call, as a notebook does it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch

import transkd
from transkd.errors import ConfigError

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


def test_it_trains_as_a_trainer_does(data: transkd.SceneDataModule) -> None:
    ours, theirs = distillation(), distillation()
    torch.manual_seed(1)
    history = transkd.fit(ours, data, epochs=1, quiet=True, accelerator="cpu")
    torch.manual_seed(1)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", num_sanity_val_steps=0, use_distributed_sampler=False, **options
    )
    trainer.fit(theirs, data)
    assert history.scores == {SCENES // BATCH: theirs.last_scores}
    for ours_now, theirs_now in zip(ours.student.parameters(), theirs.student.parameters(), strict=True):
        assert torch.equal(ours_now, theirs_now)


def test_the_table_of_gradients_is_printed(data: transkd.SceneDataModule, capsys: pytest.CaptureFixture[str]) -> None:
    transkd.fit(distillation(), data, steps=3, accelerator="cpu")
    assert "Loss terms in the first 3 steps" in capsys.readouterr().out


def test_accumulated_batches_are_one_step(data: transkd.SceneDataModule) -> None:
    history = transkd.fit(distillation(), data, steps=2, quiet=True, accelerator="cpu", accumulate_grad_batches=2)
    assert len(history.terms["ce"]) == 2
    assert list(history.scores) == [2]


def test_what_was_quiet_speaks_again(data: transkd.SceneDataModule) -> None:
    logger = logging.getLogger("lightning.pytorch")
    level, filters = logger.level, list(warnings.filters)
    transkd.fit(distillation(), data, steps=1, quiet=True, accelerator="cpu")
    assert (logger.level, list(warnings.filters)) == (level, filters)


@pytest.mark.parametrize("length", [{}, {"epochs": 1, "steps": 1}])
def test_a_length_is_needed(data: transkd.SceneDataModule, length: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"say how long by one of epochs=… and steps=…"):
        transkd.fit(distillation(), data, **length)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"epochs": -1}, {"steps": 3, "validate_every": 0}])
def test_lengths_are_above_zero(data: transkd.SceneDataModule, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"fit: \w+ is -?\d; give a whole number, 1 or more"):
        transkd.fit(distillation(), data, **wrong)


def test_preflight_prints_both_tables(data: transkd.SceneDataModule, capsys: pytest.CaptureFixture[str]) -> None:
    module = distillation()
    transkd.preflight(module, data)
    shown = capsys.readouterr().out
    assert "one 64x64 image" in shown
    assert f"{sum(p.numel() for p in module.student.parameters()):,}" in shown
    assert f"{sum(p.numel() for p in module.losses['csf'].parameters()):,}" in shown


def test_preflight_of_one_segmenter(data: transkd.SceneDataModule, capsys: pytest.CaptureFixture[str]) -> None:
    transkd.preflight(transkd.SegmentationModule("tiny", num_classes=19), data)
    shown = capsys.readouterr().out
    assert "Segmenters" in shown
    assert "Distillation losses" not in shown


REFUSED = {
    "whole epochs": ({"epochs": 1.5}, r"fit: epochs is 1\.5; give a whole number"),
    "number of epochs": ({"epochs": "3"}, "fit: epochs is '3'; give a whole number"),
    "number of steps": ({"steps": True}, "fit: steps is True; give a whole number"),
    "length said twice": ({"steps": 1, "max_epochs": 3}, "fit: max_epochs is not taken beside epochs="),
    "unknown option": ({"steps": 1, "precison": 16}, "fit: precison: there is no such key; did you mean 'precision'"),
    "no callback": ({"steps": 1, "callbacks": [3]}, "fit: callbacks.0: .*Callback"),
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
    with pytest.raises(ConfigError, match="has 5 classes, and cityscapes has 19"):
        L.Trainer(max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False).validate(module, data)
