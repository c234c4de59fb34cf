"""A teacher costs only what is used: each of the senses in which it is frozen."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from test_distill_module import BATCH, quiet_trainer

from transkd.data import SceneDataModule
from transkd.models import Segmenter, create_segmenter
from transkd.training import DistillModule


@pytest.fixture
def teacher() -> Segmenter:
    torch.manual_seed(1)
    return create_segmenter("tiny_teacher", 19)


@pytest.fixture
def module(teacher: Segmenter) -> DistillModule:
    torch.manual_seed(0)
    return DistillModule(create_segmenter("tiny", 19), teacher, {"csf": 1.0, "ea": 1.0})


def test_it_stays_in_eval_mode_whatever_train_is_called_with(module: DistillModule) -> None:
    for switch in (module.train, module.teacher.train):
        switch(True)
        assert not any(part.training for part in module.teacher.modules())
    assert module.student.training


def test_its_head_runs_only_for_a_loss_that_compares_logits(teacher: Segmenter) -> None:
    calls: list[int] = []
    teacher.head.register_forward_hook(lambda *_: calls.append(1))
    student = create_segmenter("tiny", 19)
    DistillModule(student, teacher, {"csf": 1.0, "pea": 1.0}).loss_terms(BATCH)
    assert calls == []
    DistillModule(student, teacher, {"kd": 1.0}).loss_terms(BATCH)
    assert calls == [1]


def test_it_is_no_part_of_parameters_modules_or_state(module: DistillModule, teacher: Segmenter) -> None:
    theirs = {id(p) for p in teacher.parameters()} | {id(b) for b in teacher.buffers()}
    assert not theirs & {id(p) for p in module.parameters()}
    assert not theirs & {id(p) for p in module.trainable_parameters()}
    assert not theirs & {id(b) for b in module.buffers()}
    assert not any(part is teacher for part in module.modules())
    assert not any("teacher" in name for name in module.state_dict())


def test_training_leaves_its_weights_and_statistics_as_they_were(
    module: DistillModule, teacher: Segmenter, scenes_root: Path, tmp_path: Path
) -> None:
    before = copy.deepcopy(teacher.state_dict())
    student = copy.deepcopy(module.student.state_dict())
    data = SceneDataModule("cityscapes", scenes_root, size=[64, 64], batch_size=3, workers=0)
    trainer = quiet_trainer(tmp_path, max_steps=2, limit_val_batches=0)
    trainer.fit(module, data)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert not all(torch.equal(student[name], value) for name, value in module.student.state_dict().items())

    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    updated = sum(len(group["params"]) for group in saved["optimizer_states"][0]["param_groups"])
    assert updated == len(list(module.student.parameters())) + len(list(module.losses.parameters()))
    assert set(saved["state_dict"]) == set(module.state_dict())


def test_it_follows_the_module_to_another_type_and_device(module: DistillModule) -> None:
    module.to(torch.bfloat16)
    assert {p.dtype for p in module.teacher.parameters()} == {torch.bfloat16}
    module.to("meta")
    assert {p.device.type for p in module.teacher.parameters()} == {"meta"}
