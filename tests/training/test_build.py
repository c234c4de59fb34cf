"""Students that start from saved weights, and processes that know their place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from transkd.errors import WeightsError
from transkd.models import create_segmenter
from transkd.training.build import build_data
from transkd.training.config import parse_config
from transkd.training.segmenters import build_student
from transkd.training.trainer import RANKS, is_first_process


def test_a_student_keeps_the_head_and_the_normalisation_of_its_saved_weights(run, tmp_path: Path) -> None:
    saved = create_segmenter("tiny", 19, head_width=24, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    saved.save_pretrained(tmp_path / "saved")
    config = parse_config(run.config(tmp_path / "out", f"student.weights={tmp_path / 'saved'}"))
    student = build_student(config.student, build_data(config).classes).segmenter
    assert student.config["head_width"] == 24
    assert student.config["mean"] == [0.0, 0.0, 0.0]
    assert student.mean.flatten().tolist() == [0.0, 0.0, 0.0]
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in student.state_dict().items())


def test_another_head_width_than_the_saved_one_is_refused(run, tmp_path: Path) -> None:
    create_segmenter("tiny", 19, head_width=24).save_pretrained(tmp_path / "saved")
    values = run.config(tmp_path / "out", f"student.weights={tmp_path / 'saved'}", "student.head_width=32")
    config = parse_config(values)
    with pytest.raises(WeightsError, match=r"with head_width 24, not 32: .*student\.head_width=null"):
        build_student(config.student, build_data(config).classes)


@pytest.mark.parametrize("variable", RANKS)
def test_only_rank_zero_is_first(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv(variable, "1")
    assert not is_first_process()
