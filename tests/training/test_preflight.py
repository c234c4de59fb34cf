"""What is printed before training: the paper's costs of adapters, and what each loss compares."""

from __future__ import annotations

import pytest
from rich.console import Console
from test_class_matching import Labelled
from torch import Tensor

from transkd.distillation import DistillationLoss, create_loss
from transkd.errors import ConfigError
from transkd.evaluation import count_macs, count_parameters
from transkd.evaluation.cost import count_network
from transkd.models import Taps, create_segmenter
from transkd.training import DistillModule
from transkd.training.preflight import loss_cost, loss_table, taps_without_computing, total_cost

PUBLISHED = {"pea": (4_563_124, 16.47), "gl_mixer": (5_219_254, 16.80), "ea": (5_534_076, 17.84)}


@pytest.mark.slow
def test_the_papers_rows_with_adapters_to_their_last_digit() -> None:
    size = (512, 1024)
    student, teacher = create_segmenter("mit_b0", 20), create_segmenter("mit_b2", 20)
    alone = count_network(student, size)
    for form, row in PUBLISHED.items():
        made = [create_loss(name, student=student, teacher=teacher) for name in ("csf", form)]
        cost = total_cost(made, student, teacher, size)
        found = (count_parameters(student) + cost.parameters, round((alone + cost.macs).as_published / 1e9, 2))
        assert found == row, form


def test_the_mixers_attention_is_told_apart() -> None:
    student = create_segmenter("mit_b0", 5)
    loss = create_loss("gl_mixer", student=student, teacher=student)
    with taps_without_computing(student, student, [loss], (64, 96)) as (ours, theirs):
        cost = loss_cost(loss, ours, theirs)
        total = count_macs(lambda: loss(ours, theirs))
    positions, channels = 2 * 3, 256
    assert cost.macs.with_attention == total
    assert cost.macs.with_attention - cost.macs.without_attention == 2 * positions * positions * channels
    assert student.training


def test_a_loss_of_ones_own_that_does_not_fit_is_told_of_real_tensors(capfd: pytest.CaptureFixture[str]) -> None:
    class Misfit(DistillationLoss):
        def forward(self, student: Taps, teacher: Taps) -> Tensor:
            return (student.features[-1] - teacher.features[-1]).pow(2).mean()

    student, teacher = create_segmenter("mit_b0", 5), create_segmenter("mit_b1", 5)
    loss = Misfit(student.channels, teacher.channels)
    with (
        taps_without_computing(student, teacher, [loss], (64, 96)) as (ours, theirs),
        pytest.raises(ConfigError, match=r"'Misfit' failed in forward, .*: The size of tensor a \(256\) must match"),
    ):
        loss_cost(loss, ours, theirs)
    assert capfd.readouterr() == ("", ""), "torch writes a traceback where there are no values"


def test_work_that_depends_on_labels_is_counted_and_leaves_the_loss_as_it_was() -> None:
    student, teacher = create_segmenter("tiny", 4), create_segmenter("tiny_teacher", 4)
    loss = Labelled(student.channels, teacher.channels)
    with taps_without_computing(student, teacher, [loss], (64, 64)) as (ours, theirs):
        cost = loss_cost(loss, ours, theirs)
    assert cost.macs.with_attention == 16 * 16 * 8 * 16
    assert cost.parameters == 8 * 16 + 16
    assert not hasattr(loss, "seen")


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
