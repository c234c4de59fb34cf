"""Mistakes in arguments: all told at once, a line each, with the key's path and what was probably meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import Command

TRAIN = [sys.executable, "-m", "transkd.cli.train"]


def test_a_mistyped_group_in_a_process_of_its_own(tmp_path: Path) -> None:
    arguments = ["+experiment=camvid_mitb0", "distilation=transkd_ea", "--cfg", "job"]
    done = subprocess.run([*TRAIN, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "transkd-train: there is a mistake in the arguments:\n"
        "  distilation: there is no such key; did you mean 'distillation'?\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_mistake_is_told_at_once(run: Command) -> None:
    outcome = run(
        "+experiment=camvid_mitb",
        "distilation=transkd_ea",
        "distillation=transkd_eaa",
        "nonsense",
        "data.batchsize=4",
        "+foo=1",
        "seed=abc",
        "data.val_batch_size=0",
        "data.size=big",
        "trainer.max_epoch=3",
        "trainer.precision=foo",
        "augment.options.flipp=0.5",
        "augment.options.flip=3",
        "student.backbone=mit_b9",
        "objective.loss_resolution=lable",
        "+callbacks.stop._target_=os.system",
        "optimizer.lr=fast",
        "schedule.name=polly",
    )
    outcome.refused()
    assert outcome.err.splitlines()[0] == "transkd-train: there are 18 mistakes in the arguments:"
    said = dict(line.split(": ", 1) for line in outcome.lines)
    assert len(said) == 18
    hints = {
        "experiment=camvid_mitb": "did you mean 'camvid_mitb0'?",
        "distilation": "did you mean 'distillation'?",
        "distillation=transkd_eaa": "did you mean 'transkd_ea'?",
        "nonsense": "is not of the form key=value",
        "data.batchsize": "did you mean 'data.batch_size'?",
        "foo": "there is no such key; known: augment,",
        "seed": "give a whole number (it is 'abc')",
        "data.val_batch_size": "give 1 or more (it is 0)",
        "data.size": "give a short side in pixels (512), [height, width] ([512, 1024]), 32 or more, or native",
        "trainer.max_epoch": "did you mean 'max_epochs'?",
        "trainer.precision": "bf16-mixed",
        "augment.options.flipp": "did you mean 'flip'?",
        "augment.options.flip": "give 1 or less (it is 3)",
        "student.backbone": "there is no backbone 'mit_b9'; did you mean 'mit_b",
        "objective.loss_resolution": "did you mean 'label'?",
        "callbacks.stop": "'os.system' is refused",
        "optimizer.lr": "give a number (it is 'fast')",
        "schedule.name": "did you mean 'poly'?",
    }
    assert said.keys() == hints.keys()
    for key, hint in hints.items():
        assert hint in said[key], said[key]


ONE_MISTAKE = {
    "seed=-1": "seed: give 0 or more (it is -1)",
    "seed=null": "seed: give a whole number (it is null)",
    "seed=1.5": "seed: give a whole number (it is 1.5)",
    "seed=???": "seed: is missing",
    "seed=${nothing}": "name: it refers to nothing, which does not exist",
    "~seed": "name: it refers to seed, which does not exist",
    "~data.root": "data.root: is missing",
    "~nothing": "nothing: there is no such key; known: augment",
    "+seed=1": "+seed=1: there is such a key; write it without the +",
    "+distillation=none": "+distillation=none: there is a choice of distillation already; write it without the +",
    "seed=1,2": "seed=1,2: several values are a sweep, a run each: add -m; for a list write seed=[…]",
    "experiment=camvid_mitb0,quickstart": "experiment=camvid_mitb0,quickstart: several values are a sweep",
    "=3": "=3: is not of the form key=value",
    "data.size=[64,128": "data.size=[64,128: is not of the form key=value",
    "data=null": "data=null: there is no such choice; known: acdc, camvid, cityscapes, folder, nyuv2, synthetic",
    "student=base": "student=base: there is no such choice; known: ",
    "data.size=[64,64,64]": "data.size: give a short side in pixels",
    "data.size=native": "augment: size='native': the standard recipe scales images, so it needs a size in pixels",
    "augment.options.crop=10": "augment.options.crop: give a side in pixels (512)",
    "augment.recipe=papr": "augment.recipe: there is no such choice; did you mean 'paper'?",
    "data.options.city=ulm": "data.options.city: there is no such key; it takes none",
    "data.root.deeper=1": "data.root.deeper: there is no such key; did you mean 'data.root'?",
    "student.head=segformr": "student.head: there is no head 'segformr'; did you mean 'segformer'?",
    "objective.class_weights=[1,2]": "objective.class_weights: give 19 numbers, one a class (there are 2)",
    "objective.class_weights=some": "objective.class_weights: give none, dataset or a list of numbers",
    "trainer.logger=true": "trainer.logger: the run itself sets this; the key for it is logger",
    "trainer.max_epochs=many": "trainer.max_epochs: give a whole number (it is 'many')",
    "trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches: give 1 or more (it is 0)",
    "trainer.accelerator=quantum": "trainer: you selected an invalid accelerator name",
    "optimizer.lrr=1": "optimizer.lrr: there is no such key; did you mean 'lr'?",
    "optimizer.lr=-1": "optimizer: torch.optim.AdamW refuses its options",
    "distillation.losses.cfs.weight=1": "distillation.losses.cfs: there is no such loss; did you mean 'csf'?",
    "distillation.losses.csf.widht=1": "distillation.losses.csf.widht: there is no such key; did you mean 'weight'?",
    "distillation.losses.csf.weight=much": "distillation.losses.csf.weight: give a number (it is 'much')",
    "logger.wandb.mode=onlin": "logger.wandb.mode: there is no such choice; did you mean 'online'?",
    "imports=losses": "imports: give a list (it is 'losses')",
    "callbacks.x=5": "callbacks.x: give {_target_: lightning.pytorch.callbacks.NAME, option: value} (it is 5)",
    "channels_last=maybe": "channels_last: give true or false (it is 'maybe')",
    "ema_decay=1": "ema_decay: give a number below 1 (it is 1)",
}


@pytest.mark.parametrize("argument", ONE_MISTAKE)
def test_one_mistake_is_one_line(run: Command, argument: str) -> None:
    beside = ["logger=wandb"] if "wandb" in argument else []
    outcome = run(argument, *beside)
    outcome.refused()
    assert outcome.err.splitlines()[0] == "transkd-train: there is a mistake in the arguments:"
    (line,) = outcome.lines
    assert line.startswith(ONE_MISTAKE[argument])


@pytest.mark.parametrize("argument", ["--hlep", "--seed=1", "help"])
def test_a_mistyped_option_is_one_line_at_once(run: Command, monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
    outcome = run(argument)
    outcome.refused()
    (line,) = outcome.lines
    assert line.startswith(f"{argument}: ")
    assert "--help" in line or "seed=1" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["action=class", "data=camvid"], "action=class: there is no such choice; did you mean 'classes'?"),
        (
            ["action=class", "data=camvid", "data.root=x"],
            "action=class: there is no such choice; did you mean 'classes'?",
        ),
        (["action=draw", "data.root=x"], "action=draw: there is no such choice; known: check,"),
        (["action=draw", "data=camvid", "data.root=x"], "action=draw: there is no such choice; known: check,"),
    ],
)
def test_a_mistyped_choice_makes_no_mistakes_of_what_goes_with_it(
    run: Command, arguments: list[str], said: str
) -> None:
    outcome = run(*arguments, name="transkd-data")
    outcome.refused("transkd-data")
    (line,) = outcome.lines
    assert line.startswith(said)


def test_keys_are_judged_by_the_choice_that_was_meant(run: Command) -> None:
    outcome = run("action=chek", "data=camvid", "split=val", "splti=val", name="transkd-data")
    assert outcome.lines == [
        "action=chek: there is no such choice; did you mean 'check'?",
        "splti: there is no such key; did you mean 'split'?",
    ]


def test_a_dataset_without_class_weights_says_so(run: Command) -> None:
    outcome = run("data=camvid", "objective=paper")
    assert outcome.lines == ["objective.class_weights: CamVid has no published ones; give 11 numbers, or none"]


def test_an_option_of_a_dataset_is_guessed(run: Command) -> None:
    assert run("data=acdc", "data.options.condition=[fog]").lines == [
        "data.options.condition: there is no such key; did you mean 'conditions'?"
    ]


def test_a_group_chosen_twice_is_told(run: Command) -> None:
    outcome = run("experiment=camvid_mitb0", "+experiment=quickstart")
    outcome.refused()
    assert outcome.lines == ["experiment=camvid_mitb0 and experiment=quickstart: only one of them can be"]


def test_losses_of_ones_own_modules_may_be_named(run: Command) -> None:
    message = run("imports=[no_such_module]", "distillation.losses.mine.weight=1").refused()
    assert "imports: the module 'no_such_module' cannot be imported" in message


TARGETS = {
    "os.system": "is refused: only classes of transkd, torch, timm, lightning, torchmetrics may be named",
    "builtins.exec": "is refused: only classes of",
    "trap.Trap": "is refused: only classes of",
    "torch.load": "is refused: it is not a class derived from",
    "torch.nn.Linear": "is refused: it is not a class derived from",
    "torch.no.Such": "does not exist",
    "torch": "does not exist",
    "": "is refused",
}


@pytest.mark.parametrize("key", ["optimizer._target_", "+callbacks.x._target_"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_not_allowed_is_neither_imported_nor_run(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, target: str
) -> None:
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath('sprung').touch()\nclass Trap: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    outcome = run(f"{key}='{target}'")
    outcome.refused()
    (line,) = outcome.lines
    assert TARGETS[target] in line
    assert not (tmp_path / "sprung").exists()
    assert "trap" not in sys.modules


def test_a_mistyped_class_is_guessed(run: Command) -> None:
    outcome = run(
        "callbacks.x._target_=lightning.pytorch.callbacks.EarlyStoping", "optimizer._target_=torch.optim.Adam2"
    )
    assert "did you mean 'EarlyStopping'?" in outcome.refused()
    assert "torch.optim has no 'Adam2'; did you mean 'Adam" in outcome.err


def test_a_nested_target_is_an_option_like_any_other(run: Command) -> None:
    target = "callbacks.x._target_=lightning.pytorch.callbacks.Timer"
    assert "callbacks.x.y: there is no such key" in run(target, "callbacks.x.y._target_=os.system").refused()


def test_a_folder_of_configs_that_does_not_exist(run: Command) -> None:
    assert "--config-dir: there is no folder" in run("--config-dir", "nowhere").refused()


def test_ones_own_configs_are_choices_too(run: Command, tmp_path: Path) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/ours.yaml").write_text("# @package _global_\nseed: 41\n")
    outcome = run("--config-dir=mine", "+experiment=ours", "--cfg", "job")
    assert outcome.code == 0, outcome.err
    assert "seed: 41" in outcome.out
    assert "there is no such choice" in run("--config-dir=mine", "+experiment=theirs").refused()


@pytest.mark.parametrize(("content", "said"), [(b"losses: [\n", "line 2"), (b"# caf\xe9\nname: kkk\n", "0xe9")])
def test_a_config_of_ones_own_that_is_no_yaml(run: Command, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "mine/distillation/kkk.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    message = run("--config-dir=mine", "distillation=kkk", "teacher.weights=random").refused()
    assert "mine/distillation/kkk.yaml is no YAML in UTF-8: " in message
    assert said in message


def test_a_module_of_ones_own_that_is_no_python(run: Command, tmp_path: Path) -> None:
    (tmp_path / "no_python.py").write_text("import transkd\ndef f(:\n")
    message = run("imports=[no_python]").refused()
    assert "imports: the module 'no_python' is not Python: " in message
    assert "no_python.py line 2 (`def f(:`)" in message


def test_a_sweep_over_nothing(run: Command) -> None:
    assert "seed=range(0,0): is a sweep over no value" in run("-m", "seed=range(0,0)").refused()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("distillation.losses.ce.weight=1", "losses.ce: there is no such loss"),
        ("+distillation.losses={a.b:{weight:1}}", "losses.a.b: there is no such loss"),
        ("distillation.losses.kd.student=3", "losses.kd.student: there is no such key"),
        ("distillation.losses.kd.name=x", "losses.kd.name: there is no such key"),
        (f"distillation.losses.kd.weight=1{'0' * 400}", "give a number"),
    ],
)
def test_losses_that_cannot_be(run: Command, override: str, said: str) -> None:
    assert said in run(override, "teacher=mit_b0", "teacher.weights=random").refused()
