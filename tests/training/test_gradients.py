"""Which loss pulls the student how hard at first, and that asking changes nothing."""

from __future__ import annotations

import io
from pathlib import Path

import lightning as L
import pytest
import torch
from rich.console import Console
from test_distill_module import quiet_trainer
from tiny_runs import rows, state

from transkd import DistillModule, SceneDataModule, create_segmenter
from transkd.distillation import DistillationLoss
from transkd.training.callbacks.losses import FirstGradients, LossTime


class CutOff(DistillationLoss):
    """Trains its adapter, and never the student."""

    def __init__(self, *channels, detach: bool):
        super().__init__(*channels)
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.detach = detach

    def forward(self, student, teacher):
        features = student.features[0].float()
        return (features.detach() if self.detach else features * 0.0).mean() * self.scale + self.scale.square()


def module_with(**losses: object) -> DistillModule:
    torch.manual_seed(0)
    student = create_segmenter("tiny", 19, dropout=0.0, drop_path_rate=0.0)
    return DistillModule(student, create_segmenter("tiny_teacher", 19), losses)


def fit(module: DistillModule, scenes: Path, folder: Path, *callbacks: L.Callback, **options: object) -> FirstGradients:
    module.console = Console(record=True, width=150, file=io.StringIO())
    data = SceneDataModule("cityscapes", scenes, size=[64, 64], batch_size=3, workers=0)
    trainer = quiet_trainer(folder, limit_val_batches=0, callbacks=list(callbacks), **{"max_epochs": 1, **options})
    trainer.fit(module, data)
    return next(c for c in trainer.callbacks if isinstance(c, FirstGradients))


class ByHand(L.Callback):
    """The gradient norm of a weighted sum of terms by an ordinary backward pass on the same batch and weights."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.norms: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx >= self.steps:
            return
        saved = {name: value.clone() for name, value in module.state_dict().items()}
        norms = {}
        for name in ("ce", "csf", "pea"):
            module.zero_grad()
            module.loss_terms(batch)[name].backward()
            grads = [p.grad.flatten() for p in module.segmenter.parameters() if p.grad is not None]
            norms[name] = float(torch.cat(grads).double().norm())
        module.zero_grad()
        module.load_state_dict(saved)
        self.norms.append(norms)


def test_norms_are_those_of_a_backward_pass_of_the_term_alone(scenes_root: Path, tmp_path: Path) -> None:
    by_hand = ByHand(3)
    module = module_with(csf=0.25, pea={"weight": 2.0, "schedule": {"name": "warm_up", "share": 1.0}})
    first = fit(module, scenes_root, tmp_path, by_hand)
    assert len(by_hand.norms) == 3
    for name, facts in first.means.items():
        assert facts["gradient_norm"] == pytest.approx(sum(step[name] for step in by_hand.norms) / 3, rel=1e-4)
    assert {name: facts["weight"] for name, facts in first.means.items()} == {"ce": 1.0, "csf": 0.25, "pea": 0.5}
    table = module.console.export_text()
    assert "Loss terms in the first 3 steps" in table
    ce, csf = first.means["ce"]["gradient_norm"], first.means["csf"]["gradient_norm"]
    line = next(line for line in table.splitlines() if "csf" in line)
    assert f"{0.25 * csf:.4g}" in line
    assert f"{100 * 0.25 * csf / ce:.3g} %" in line


def test_a_term_that_does_nothing_is_reported_by_name(scenes_root: Path, tmp_path: Path) -> None:
    channels = ((8, 12, 16, 24), (16, 24, 32, 48))
    module = module_with(csf=1.0, cut=CutOff(*channels, detach=True), zero=CutOff(*channels, detach=False))
    with pytest.warns(UserWarning, match="does nothing: in the first 3 steps") as raised:
        fit(module, scenes_root, tmp_path)
    texts = [str(warning.message) for warning in raised if "does nothing" in str(warning.message)]
    assert len(texts) == 2
    assert texts[0].startswith("the loss 'cut' does nothing")
    assert "is not connected to the student's weights" in texts[0]
    assert texts[1].startswith("the loss 'zero' does nothing")
    assert "has a gradient of exactly 0 on the student's weights" in texts[1]


def test_memory_that_a_second_pass_does_not_fit_into_stops_nothing(scenes_root, tmp_path, monkeypatch) -> None:
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(torch.autograd, "grad", full)
    module = module_with(csf=1.0)
    with pytest.warns(UserWarning, match="not measured: CUDA out of memory."):
        assert fit(module, scenes_root, tmp_path).means == {}


def test_a_run_is_bitwise_the_one_that_measures_nothing(run, lean, tmp_path, monkeypatch) -> None:
    accumulating = ("data.batch_size=4", "trainer.accumulate_grad_batches=2", "trainer.precision=bf16-mixed")
    options = ("distillation=transkd_base", "trainer.max_epochs=1", "trainer.limit_val_batches=0", *accumulating)
    results = run(tmp_path / "with", *options)
    assert set(results["first_steps"]) == {"ce", "csf", "pea"}
    monkeypatch.setattr(FirstGradients, "on_before_backward", lambda *_: None)
    monkeypatch.setattr(LossTime, "on_train_batch_start", lambda *_: None)
    assert run(tmp_path / "without", *options)["first_steps"] == {}
    assert state(tmp_path / "with") == state(tmp_path / "without")
    assert rows(tmp_path / "with") == rows(tmp_path / "without")
