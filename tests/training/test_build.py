"""Students that start from saved weights, and processes that know their place."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from transkd.data.classes import CITYSCAPES
from transkd.errors import WeightsError
from transkd.models import create_segmenter
from transkd.training.build import build_data, build_module
from transkd.training.config import TrainConfig
from transkd.training.segmenters import Origin, build_student, build_teacher
from transkd.training.trainer import RANKS, is_first_process


def test_a_student_keeps_the_head_and_the_normalisation_of_its_saved_weights(run, tmp_path: Path) -> None:
    saved = create_segmenter("tiny", 19, head_width=24, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    saved.save_pretrained(tmp_path / "saved")
    config = TrainConfig.validated(run.config(tmp_path / "out", f"student.weights={tmp_path / 'saved'}"))
    student = build_student(config.student, build_data(config).classes).segmenter
    assert student.config["head_width"] == 24
    assert student.config["mean"] == [0.0, 0.0, 0.0]
    assert student.mean.flatten().tolist() == [0.0, 0.0, 0.0]
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in student.state_dict().items())
    config = TrainConfig.validated(
        run.config(tmp_path / "out", f"student.weights={tmp_path / 'saved'}", "student.head_width=32")
    )
    with pytest.raises(WeightsError, match=r"with head_width 24, not 32: .*student\.head_width=null"):
        build_student(config.student, build_data(config).classes)


@pytest.mark.parametrize("variable", RANKS)
def test_only_rank_zero_is_first(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv(variable, "1")
    assert not is_first_process()


def test_the_choice_of_weights_is_one_and_says_what_it_was(run, tmp_path: Path) -> None:
    create_segmenter("tiny", 19).save_pretrained(tmp_path / "nameless")
    create_segmenter("tiny", 19, class_names=CITYSCAPES.names).save_pretrained(tmp_path / "saved")
    order = "its classes have no names: taken in the dataset's order"
    for overrides, said in (
        ((), "random weights"),
        ((f"student.weights={tmp_path / 'saved'}",), str(tmp_path / "saved")),
        ((f"student.weights={tmp_path / 'nameless'}",), f"{tmp_path / 'nameless'} ({order})"),
    ):
        config = TrainConfig.validated(run.config(tmp_path / "out", *overrides))
        assert build_student(config.student, build_data(config).classes).text == said


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([*CITYSCAPES.names[1::-1], *CITYSCAPES.names[2:]], "output 0 is 'sidewalk', the dataset's class 0 'road'"),
        ([*CITYSCAPES.names[:-1], "tram"], "output 18 is 'tram', the dataset's class 18 'bicycle'"),
    ],
)
def test_a_student_of_as_many_but_other_classes_is_refused(run, tmp_path: Path, names: list[str], said: str) -> None:
    create_segmenter("tiny", 19, class_names=names).save_pretrained(tmp_path / "saved")
    config = TrainConfig.validated(run.config(tmp_path / "out", f"student.weights={tmp_path / 'saved'}"))
    with pytest.raises(WeightsError, match="has as many classes as the dataset, 19, but others") as refusal:
        build_student(config.student, build_data(config).classes)
    assert said in str(refusal.value)


def test_pretrained_weights_of_a_file(run, tmp_path: Path) -> None:
    network = timm.create_model("resnet18", num_classes=7)
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    keys = (
        "student.backbone=resnet18",
        f"student.pretrained={tmp_path / 'resnet18.pth'}",
        "student.drop_path_rate=null",
    )
    config = TrainConfig.validated(run.config(tmp_path / "out", *keys))
    student, text = build_student(config.student, build_data(config).classes)
    assert text == f"backbone from {tmp_path / 'resnet18.pth'}, head random"
    saved = network.state_dict()["layer2.0.conv1.weight"]
    assert any(p.shape == saved.shape and torch.equal(p, saved) for p in student.backbone.parameters())


def test_a_teacher_is_whatever_its_weights_are_where_it_is_left_open(run, tmp_path: Path) -> None:
    create_segmenter("tiny_teacher", 5, head_width=24).save_pretrained(tmp_path / "saved")
    keys = ("teacher=auto", f"teacher.weights={tmp_path / 'saved'}")
    values = run.compose(f"data.root={run.scenes}", f"output={tmp_path / 'out'}", *keys)
    teacher, text = build_teacher(TrainConfig.validated(values).teacher, CITYSCAPES, "cityscapes")
    assert (teacher.config["backbone"], teacher.config["head_width"], teacher.num_classes) == ("tiny_teacher", 24, 5)
    assert text == str(tmp_path / "saved")
    values = run.compose(
        f"data.root={run.scenes}", f"output={tmp_path / 'out'}", "teacher=auto", "teacher.weights=random"
    )
    with pytest.raises(WeightsError, match="needs a backbone"):
        build_teacher(TrainConfig.validated(values).teacher, CITYSCAPES, "cityscapes")


def test_a_student_starts_from_its_teacher(run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    names = CITYSCAPES.names
    teacher = create_segmenter("mit_b1", 19, class_names=names, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    teacher.save_pretrained(tmp_path / "teacher")
    choice = ["student.weights=teacher", f"teacher.weights={tmp_path / 'teacher'}", "teacher.backbone=mit_b1"]
    for losses in ({}, {"kd": {"weight": 1.0}}):
        values = run.config(tmp_path / "out", "student.backbone=mit_b0", *choice)
        values["distillation"]["losses"] = losses
        config = TrainConfig.validated(values)
        module = build_module(config, build_data(config))
        role = "student" if losses else "model"
        assert module.weights_from[role] == f"selected from the teacher's ({tmp_path / 'teacher'})"
        state = module.segmenter.state_dict()
        for name, tensor in teacher.state_dict().items():
            steps = tuple(slice(None, None, a // b) for a, b in zip(tensor.shape, state[name].shape, strict=True))
            assert torch.equal(state[name], tensor[steps]), name
        assert module.segmenter.config["mean"] == [0.0, 0.0, 0.0]
        assert module.segmenter.config["dropout"] == config.student.dropout


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", *CITYSCAPES.names[1:]), ", classifier random"),
        (CITYSCAPES.names[::-1], ", classifier random"),
        (None, ""),
    ],
)
def test_other_classes_of_the_teacher_are_not_started_from(run, tmp_path: Path, names, said: str) -> None:
    create_segmenter("tiny", 19, class_names=names).save_pretrained(tmp_path / "teacher")
    config = TrainConfig.validated(run.config(tmp_path / "out", "student.weights=teacher"))
    teacher = Origin(create_segmenter("tiny", 19, class_names=names), "t")
    assert (
        build_student(config.student, build_data(config).classes, teacher).text
        == f"selected from the teacher's (t){said}"
    )


def test_a_student_of_another_family_cannot_start_from_its_teacher(run, tmp_path: Path) -> None:
    config = TrainConfig.validated(run.config(tmp_path / "out", "student.weights=teacher", "student.backbone=lvt"))
    teacher = Origin(create_segmenter("mit_b1", 19), "t")
    with pytest.raises(WeightsError, match=r"student\.weights=teacher: lvt is not part of mit_b1: .*weights=scratch"):
        build_student(config.student, build_data(config).classes, teacher)
