"""NaN and infinity stop a run before they reach a weight."""

from __future__ import annotations

import re

import lightning as L
import pytest
import torch
from tiny_runs import Runner, plain, state

import transkd
from transkd.errors import NonFiniteError

pytestmark = pytest.mark.usefixtures("lean")


@transkd.register_loss("spoilt_for_tests")
class Spoilt(transkd.DistillationLoss):
    """Finite until its n-th training batch, from when on its value or its gradient is not."""

    def __init__(self, student_channels, teacher_channels, *, at: int, value: bool = True):
        super().__init__(student_channels, teacher_channels)
        self.at = at
        self.value = value
        self.calls = 0

    def forward(self, student, teacher):
        self.calls += 1
        term = student.features[0].float().mean()
        if self.calls < self.at:
            return term
        return term * float("nan") if self.value else term + (student.features[0].float() * 0).sum().abs().sqrt() * 0.5


class Weights(L.Callback):
    """Keeps the weights at the start of every batch, and the files that it holds."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.module = module
        self.before = plain(dict(module.named_parameters()))
        self.files = trainer.datamodule.file_names(batch["index"])


LOSSES = "distillation.losses={{spoilt_for_tests:{{weight:1.0,at:{at},value:{value}}}}}"


def spoil(run: Runner, with_callback, output, *more: str, at: int, value: bool) -> tuple[str, Weights]:
    watcher = Weights()
    with_callback(watcher)
    losses = LOSSES.format(at=at, value=str(value).lower())
    with pytest.raises(NonFiniteError) as stop:
        run(output, "distillation=transkd_ea", f"~{losses.split('=')[0]}", f"+{losses}", *more)
    return str(stop.value), watcher


@pytest.mark.parametrize("at", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_a_term_that_becomes_nan(run, with_callback, tmp_path, at):
    message, watcher = spoil(run, with_callback, tmp_path / "run", at=at, value=True)
    assert message.startswith(f"stopped before the update of step {at - 1}: the loss is nan")
    assert "non-finite terms: spoilt_for_tests=nan)" in message
    assert len(watcher.files) == 3
    assert all(file in message for file in watcher.files)
    assert plain(dict(watcher.module.named_parameters())) == watcher.before
    last = tmp_path / "run/checkpoints/last.ckpt"
    if at == 1:
        assert "no checkpoint had been saved yet" in message
        assert not last.exists()
    else:
        assert f"the last good checkpoint is {last}" in message
        assert state(tmp_path / "run")["global_step"] == at - 1


def test_a_gradient_that_becomes_infinite(run, with_callback, tmp_path):
    """The square root of 0 is finite; its slope is not. Clipping does not hide it."""
    message, watcher = spoil(run, with_callback, tmp_path / "run", "trainer.gradient_clip_val=1.0", at=3, value=False)
    assert re.match(
        r"stopped before the update of step 2: the gradient norm is (nan|inf) \(first parameters: segmenter\.", message
    )
    assert all(file in message for file in watcher.files)
    assert plain(dict(watcher.module.named_parameters())) == watcher.before
    assert state(tmp_path / "run")["global_step"] == 2


@pytest.mark.slow
def test_accumulated_gradients_are_checked_where_they_are_used(run, with_callback, tmp_path):
    message, watcher = spoil(
        run, with_callback, tmp_path / "run", "trainer.accumulate_grad_batches=2", at=3, value=False
    )
    assert message.startswith("stopped before the update of step 1: the gradient norm is")
    named = message.split("files of the batch: ")[1].split("; ")[0].split(", ")
    assert len(set(named)) == 6, "both batches of three make the gradient"
    assert set(watcher.files) < set(named)
    assert torch.isfinite(torch.cat([p.flatten() for p in watcher.module.segmenter.parameters()])).all()
