"""The modules as a notebook uses them, and each of the senses in which a teacher is frozen."""

from __future__ import annotations

import copy
from pathlib import Path

import lightning as L
import pytest
import torch

from transkd import (
    DistillModule,
    SceneDataModule,
    SegmentationModule,
    Segmenter,
    create_loss,
    create_segmenter,
    load_segmenter,
)
from transkd.errors import ConfigError, WeightsError

BATCH = {
    "image": torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
    "label": torch.randint(0, 19, (2, 64, 64), dtype=torch.uint8),
}


def quiet_trainer(folder: Path, **options: object) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **{"enable_progress_bar": False, **options},
    )


def test_five_lines_by_name(scenes_root: Path, tmp_path: Path) -> None:
    create_segmenter("tiny_teacher", 19).save_pretrained(tmp_path / "teacher")

    data = SceneDataModule("cityscapes", scenes_root, size=[64, 64], batch_size=4, workers=0)
    module = DistillModule(student="tiny", teacher=tmp_path / "teacher", losses={"csf": 1.0, "ea": 1.0})
    trainer = quiet_trainer(tmp_path, max_epochs=1)
    module.losses.eval()  # as what was loaded is
    trainer.fit(module, data)
    assert all(layer.training for layer in module.losses.modules())
    module.student.save_pretrained(tmp_path / "student")

    assert set(module.last_terms) == {"ce", "csf", "ea"}
    logged = {"train/loss", "train/ce", "train/csf", "train/ea", "train/grad_norm", "val/miou", "val/pixel_accuracy"}
    assert logged <= set(trainer.callback_metrics)
    assert module.last_scores is not None
    assert 0 <= module.last_scores.miou <= 1
    student = load_segmenter(tmp_path / "student")
    assert set(student.state_dict()) == set(create_segmenter("tiny", 19).state_dict())


def test_the_total_is_the_weighted_sum_of_all_terms(tmp_path: Path, scenes_root: Path) -> None:
    torch.manual_seed(0)
    student, teacher = (
        create_segmenter("tiny", 19, dropout=0.0, drop_path_rate=0.0),
        create_segmenter("tiny_teacher", 19),
    )
    by_hand = create_loss("pea", student=student, teacher=teacher)
    module = DistillModule(
        student, teacher, {"csf": 0.25, "ea": {"weight": 3.0, "stage_weights": [1, 1, 1, 1]}, "pea": by_hand}
    )
    totals: list[float] = []
    expected: list[float] = []

    class Watch(L.Callback):
        def on_before_backward(self, trainer, pl_module, loss):
            terms = {name: float(value.detach()) for name, value in pl_module.last_terms.items()}
            totals.append(float(loss.detach()))
            expected.append(terms["ce"] + 0.25 * terms["csf"] + 3.0 * terms["ea"] + terms["pea"])

    data = SceneDataModule("cityscapes", scenes_root, size=[64, 64], batch_size=4, workers=0)
    quiet_trainer(tmp_path, max_steps=2, limit_val_batches=0, callbacks=[Watch()]).fit(module, data)
    assert len(totals) == 2
    assert totals == pytest.approx(expected, rel=1e-5)


def test_unknown_losses_and_weights_are_refused() -> None:
    student, teacher = create_segmenter("tiny", 19), create_segmenter("tiny_teacher", 19)
    with pytest.raises(ConfigError, match=r"'csff'.*did you mean 'csf'"):
        DistillModule(student, teacher, {"csff": 1.0})
    for weight in ("much", float("nan")):
        with pytest.raises(ConfigError, match=r"'csf': weight: give a number"):
            DistillModule(student, teacher, {"csf": weight})
    with pytest.raises(ConfigError, match="DistillModule: losses maps names to weights"):
        DistillModule(student, teacher, ["csf"])
    with pytest.warns(UserWarning, match="RANDOM weights: it teaches nothing"):
        DistillModule("tiny", "tiny_teacher", {"pea": 1.0}, num_classes=19)


def test_a_loss_made_by_hand_has_a_weight_too() -> None:
    student, teacher = create_segmenter("tiny", 19), create_segmenter("tiny_teacher", 19)
    csf = create_loss("csf", student=student, teacher=teacher)
    module = DistillModule(student, teacher, {"csf": {"loss": csf, "weight": 0.5}})
    assert module.losses["csf"] is csf
    assert module.loss_weights == {"csf": 0.5}
    with pytest.raises(ConfigError, match=r"losses\.csf: loss=… takes a DistillationLoss"):
        DistillModule(student, teacher, {"csf": {"loss": csf, "stage_weights": [1]}})


def test_a_saved_student_goes_on(tmp_path: Path) -> None:
    saved, teacher = create_segmenter("tiny", 5, class_names=[*"abcde"]), create_segmenter("tiny_teacher", 19)
    saved.save_pretrained(tmp_path / "student")
    module = DistillModule(tmp_path / "student", teacher, {"csf": 1.0})
    assert module.class_names == tuple("abcde")
    alone = SegmentationModule(str(tmp_path / "student"))
    for segmenter in (module.student, alone.segmenter):
        assert all(map(torch.equal, segmenter.parameters(), saved.parameters()))
    with pytest.raises(WeightsError, match="num_classes 5, not 19"):
        DistillModule(tmp_path / "student", teacher, {"csf": 1.0}, num_classes=19)
    with pytest.raises(ConfigError, match="there is no backbone 'tinny'; did you mean 'tiny'"):
        DistillModule("tinny", teacher, {"csf": 1.0})


def test_a_student_by_name_has_the_teachers_classes_unless_said() -> None:
    teacher = create_segmenter("tiny_teacher", 3, class_names=[*"abc"])
    assert DistillModule("tiny", teacher, {"csf": 1.0}).student.class_names == tuple("abc")
    five = DistillModule("tiny", teacher, {"csf": 1.0}, num_classes=5)
    assert five.class_names == tuple(f"class_{k}" for k in range(5))


def test_a_student_that_is_its_own_teacher_is_refused() -> None:
    segmenter = create_segmenter("tiny", 19)
    with pytest.raises(ConfigError, match=r"student and teacher share weights.*copy\.deepcopy\(teacher\)"):
        DistillModule(segmenter, segmenter, {"kd": 1.0})
    assert all(parameter.requires_grad for parameter in segmenter.parameters())
    DistillModule(copy.deepcopy(segmenter), segmenter, {"kd": 1.0})


def test_class_names_and_weights_must_be_as_many_as_classes() -> None:
    with pytest.raises(ValueError, match="3 class names for a segmenter of 19 classes"):
        SegmentationModule(create_segmenter("tiny", 19), class_names=["a", "b", "c"])
    with pytest.raises(ValueError, match="2 class weights for a segmenter of 19 classes"):
        SegmentationModule(create_segmenter("tiny", 19), class_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="also needs num_classes"):
        SegmentationModule("tiny")
    with pytest.raises(ConfigError, match="loss_resolution is 'labels'; give 'label' or 'logit'"):
        SegmentationModule("tiny", num_classes=3, loss_resolution="labels")


@pytest.mark.parametrize("bf16", [False, True])
def test_terms_agree_in_channels_last_and_low_precision(bf16: bool) -> None:
    torch.manual_seed(0)
    student, teacher = (
        create_segmenter("tiny", 19, dropout=0.0, drop_path_rate=0.0),
        create_segmenter("tiny_teacher", 19),
    )
    module = DistillModule(student, teacher, {"csf": 1.0, "gl_mixer": 1.0})
    exact = {name: float(value.detach()) for name, value in module.loss_terms(BATCH).items()}
    module.channels_last = True
    module.configure_model()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        terms = module.loss_terms(BATCH)
    assert all(term.dtype == torch.float32 for term in terms.values())
    found = {name: float(value.detach()) for name, value in terms.items()}
    assert found == pytest.approx(exact, rel=0.03 if bf16 else 1e-4)


@pytest.fixture
def teacher() -> Segmenter:
    torch.manual_seed(1)
    return create_segmenter("tiny_teacher", 19)


@pytest.fixture
def module(teacher: Segmenter) -> DistillModule:
    torch.manual_seed(0)
    return DistillModule(create_segmenter("tiny", 19), teacher, {"csf": 1.0, "ea": 1.0})


def test_the_teacher_stays_in_eval_mode_whatever_train_is_called_with(module: DistillModule) -> None:
    for switch in (module.train, module.teacher.train):
        switch(True)
        assert not any(part.training for part in module.teacher.modules())
    assert module.student.training


def test_the_teachers_head_runs_only_for_a_loss_that_compares_logits(teacher: Segmenter) -> None:
    calls: list[int] = []
    teacher.head.register_forward_hook(lambda *_: calls.append(1))
    student = create_segmenter("tiny", 19)
    DistillModule(student, teacher, {"csf": 1.0, "pea": 1.0}).loss_terms(BATCH)
    assert calls == []
    DistillModule(student, teacher, {"kd": 1.0}).loss_terms(BATCH)
    assert calls == [1]


def test_the_teacher_is_no_part_of_parameters_modules_or_state(module: DistillModule, teacher: Segmenter) -> None:
    theirs = {id(p) for p in teacher.parameters()} | {id(b) for b in teacher.buffers()}
    assert not theirs & {id(p) for p in module.parameters()}
    assert not theirs & {id(p) for p in module.trainable_parameters()}
    assert not theirs & {id(b) for b in module.buffers()}
    assert not any(part is teacher for part in module.modules())
    assert not any("teacher" in name for name in module.state_dict())


def test_training_leaves_the_teachers_weights_and_statistics_as_they_were(
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


def test_the_teacher_follows_the_module_to_another_type_and_device(module: DistillModule) -> None:
    module.to(torch.bfloat16)
    assert {p.dtype for p in module.teacher.parameters()} == {torch.bfloat16}
    module.to("meta")
    assert {p.device.type for p in module.teacher.parameters()} == {"meta"}
