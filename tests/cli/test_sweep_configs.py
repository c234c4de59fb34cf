"""The ready sweeps: each composes, names its runs apart, and asks for losses and options that exist."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from command_runs import Command

from transkd.cli.arguments import users_form
from transkd.cli.commands import config_folder
from transkd.cli.sweep import plan_sweep

# Jobs a seed.
JOBS = {
    "methods": 7,
    "embedding_stages": 6,
    "fusion": 3,
    "feature_criteria": 3,
    "embedding_weights": 5,
    "gl_mixer_stages": 4,
    "ea_parts": 3,
    "students": 12,
    "teachers": 5,
    "teacher_runs": 5,
}


def test_every_sweep_is_here() -> None:
    assert {path.stem for path in (config_folder() / "sweep").glob("*.yaml")} == set(JOBS)


@pytest.mark.parametrize("sweep", JOBS)
def test_a_ready_sweep_composes_jobs_that_train(sweep: str) -> None:
    """Planning composes and checks each job, and refuses those that share a name."""
    experiment = "camvid_teacher" if sweep == "teacher_runs" else "camvid_mitb0"
    fixed = ["data.root=.", "trainer.accelerator=cpu", "teacher.weights=random", "seed=0"]
    jobs = plan_sweep("transkd-train", users_form([f"+experiment={experiment}", *fixed, f"+sweep={sweep}"])).planned
    assert len(set(jobs)) == len(jobs) == JOBS[sweep]


def test_the_command_line_has_the_last_word_over_a_sweep(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "sweep=fusion", "distillation=none", "seed=3", "name=${distillation.name}-${seed}")
    assert outcome.code == 0, outcome.err
    (results,) = tmp_path.glob("runs/*/results.json")
    assert results.parent.name == "none-3"
    program, *arguments = shlex.split(json.loads(results.read_text())["command"])
    again = run(*arguments, name=program)
    assert (again.code, "done before" in again.out) == (0, True), again.err


def test_a_ready_sweep_of_an_option_takes_other_values() -> None:
    arguments = ["+experiment=camvid_mitb0", "teacher.weights=random", "+sweep=embedding_weights", "seed=0"]
    plan = plan_sweep("transkd-train", users_form(["distillation.losses.pea.weight=5,6", *arguments]))
    assert plan.planned == (("distillation.losses.pea.weight=5",), ("distillation.losses.pea.weight=6",))
