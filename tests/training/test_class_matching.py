"""Losses on logits where teacher and student have other classes, or another order of them."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from transkd.distillation import DistillationLoss
from transkd.errors import ConfigError
from transkd.models import create_segmenter
from transkd.training import DistillModule
from transkd.training.preflight import loss_table


class Spy(DistillationLoss):
    """Keeps the logits that it is given."""

    requires = frozenset({"logits"})

    def forward(self, student, teacher):
        self.seen = (student.logits, teacher.logits)
        return (student.logits - teacher.logits).square().mean()


def distillation(student_names, teacher_names, teacher_classes=None) -> DistillModule:
    student = create_segmenter("tiny", len(student_names), class_names=student_names)
    teacher = create_segmenter("tiny_teacher", teacher_classes or len(teacher_names), class_names=teacher_names)
    return DistillModule(student, teacher, {"spy": Spy(student.channels, teacher.channels)})


def test_logits_are_compared_on_the_classes_that_both_name_in_one_order() -> None:
    module = distillation(["sky", "Traffic Light", "road", "cow"], ["road", "traffic_light", "sky", "tree", "bus"])
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    module.segmenter.eval()
    terms = module.loss_terms({"image": images, "label": torch.zeros(2, 64, 64, dtype=torch.uint8)})
    student, teacher = module.losses["spy"].seen
    assert torch.equal(student, module.segmenter(images)[:, [0, 1, 2]])
    assert torch.equal(teacher, module.teacher(images)[:, [2, 1, 0]])
    assert terms["spy"].item() == pytest.approx((student - teacher).square().mean().item())


def test_without_names_on_both_sides_a_loss_on_logits_is_refused_and_one_on_features_is_not() -> None:
    with pytest.raises(ConfigError, match=r"spy compares logits, but the teacher has 20 classes and the student 3"):
        distillation(["sky", "road", "cow"], None, teacher_classes=20)
    student = create_segmenter("tiny", 3, class_names=["sky", "road", "cow"])
    assert DistillModule(student, create_segmenter("tiny_teacher", 20), {"csf": 1.0}).class_match is None


def test_classes_without_a_common_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="share fewer than two names"):
        distillation(["sky", "road"], ["cat", "dog"])


def test_the_table_before_training_counts_on_the_shared_classes_too() -> None:
    student = create_segmenter("tiny", 4, class_names=["sky", "traffic light", "road", "cow"])
    teacher = create_segmenter("tiny_teacher", 5, class_names=["road", "traffic light", "sky", "tree", "bus"])
    module = DistillModule(student, teacher, {"kd": 1.0, "skd": 1.0})
    console = Console(record=True, width=150)
    console.print(loss_table(module, (128, 128)))
    lines = console.export_text().splitlines()
    assert [line.split("│")[4].strip() for line in lines if "│ kd " in line or "│ skd " in line] == [
        "logits",
        "4→4 (24→48)",
    ]
