"""Arguments as people write them, in Hydra's form."""

from __future__ import annotations

from pathlib import Path

import pytest

from transkd.cli.arguments import config_dirs, flag_problems, split_arguments, users_form
from transkd.runs.command import as_typed


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        (["experiment=a", "seed=1"], ["+experiment=a", "seed=1"]),
        (["+experiment=a"], ["+experiment=a"]),
        (["debug=batch", "experiment=a", "seed=1"], ["+experiment=a", "seed=1", "+debug=batch"]),
        (["trainer.profiler=simple"], ["++trainer.profiler=simple"]),
        (["+trainer.profiler=simple"], ["++trainer.profiler=simple"]),
        (["++optimizer.eps=1"], ["++optimizer.eps=1"]),
        (["data.options={conditions: [fog]}"], ["++data.options={conditions: [fog]}"]),
        (["trainer=gpu", "optimizer=paper"], ["trainer=gpu", "optimizer=paper"]),
        (["debug=batch", "--cfg", "job", "seed=1"], ["seed=1", "+debug=batch", "--cfg", "job"]),
        (["sweep=fusion", "-m", "experiment=a"], ["+experiment=a", "+sweep=fusion", "-m"]),
        (
            ["+distillation.losses.a.weight=1", "distillation.losses.b={weight: 1}", "+distillation.losses.a.x=2"],
            [
                "++distillation.losses.a.weight=1",
                "++distillation.losses.b={weight: 1}",
                "++distillation.losses.a.x=2",
                "distillation.name=a_b",
            ],
        ),
        (
            ["distillation=none", "distillation.losses.a.weight=1"],
            ["distillation=none", "++distillation.losses.a.weight=1", "distillation.name=a"],
        ),
        (["distillation=kd", "++distillation.losses.a.weight=1"],) * 2,
        (["+experiment=e", "++distillation.losses.a.weight=1"],) * 2,
        (["distillation.name=mine", "++distillation.losses.a.weight=1"],) * 2,
        (["++distillation.losses.a.weight=1", "+sweep=s"],) * 2,
        (["~distillation.losses.a"],) * 2,
        (["data.size=64", "+foo=1", "~trainer.max_epochs", "-m", "--cfg", "job"],) * 2,
    ],
)
def test_users_form(written: list[str], taken: list[str]) -> None:
    assert users_form(written) == taken


@pytest.mark.parametrize(
    ("taken", "typed"),
    [
        ("++trainer.max_epochs=3", "trainer.max_epochs=3"),
        ("++data.options.images='{split}/rgb'", "data.options.images='{split}/rgb'"),
        ("+experiment=a", "+experiment=a"),
        ("++name=a", "++name=a"),
        ("~trainer.max_epochs", "~trainer.max_epochs"),
    ],
)
def test_as_typed(taken: str, typed: str) -> None:
    assert as_typed(taken) == typed
    assert users_form([typed]) == [taken]


def test_flags_keep_their_values() -> None:
    flags, overrides = split_arguments(["-m", "seed=1", "--config-dir", "mine", "--cfg", "job", "a=b"])
    assert flags == ["-m", "--config-dir", "mine", "--cfg", "job"]
    assert overrides == ["seed=1", "a=b"]


def test_config_dirs_of_both_spellings() -> None:
    assert config_dirs(["--config-dir=a", "-cd", "b", "-m"]) == [Path("a").resolve(), Path("b").resolve()]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (["--hlep"], ["--hlep: there is no such option; did you mean '--help'?"]),
        (["--seed=1"], ["--seed=1: there is no such option; keys have no dashes: seed=1"]),
        (["--seed", "1"], ["--seed: there is no such option; keys have no dashes: seed=1"]),
        (["-x", "seed=1"], ["-x: there is no such option; keys have no dashes: x=…"]),
        (["--"], ["--: there is no such option; leave it out"]),
        (["--cfg"], ["--cfg: needs a value: --cfg job"]),
        (["--cfg=jobs"], ["--cfg: there is no part 'jobs' of the config; known: job, hydra, all"]),
        (["--config-dir"], ["--config-dir: needs a value: --config-dir …"]),
        (["-m", "--cfg", "job", "--resolve", "-cd", "mine", "--info", "defaults", "seed=1"], []),
        (["--multi", "--config-d=mine"], []),
    ],
)
def test_options_that_do_not_exist(written: list[str], said: list[str]) -> None:
    flags, _ = split_arguments(written)
    assert list(flag_problems(flags)) == said


def test_options_that_are_cut_short_are_written_out() -> None:
    assert users_form(["--multi", "seed=1", "--config-d=mine"]) == ["seed=1", "--multirun", "--config-dir=mine"]


def test_the_value_of_info_is_no_override() -> None:
    assert split_arguments(["--info", "defaults", "seed=1"]) == (["--info", "defaults"], ["seed=1"])
