"""Losses on logits and labels where teacher and student have other classes, or another order of them."""

from __future__ import annotations

import pytest
import torch

from transkd.distillation import DistillationLoss, create_loss, register_loss
from transkd.errors import ConfigError
from transkd.evaluation import IGNORE_INDEX
from transkd.models import create_segmenter
from transkd.training import DistillModule

LABELS = torch.tensor([0, 1, 2, 3, IGNORE_INDEX], dtype=torch.uint8).repeat(1, 64, 13)[..., :64]
BATCH = {"image": torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8), "label": LABELS}
OURS, THEIRS = ("sky", "Traffic Light", "road", "car"), ("road", "sky", "car", "tree", "bus")


@register_loss("labelled_for_tests")
class Labelled(DistillationLoss):
    requires = frozenset({"features", "labels"})

    def __init__(self, student_channels, teacher_channels):
        super().__init__(student_channels, teacher_channels)
        self.project = torch.nn.Conv2d(student_channels[0], teacher_channels[0], 1)

    def forward(self, student, teacher, labels=None):
        self.seen = labels
        features = self.project(student.features[0])
        step = labels.shape[-1] // features.shape[-1]
        labelled = features.permute(0, 2, 3, 1)[labels[:, ::step, ::step] != IGNORE_INDEX]
        return labelled.float().square().mean()


class LabelledLogits(Labelled):
    requires = frozenset({"logits", "labels"})


class Spy(DistillationLoss):
    """Keeps the logits that it is given."""

    requires = frozenset({"logits"})

    def forward(self, student, teacher):
        self.seen = (student.logits, teacher.logits)
        return (student.logits - teacher.logits).square().mean()


def module_with(kind: type[DistillationLoss], ours, theirs, teacher_classes: int | None = None) -> DistillModule:
    student = create_segmenter("tiny", len(ours), class_names=ours)
    teacher = create_segmenter("tiny_teacher", teacher_classes or len(theirs), class_names=theirs)
    return DistillModule(student, teacher, {"mine": kind(student.channels, teacher.channels), "pea": 1.0})


@pytest.mark.parametrize("by_name", [False, True])
def test_a_loss_that_names_labels_gets_them_and_the_others_do_not(by_name: bool) -> None:
    student, teacher = create_segmenter("tiny", 4), create_segmenter("tiny_teacher", 4)
    name = "labelled_for_tests"
    loss = 1.0 if by_name else create_loss(name, student=student, teacher=teacher)
    module = DistillModule(student, teacher, {name: loss, "csf": 1.0})
    terms = module.loss_terms(BATCH)
    assert torch.equal(module.losses[name].seen, LABELS)
    assert terms[name] > 0
    assert terms["csf"] > 0


def test_labels_are_channels_of_the_logits_that_are_compared_or_the_students_own() -> None:
    module = module_with(LabelledLogits, OURS, THEIRS)
    module.loss_terms(BATCH)
    number = {0: 0, 1: IGNORE_INDEX, 2: 1, 3: 2, IGNORE_INDEX: IGNORE_INDEX}
    assert module.losses["mine"].seen.dtype == torch.uint8
    assert module.losses["mine"].seen[0].tolist() == [[number[int(label)] for label in row] for row in LABELS[0]]
    module = module_with(Labelled, OURS, THEIRS)
    module.loss_terms(BATCH)
    assert torch.equal(module.losses["mine"].seen, LABELS)


def test_logits_are_compared_on_the_classes_that_both_name_in_one_order() -> None:
    module = module_with(Spy, OURS, ("road", "traffic_light", "sky", "tree", "bus"))
    module.segmenter.eval()
    terms = module.loss_terms(BATCH)
    student, teacher = module.losses["mine"].seen
    assert torch.equal(student, module.segmenter(BATCH["image"])[:, [0, 1, 2]])
    assert torch.equal(teacher, module.teacher(BATCH["image"])[:, [2, 1, 0]])
    assert terms["mine"].item() == pytest.approx((student - teacher).square().mean().item())


def test_classes_that_cannot_be_matched_are_refused_by_a_loss_on_logits_only() -> None:
    with pytest.raises(ConfigError, match=r"mine compares logits, but the teacher has 20 classes and the student 4"):
        module_with(Spy, OURS, None, teacher_classes=20)
    assert module_with(Labelled, OURS, None, teacher_classes=20).class_match is None
    with pytest.raises(ConfigError, match="share fewer than two names"):
        module_with(Spy, OURS, ["cat", "dog"])
