"""Losses that read labels get them, and losses that do not are left alone."""

from __future__ import annotations

import pytest
import torch

from transkd.distillation import DistillationLoss, create_loss, register_loss
from transkd.evaluation import IGNORE_INDEX
from transkd.models import create_segmenter
from transkd.training import DistillModule
from transkd.training.preflight import loss_cost, taps_without_computing

LABELS = torch.tensor([0, 1, 2, 3, IGNORE_INDEX], dtype=torch.uint8).repeat(1, 64, 13)[..., :64]
BATCH = {"image": torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8), "label": LABELS}


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


def module_with(loss: DistillationLoss | None, names: tuple[str, ...], theirs: tuple[str, ...]) -> DistillModule:
    student = create_segmenter("tiny", len(names), class_names=names)
    teacher = create_segmenter("tiny_teacher", len(theirs), class_names=theirs)
    made = Labelled if loss is None else loss
    return DistillModule(student, teacher, {"mine": made(student.channels, teacher.channels), "pea": 1.0})


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


def test_labels_are_channels_of_the_logits_that_are_compared() -> None:
    module = module_with(LabelledLogits, ("sky", "cow", "road", "car"), ("road", "sky", "car"))
    module.loss_terms(BATCH)
    number = {0: 0, 1: IGNORE_INDEX, 2: 1, 3: 2, IGNORE_INDEX: IGNORE_INDEX}
    assert module.losses["mine"].seen.dtype == torch.uint8
    assert module.losses["mine"].seen[0].tolist() == [[number[int(label)] for label in row] for row in LABELS[0]]


def test_a_loss_on_features_keeps_the_students_labels_whatever_the_teachers_classes() -> None:
    module = module_with(None, ("sky", "cow", "road", "car"), ("road", "sky", "car"))
    module.loss_terms(BATCH)
    assert torch.equal(module.losses["mine"].seen, LABELS)


def test_work_that_depends_on_labels_is_counted_and_leaves_the_loss_as_it_was() -> None:
    student, teacher = create_segmenter("tiny", 4), create_segmenter("tiny_teacher", 4)
    loss = create_loss("labelled_for_tests", student=student, teacher=teacher)
    with taps_without_computing(student, teacher, [loss], (64, 64)) as (ours, theirs):
        cost = loss_cost(loss, ours, theirs)
    assert cost.macs.with_attention == 16 * 16 * 8 * 16
    assert cost.parameters == 8 * 16 + 16
    assert not hasattr(loss, "seen")
