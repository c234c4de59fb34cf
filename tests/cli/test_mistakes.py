"""Mistakes in arguments: all reported at once, a line each, with the key's path and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import Command

TOGETHER = (
    # Arguments that are wrong on their own, in keys, in choices and in form.
    {
        "+experiment=camvid_mitb": "experiment=camvid_mitb: there is no such choice; did you mean 'camvid_mitb0'?",
        "distilation=transkd_ea": "distilation: there is no such key; did you mean 'distillation'?",
        "distillation=transkd_eaa": "distillation=transkd_eaa: there is no such choice; did you mean 'transkd_ea'?",
        "nonsense": "nonsense: is not of the form key=value",
        "=3": "=3: is not of the form key=value",
        "data.size=[64,128": "data.size=[64,128: is not of the form key=value",
        "data.batchsize=4": "data.batchsize: there is no such key; did you mean 'data.batch_size'?",
        "~nothing": "nothing: there is no such key; known: augment",
        "+seed=1": "+seed=1: there is such a key; write it without the +",
        "+objective=paper": "+objective=paper: there is a choice of objective already; write it without the +",
        "pictures=1,2": "pictures=1,2: several values are a sweep, a run each: add -m; for a list write pictures=[…]",
        "student=base": "student=base: there is no such choice; known: ",
        "+foo=1": "foo: there is no such key; known: augment,",
        "seed=abc": "seed: give a whole number (it is 'abc')",
        "schedule.name=polly": "schedule.name: there is no such choice; did you mean 'poly'?",
    },
    # Values of the wrong kind, which the declared types know.
    {
        "seed=-1": "seed: give 0 or more (it is -1)",
        "data.size=[64,64,64]": "data.size: give a short side in pixels (512), [height, width] ([512, 1024]), 32 or",
        "data.batch_size=1.5": "data.batch_size: give a whole number (it is 1.5)",
        "augment.options.flipp=0.5": "augment.options.flipp: there is no such key; did you mean 'flip'?",
        "student.backbone=mit_b9": "student.backbone: there is no backbone 'mit_b9'; did you mean 'mit_b",
        "student.head=segformr": "student.head: there is no head 'segformr'; did you mean 'segformer'?",
        "objective.loss_resolution=lable": "objective.loss_resolution: there is no such choice; did you mean 'label'?",
        "objective.class_weights=some": "objective.class_weights: give none, dataset or a list of numbers",
        "trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches: give 1 or more (it is 0)",
        "trainer.max_epoch=3": "trainer.max_epoch: there is no such key; did you mean 'max_epochs'?",
        "trainer.logger=true": "trainer.logger: the run itself sets this; the key for it is logger",
        "optimizer.lr=fast": "optimizer.lr: give a number (it is 'fast')",
        "optimizer.lrr=1": "optimizer.lrr: there is no such key; did you mean 'lr'?",
        "callbacks.a._target_=os.system": "callbacks.a: _target_ 'os.system' is refused: only classes of",
        "callbacks.b._target_=lightning.pytorch.callbacks.EarlyStoping": "callbacks.b: ",
        "callbacks.x=5": "callbacks.x: give {_target_: lightning.pytorch.callbacks.NAME, option: value} (it is 5)",
        "distillation.losses.cfs.weight=1": "distillation.losses.cfs: there is no such loss; did you mean 'csf'?",
        "distillation.losses.csf.widht=1": "distillation.losses.csf.widht: there is no such key; did you mean",
        "imports=losses": "imports: give a list (it is 'losses')",
    },
)


@pytest.mark.parametrize("mistakes", TOGETHER)
def test_every_mistake_is_reported_at_once(run: Command, mistakes: dict[str, str]) -> None:
    outcome = run(*mistakes)
    outcome.refused()
    assert outcome.err.splitlines()[0] == f"transkd-train: there are {len(mistakes)} mistakes in the arguments:"
    for expected in mistakes.values():
        assert sum(line.startswith(expected) for line in outcome.lines) == 1, f"{expected}\n{outcome.err}"


ALONE = {
    "seed=null": "seed: give a whole number (it is null)",
    "seed=???": "seed: is missing",
    "~seed": "name: Interpolation key 'seed' not found",
    "~data.root": "data.root: is missing",
    "experiment=camvid_mitb0 +experiment=quickstart": "experiment=camvid_mitb0 and experiment=quickstart: only one of",
    "sweep=fusion": "sweep=fusion: a sweep is many runs: add -m",
    "-m seed=range(0,0)": "seed=range(0,0): is a sweep over no value",
    "data.size=native": "augment: size='native': the standard recipe scales images, so it needs a size in pixels",
    "data=camvid objective=paper": "objective.class_weights: CamVid has no published ones; give 11 numbers, or none",
    "data=acdc data.options.condition=[fog]": "data.options.condition: there is no such key; did you mean",
    "trainer.accelerator=quantum": "trainer: you selected an invalid accelerator name",
    "optimizer.lr=-1": "optimizer: torch.optim.AdamW refuses its options",
    "logger=wandb logger.wandb.mode=onlin": "logger.wandb.mode: there is no such choice; did you mean 'online'?",
    "imports=[no_such_module] distillation.losses.mine.weight=1": "imports: the module 'no_such_module' cannot be",
    "imports=[no_python]": "imports: the module 'no_python' is not Python: ",
}


@pytest.mark.parametrize("arguments", ALONE)
def test_one_mistake_is_one_line(run: Command, tmp_path: Path, arguments: str) -> None:
    (tmp_path / "no_python.py").write_text("import transkd\ndef f(:\n")
    outcome = run(*arguments.split())
    outcome.refused()
    assert outcome.err.splitlines()[0] == "transkd-train: there is a mistake in the arguments:"
    (line,) = outcome.lines
    assert line.startswith(ALONE[arguments])


def test_a_mistyped_choice_makes_no_mistakes_of_what_goes_with_it(run: Command) -> None:
    outcome = run("action=class", "data=camvid", "data.root=x", name="transkd-data")
    outcome.refused("transkd-data")
    assert outcome.lines == ["action=class: there is no such choice; did you mean 'classes'?"]


def test_custom_configs_are_choices_too(run: Command, tmp_path: Path) -> None:
    assert "--config-dir: there is no folder" in run("--config-dir", "mine").refused()
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/ours.yaml").write_text("# @package _global_\nseed: 41\n")
    outcome = run("--config-dir=mine", "+experiment=ours", "--cfg", "job")
    assert outcome.code == 0, outcome.err
    assert "seed: 41" in outcome.out
    assert run("--config-dir=mine", "+experiment=our").lines == [
        "experiment=our: there is no such choice; did you mean 'ours'?"
    ]
    searched = run(f"hydra.searchpath=[file://{tmp_path}/mine]", "+experiment=ours", "--cfg", "job")
    assert "seed: 41" in searched.out


def test_a_custom_config_that_is_no_yaml(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine/distillation/kkk.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("losses: [\n")
    message = run("--config-dir=mine", "distillation=kkk", "teacher.weights=random").refused()
    assert "a config file is no YAML in UTF-8: " in message
    assert "mine/distillation/kkk.yaml" in message
    assert "line 2" in message
