"""What a network costs: parameters, multiply-accumulates, latency."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(module: nn.Module, *, trainable: bool = False) -> int:
    """Return the number of parameters of ``module``, or only of those that train."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


@contextmanager
def without_computing(*modules: nn.Module) -> Iterator[None]:
    """Let tensors have shapes but no values: forward passes cost nothing and change nothing.

    Args:
        modules: put into eval mode for the time being, so that batch norm accepts a batch of one.
    """
    training = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.train(mode)


def count_macs(call: Callable[[], Any]) -> int:
    """Return the multiply-accumulates of ``call``: matrix products and convolutions, attention included.

    Torch counts two FLOPs a multiply-accumulate.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops()) // 2


def segmenter_gmacs(segmenter: nn.Module, size: tuple[int, int]) -> float:
    """Return the GMAC of one image's logits, counted without computing them.

    Args:
        segmenter: a network from (B, 3, H, W) images to logits.
        size: height and width in pixels.
    """
    device = next(segmenter.parameters()).device
    with without_computing(segmenter):
        image = torch.empty(1, 3, *size, device=device)
        return count_macs(lambda: segmenter(image)) / 1e9


def latency_ms(segmenter: nn.Module, size: tuple[int, int], *, runs: int = 10, warm_up: int = 3) -> float:
    """Return the median milliseconds from one image to its logits, on the segmenter's own device.

    Args:
        segmenter: a network from (B, 3, H, W) images to logits; it is put into eval mode for the time being.
        size: height and width in pixels.
        runs: timed passes.
        warm_up: passes before them that are not timed.
    """
    device = next(segmenter.parameters()).device
    image = torch.zeros(1, 3, *size, device=device)
    was_training = segmenter.training
    segmenter.eval()
    times = []
    with torch.inference_mode():
        for run in range(warm_up + runs):
            start = time.perf_counter()
            segmenter(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if run >= warm_up:
                times.append(1e3 * (time.perf_counter() - start))
    segmenter.train(was_training)
    return statistics.median(times)
