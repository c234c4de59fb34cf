"""Arguments as people write them, in Hydra's form."""

from __future__ import annotations

import pytest

from transkd.cli.arguments import split_arguments, users_form
from transkd.errors import ConfigError
from transkd.runs.command import as_typed

ADDED = ["+distillation.losses.a.weight=1", "distillation.losses.b={weight: 1}", "+distillation.losses.a.x=2"]
HYDRAS = [f"++{text.lstrip('+')}" for text in ADDED]


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        (["experiment=a", "seed=1"], ["+experiment=a", "seed=1"]),
        (["debug=batch", "+experiment=a", "seed=1"], ["+experiment=a", "seed=1", "+debug=batch"]),
        (["trainer.profiler=simple", "+trainer.x=1"], ["++trainer.profiler=simple", "++trainer.x=1"]),
        (["data.options={conditions: [fog]}"], ["++data.options={conditions: [fog]}"]),
        (["trainer=gpu", "optimizer=paper"], ["trainer=gpu", "optimizer=paper"]),
        (["debug=batch", "--cfg", "job", "seed=1"], ["seed=1", "+debug=batch", "--cfg=job"]),
        (["sweep=fusion", "-m", "experiment=a"], ["+experiment=a", "+sweep=fusion", "--multirun"]),
        (ADDED, [*HYDRAS, "distillation.name=a_b"]),
        (["distillation=none", *ADDED[:1]], ["distillation=none", *HYDRAS[:1], "distillation.name=a"]),
        (["distillation=kd", *HYDRAS], ["distillation=kd", *HYDRAS]),
        (["+experiment=e", *HYDRAS], ["+experiment=e", *HYDRAS]),
        (["distillation.name=mine", *HYDRAS], ["distillation.name=mine", *HYDRAS]),
        (["~distillation.losses.a", "data.size=64", "+foo=1"], ["~distillation.losses.a", "data.size=64", "+foo=1"]),
        (["--multi", "seed=1", "-cd", "mine"], ["seed=1", "--multirun", "--config-dir=mine"]),
        (["--info", "defaults", "seed=1"], ["seed=1", "--info=defaults"]),
        (["input=a b.jpg", "model=runs/x-1", "output=2024"], ["input='a b.jpg'", "model=runs/x-1", "output='2024'"]),
        (["input=1e5", "input='x'", "input=null"], ["input='1e5'", "input='x'", "input=null"]),
    ],
)
def test_users_form(written: list[str], taken: list[str]) -> None:
    assert users_form(written) == taken
    assert users_form(taken) == taken, "it is a form that Hydra is given, whichever was written"


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


@pytest.mark.parametrize(
    ("written", "reported"),
    [
        ("--hlep", "--hlep: there is no such option; did you mean '--help'?"),
        ("--seed=1", "--seed=1: there is no such option; keys have no dashes: seed=1"),
        ("-x seed=1", "-x: there is no such option; keys have no dashes: x=…"),
        ("--cfg", "--cfg: expected one argument"),
        ("--cfg=jobs", "--cfg: invalid choice: 'jobs'"),
        ("--config-dir", "--config-dir: expected one argument"),
    ],
)
def test_options_that_do_not_exist(written: str, reported: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_arguments(written.split())
    assert str(caught.value).startswith(reported)
