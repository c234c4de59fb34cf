"""Only classes of a known kind, from packages that are allowed, are made from a config."""

from __future__ import annotations

import sys

import pytest
import torch
from lightning.pytorch.callbacks import Callback, Timer

from transkd.errors import ConfigError
from transkd.training.checks import make, optimizer_problems, target_problems


def test_an_optimiser_is_made_with_its_options():
    weight = torch.nn.Parameter(torch.zeros(2))
    node = {"_target_": "torch.optim.AdamW", "lr": 0.25, "betas": [0.5, 0.75], "weight_decay": 0.125}
    assert list(optimizer_problems(node)) == []
    optimizer = make(node, [weight])
    assert type(optimizer) is torch.optim.AdamW
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.25, (0.5, 0.75), 0.125)
    assert group["params"][0] is weight
    with pytest.raises(ConfigError, match=r"torch.optim.AdamW refuses its options .*learning rate: -1"):
        make({**node, "lr": -1.0}, [weight])


def test_a_callback_is_made():
    node = {"_target_": "lightning.pytorch.callbacks.Timer", "interval": "epoch"}
    assert target_problems(node, Callback) == []
    assert isinstance(make(node), Timer)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        *(
            ({"_target_": name}, f"'{name}' is refused: only classes of transkd, torch, timm, lightning")
            for name in ("os.system", "builtins.eval", "antigravity.fly", "torchvision.x")
        ),
        ({"_target_": "torch.load"}, "'torch.load' is refused: it is not a class derived from Optimizer"),
        ({"_target_": "lightning.pytorch.callbacks.Timer"}, "not a class derived from"),
        ({"_target_": "torch.optim.Adamw"}, "'torch.optim.Adamw' does not exist: torch.optim has no 'Adamw'; did you"),
        ({"_target_": "torch.nowhere.AdamW"}, "'torch.nowhere.AdamW' does not exist"),
        ({"_target_": "torch"}, "'torch' does not exist"),
        ({"_target_": 3}, "needs _target_: the dotted name of a class derived from Optimizer"),
        ({"_target_": "torch.optim.AdamW", "weight_deacy": 0.1}, "weight_deacy: there is no such key; did you mean"),
        ({"_target_": "torch.optim.AdamW", "params": []}, "params: there is no such key"),  # the run's own
        ({"_target_": "torch.optim.AdamW", "betas": 0.9}, "betas: give a list (it is 0.9)"),
    ],
)
def test_what_is_wrong_with_a_class_or_its_options(node, message):
    there = "antigravity" in sys.modules
    (problem,) = optimizer_problems(node)
    assert message in str(problem)
    assert ("antigravity" in sys.modules) == there, "what is not allowed is not imported"
