"""The ready sweeps: each composes, names its runs apart, and asks for losses and options that exist."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from command_runs import Command
from omegaconf import DictConfig, OmegaConf

from transkd.cli.arguments import users_form
from transkd.cli.commands import config_folder
from transkd.cli.sweep.plan import plan_sweep
from transkd.options import find_problems
from transkd.training.config import TrainConfig

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
    experiment = "camvid_teacher" if sweep == "teacher_runs" else "camvid_mitb0"
    arguments = [
        f"+experiment={experiment}",
        "data.root=.",
        "trainer.accelerator=cpu",
        "teacher.weights=random",
        "seed=0",
    ]
    found: list[object] = []
    names = set()

    def check(config: DictConfig) -> list[object]:
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        names.add(values["name"])
        found.extend(find_problems(TrainConfig, values))
        return []

    plan = plan_sweep("transkd-train", users_form([*arguments, f"+sweep={sweep}"]), check=check)
    assert len(set(plan.jobs)) == len(plan.jobs) == len(names) == JOBS[sweep]
    assert [str(problem) for problem in found] == []


def test_the_command_line_has_the_last_word_over_a_sweep(run: Command, tiny: list[str], tmp_path: Path) -> None:
    outcome = run("-m", *tiny, "sweep=fusion", "distillation=none", "seed=3", "name=${distillation.name}-${seed}")
    assert outcome.code == 0, outcome.err
    (results,) = tmp_path.glob("runs/*/results.json")
    assert results.parent.name == "none-3"
    program, *arguments = shlex.split(json.loads(results.read_text())["command"])
    again = run(*arguments, name=program)
    assert (again.code, "done before" in again.out) == (0, True), again.err


def test_a_ready_sweep_of_an_option_takes_other_values(tmp_path: Path) -> None:
    arguments = ["+experiment=camvid_mitb0", "teacher.weights=random", "+sweep=embedding_weights", "seed=0"]
    overrides = users_form(["distillation.losses.pea.weight=5,6", *arguments])
    plan = plan_sweep("transkd-train", overrides)
    assert plan.jobs == (("distillation.losses.pea.weight=5",), ("distillation.losses.pea.weight=6",))


def test_a_sweep_without_m_is_told(run: Command) -> None:
    outcome = run("sweep=fusion")
    assert "sweep=fusion: a sweep is many runs: add -m" in outcome.refused()
