"""Only classes of a known kind, from packages that are allowed, are made from a config."""

from __future__ import annotations

import sys

import pytest
import torch
from lightning.pytorch.callbacks import Timer

from transkd.errors import ConfigError
from transkd.training.checks import CALLBACK, OPTIMIZER, make, target_problems


def test_an_optimiser_is_made_with_its_options():
    weight = torch.nn.Parameter(torch.zeros(2))
    node = {"_target_": "torch.optim.AdamW", "lr": 0.25, "betas": [0.5, 0.75], "weight_decay": 0.125}
    optimizer = make(node, OPTIMIZER, [weight])
    assert type(optimizer) is torch.optim.AdamW
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.25, (0.5, 0.75), 0.125)
    assert group["params"][0] is weight


def test_a_callback_is_made():
    timer = make({"_target_": "lightning.pytorch.callbacks.Timer", "interval": "epoch"}, CALLBACK)
    assert isinstance(timer, Timer)


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "antigravity.fly", "torchvision.x"])
def test_other_packages_are_refused_and_not_imported(target):
    package = target.split(".")[0]
    was_there = package in sys.modules
    with pytest.raises(ConfigError, match=f"'{target}' is refused: only classes of transkd, torch, timm, lightning"):
        make({"_target_": target}, OPTIMIZER)
    assert (package in sys.modules) == was_there


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "torch.load"}, f"'torch.load' is refused: it is not a class derived from {OPTIMIZER}"),
        ({"_target_": "torch.nn.Linear"}, "'torch.nn.Linear' is refused: it is not a class"),
        ({"_target_": "lightning.pytorch.callbacks.Timer"}, "not a class derived from"),
        ({"_target_": "torch.optim.Adamw"}, "'torch.optim.Adamw' does not exist: .*"),
        ({"_target_": "torch.nowhere.AdamW"}, "'torch.nowhere.AdamW' does not exist"),
        ({"_target_": "torch"}, "'torch' does not exist"),
        ({}, "_target_: the dotted name of a class derived from torch.optim.Optimizer"),
        ({"_target_": 3}, "_target_: the dotted name of a class"),
        (
            {"_target_": "torch.optim.AdamW", "weight_deacy": 0.1},
            "weight_deacy: there is no such key; did you mean",
        ),
        ({"_target_": "torch.optim.AdamW", "params": []}, "params: there is no such key"),  # the run's own
        ({"_target_": "torch.optim.AdamW", "lr": "fast"}, "lr: give a number .it is 'fast'"),
        ({"_target_": "torch.optim.AdamW", "betas": 0.9}, "betas: give a list .it is 0.9"),
        ({"_target_": "torch.optim.AdamW", "lr": -1.0}, r"torch.optim.AdamW refuses its options .*learning rate: -1"),
    ],
)
def test_what_is_wrong_with_a_class_or_its_options(node, message):
    with pytest.raises(ConfigError, match=message):
        make(node, OPTIMIZER, [torch.nn.Parameter(torch.zeros(1))])


def test_problems_have_the_keys_of_the_config():
    wrong = {"_target_": "torch.optim.AdamW", "lrr": 1, "fused": 1}
    assert [problem.path for problem in target_problems(wrong, OPTIMIZER, "optimizer", skip=1)] == [
        "optimizer.lrr",
        "optimizer.fused",
    ]
