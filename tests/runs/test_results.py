"""One schema of results.json: what is written is read again, and what older versions wrote too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transkd.evaluation import Scores
from transkd.runs.results import Results, UnusableRunError, read_results

OLD = Path(__file__).parents[1] / "fixtures/v01/runs"


@pytest.mark.parametrize("run", ["student", "teacher"])
def test_results_of_version_0_1_are_read_and_written_alike(run: str) -> None:
    text = (OLD / run / "results.json").read_text()
    results = read_results(OLD / run)
    assert json.dumps(results.as_dict(), indent=2) + "\n" == text
    assert (results.distillation_cost is None) == (run == "teacher")


def test_every_score_has_its_key() -> None:
    scores = Scores(miou=0.5, pixel_accuracy=0.75, per_class={"road": 0.5})
    assert scores.as_dict().keys() <= Results.model_fields.keys()


def test_unfinished_and_damaged_results(tmp_path: Path) -> None:
    with pytest.raises(UnusableRunError, match=r"^unfinished: it has no results\.json$"):
        read_results(tmp_path)
    results = json.loads((OLD / "student/results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps(results | {"gmacs": "many"}))
    with pytest.raises(UnusableRunError, match=r"^damaged: results\.json at gmacs: input should be a valid number"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(UnusableRunError, match=r"^damaged: results\.json cannot be read \(Expecting"):
        read_results(tmp_path)
