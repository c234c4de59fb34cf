"""Students and teachers that start from saved weights, and processes that know their place."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from transkd.data.classes import CITYSCAPES
from transkd.errors import WeightsError
from transkd.models import create_segmenter
from transkd.training.config import TrainConfig
from transkd.training.run import build_data, build_module
from transkd.training.segmenters import Origin, build_student, build_teacher
from transkd.training.trainer import RANKS, is_first_process

NAMES = CITYSCAPES.names


@pytest.fixture
def student(run, tmp_path: Path):
    """Build the student that overrides describe."""

    def built(*overrides: str, teacher: Origin | None = None) -> Origin:
        config = TrainConfig.validated(run.config(tmp_path / "out", *overrides))
        return build_student(config.student, CITYSCAPES, teacher)

    return built


def test_a_student_keeps_the_head_and_the_normalisation_of_its_saved_weights(student, tmp_path: Path) -> None:
    saved = create_segmenter("tiny", 19, head_width=24, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    saved.save_pretrained(tmp_path / "saved")
    again = student(f"student.weights={tmp_path / 'saved'}").segmenter
    assert again.config["head_width"] == 24
    assert again.config["mean"] == again.mean.flatten().tolist() == [0.0, 0.0, 0.0]
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in again.state_dict().items())
    with pytest.raises(WeightsError, match=r"with head_width 24, not 32: .*student\.head_width=null"):
        student(f"student.weights={tmp_path / 'saved'}", "student.head_width=32")


@pytest.mark.parametrize("variable", RANKS)
def test_only_rank_zero_is_first(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv(variable, "1")
    assert not is_first_process()


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (NAMES, "{}"),
        (None, "{} (its classes have no names: taken in the dataset's order)"),
        ([*NAMES[1::-1], *NAMES[2:]], "output 0 is 'sidewalk', the dataset's class 0 'road'"),
        ([*NAMES[:-1], "tram"], "output 18 is 'tram', the dataset's class 18 'bicycle'"),
    ],
)
def test_a_student_takes_weights_of_the_same_classes_only(student, tmp_path: Path, names, text: str) -> None:
    saved = tmp_path / "saved"
    create_segmenter("tiny", 19, class_names=names).save_pretrained(saved)
    if "{}" in text:
        assert student(f"student.weights={saved}").text == text.format(saved)
    else:
        with pytest.raises(WeightsError, match="has as many classes as the dataset, 19, but others") as refusal:
            student(f"student.weights={saved}")
        assert text in str(refusal.value)


def test_pretrained_weights_of_a_file(student, tmp_path: Path) -> None:
    network = timm.create_model("resnet18", num_classes=7)
    file = tmp_path / "resnet18.pth"
    torch.save(network.state_dict(), file)
    made, text = student("student.backbone=resnet18", f"student.pretrained={file}", "student.drop_path_rate=null")
    assert text == f"backbone from {file}, head random"
    saved = network.state_dict()["layer2.0.conv1.weight"]
    assert any(p.shape == saved.shape and torch.equal(p, saved) for p in made.backbone.parameters())


def test_a_teacher_is_whatever_its_weights_are_where_it_is_left_open(run, tmp_path: Path) -> None:
    def teacher(weights: object) -> Origin:
        values = run.compose(f"data.root={run.scenes}", "teacher=auto", f"teacher.weights={weights}")
        return build_teacher(TrainConfig.validated(values).teacher, CITYSCAPES, "cityscapes")

    create_segmenter("tiny_teacher", 5, head_width=24).save_pretrained(tmp_path / "saved")
    made, text = teacher(tmp_path / "saved")
    assert (made.config["backbone"], made.config["head_width"], made.num_classes) == ("tiny_teacher", 24, 5)
    assert text == str(tmp_path / "saved")
    with pytest.raises(WeightsError, match="needs a backbone"):
        teacher("random")


def test_a_student_starts_from_its_teacher(run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = create_segmenter("mit_b1", 19, class_names=NAMES, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
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


@pytest.mark.parametrize(("names", "random"), [(NAMES[::-1], ", classifier random"), (None, "")])
def test_other_classes_of_the_teacher_are_not_started_from(student, names, random: str) -> None:
    teacher = Origin(create_segmenter("tiny", 19, class_names=names), "t")
    assert student("student.weights=teacher", teacher=teacher).text == f"selected from the teacher's (t){random}"


def test_a_student_of_another_family_cannot_start_from_its_teacher(student) -> None:
    teacher = Origin(create_segmenter("mit_b1", 19), "t")
    with pytest.raises(WeightsError, match=r"student\.weights=teacher: lvt is not part of mit_b1: .*weights=scratch"):
        student("student.weights=teacher", "student.backbone=lvt", teacher=teacher)
