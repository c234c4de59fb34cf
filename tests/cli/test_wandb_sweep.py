"""conf/wandb_sweep.yaml: what an agent of W&B starts is a command line that composes and trains."""

from __future__ import annotations

import pytest
import yaml
from command_runs import Command

from transkd.cli.commands import config_folder

TRIAL = {
    "distillation": "transkd_ea",
    "optimizer.lr": 0.00042,
    "distillation.losses.csf.weight": 0.7,
    "seed": 2,
}


def agents_command(sweep: dict[str, object], trial: dict[str, object]) -> list[str]:
    """Return the command as W&B's agent makes it of a sweep's config and a trial's values."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args
    from wandb.wandb_agent import Agent

    macros = create_sweep_command_args({"args": {name: {"value": value} for name, value in trial.items()}})
    command: list[str] = []
    for part in sweep.get("command", Agent.DEFAULT_SWEEP_COMMAND):
        name = str(part)[2:-1] if str(part).startswith("${") else ""
        if name == "env":
            continue
        if name == "program":
            command.append(str(sweep["program"]))
        elif name in macros:
            command += macros[name]
        else:
            command.append(str(part))
    return command


def test_a_trial_is_a_command_that_composes(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = yaml.safe_load((config_folder() / "wandb_sweep.yaml").read_text())
    assert set(sweep["parameters"]) == set(TRIAL)
    assert sweep["metric"] == {"name": "val/miou", "goal": "maximize"}
    program, *arguments = agents_command(sweep, TRIAL)
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    assert program == "transkd-train"
    outcome = run(*arguments, "--cfg", "job", "--resolve")
    assert outcome.code == 0, outcome.err
    config = yaml.safe_load(outcome.out)
    assert (config["name"], config["output"], config["seed"]) == ("wandb-abc123", "runs/wandb-abc123", 2)
    assert config["distillation"]["losses"]["csf"]["weight"] == 0.7
    assert (config["optimizer"]["lr"], config["logger"]["wandb"]["project"]) == (0.00042, "transkd")
