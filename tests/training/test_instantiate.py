"""Only classes of a known kind, from packages that are allowed, are made from a config."""

from __future__ import annotations

import sys

import pytest
import torch
from lightning.pytorch.callbacks import Timer

from transkd.errors import ConfigError
from transkd.training.checks import check_target, make

OPTIMIZER, CALLBACK = "torch.optim.Optimizer", "lightning.pytorch.callbacks.Callback"


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
        check_target({"_target_": target}, OPTIMIZER)
    assert (package in sys.modules) == was_there


@pytest.mark.parametrize("target", ["torch.load", "torch.hub.load", "torch.save", "torch.nn.Linear"])
def test_what_is_no_class_of_the_kind_is_refused(target):
    with pytest.raises(ConfigError, match=f"'{target}' is refused: it is not a class derived from {OPTIMIZER}"):
        check_target({"_target_": target}, OPTIMIZER)


def test_a_callback_is_no_optimiser():
    with pytest.raises(ConfigError, match="not a class derived from"):
        check_target({"_target_": "lightning.pytorch.callbacks.Timer"}, OPTIMIZER)


@pytest.mark.parametrize("target", ["torch.optim.Adamw", "torch.nowhere.AdamW", "torch"])
def test_what_does_not_exist(target):
    with pytest.raises(ConfigError, match=target):
        check_target({"_target_": target}, OPTIMIZER)


@pytest.mark.parametrize("node", [{}, {"_target_": None}, {"_target_": 3}])
def test_a_missing_target(node):
    with pytest.raises(ConfigError, match=r"_target_: the dotted name of a class derived from torch\.optim\.Optimizer"):
        check_target(node, OPTIMIZER)


def test_an_option_that_does_not_exist():
    with pytest.raises(ConfigError, match=r"takes no option 'weight_deacy'; did you mean 'weight_decay'\?"):
        check_target({"_target_": "torch.optim.AdamW", "weight_deacy": 0.1}, OPTIMIZER, skip_first=True)


def test_the_runs_own_argument_is_no_option():
    with pytest.raises(ConfigError, match="takes no option 'params'"):
        check_target({"_target_": "torch.optim.AdamW", "params": []}, OPTIMIZER, skip_first=True)


def test_values_that_the_class_refuses():
    with pytest.raises(ConfigError, match=r"torch\.optim\.AdamW refuses its options .*Invalid learning rate: -1"):
        make({"_target_": "torch.optim.AdamW", "lr": -1.0}, OPTIMIZER, [torch.nn.Parameter(torch.zeros(1))])
