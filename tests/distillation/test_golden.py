"""Values and gradients of every loss against those that its authors' code computes.

``golden.json`` holds, for settings of each loss, the value, and the norm and three entries of the gradient of each of
the student's maps, computed in float64 by the published code on tensors that numpy draws. An adapter's tensor is drawn
from its text, so that both codes have the same; where a text ends says how it is scaled.
"""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from transkd.distillation import DistillationLoss, create_loss
from transkd.distillation.cirkd import BalancedMemory
from transkd.models import Taps

from .tap_builder import STUDENT_CHANNELS, TEACHER_CHANNELS

SETTINGS = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
STRIDES = (4, 8, 16, 32)


@cache
def tensors() -> dict[str, np.ndarray]:
    """Draw images, maps, logits, the decode heads' fused maps and labels of a batch, as the published code had them."""
    rng, drawn = np.random.default_rng(7), {}
    drawn["images"] = rng.random((2, 3, 128, 256)).astype(np.float32)
    for who, channels, width in (("student", STUDENT_CHANNELS, 256), ("teacher", TEACHER_CHANNELS, 768)):
        for kind in ("embedding", "feature"):
            for stage, (c, s) in enumerate(zip(channels, STRIDES, strict=True), 1):
                drawn[f"{who} {kind} {stage}"] = rng.standard_normal((2, c, 128 // s, 256 // s)).astype(np.float32)
        drawn[f"{who} logits"] = (3 * rng.standard_normal((2, 19, 32, 64))).astype(np.float32)
        drawn[f"{who} head"] = np.maximum(rng.standard_normal((2, width, 32, 64)), 0).astype(np.float32)
    present = [rng.permutation(19)[:6] for _ in range(2)]
    blocks = np.stack([present[image][rng.integers(0, 6, (8, 16))] for image in range(2)])
    blocks = np.where(rng.random((2, 8, 16)) < 0.1, 255, blocks)
    drawn["labels"] = blocks.repeat(16, 1).repeat(16, 2).astype(np.uint8)
    return drawn


def rule(text: str, shape: tuple[int, ...]) -> Tensor:
    """Return the adapter tensor of a text."""
    drawn = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(shape)
    if text.endswith("norm weight"):
        drawn = 1 + 0.1 * drawn
    else:
        drawn = 0.05 * drawn if text.endswith("bias") else drawn / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(drawn.astype(np.float32))


def taps(who: str, tap: str) -> tuple[Taps, dict[str, Tensor]]:
    """Return one side's taps, and its maps by the names that the file has."""
    maps = {
        name.removeprefix(f"{who} "): torch.from_numpy(value).clone().requires_grad_()
        for name, value in tensors().items()
        if name.startswith(who)
    }
    features = [maps["head"]] if tap == "head" else [maps[f"feature {i}"] for i in (1, 2, 3, 4)]
    embeddings = [maps[f"embedding {i}"] for i in (1, 2, 3, 4)]
    images = torch.from_numpy(tensors()["images"])
    return Taps(images, tuple(embeddings), tuple(features), maps["logits"]), maps


def fill_memory(loss: DistillationLoss, memory: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill a loss's memory; where no vector of the batch enters, it draws all that it holds."""
    drawn = np.random.default_rng(zlib.crc32(memory["text"].encode())).standard_normal(memory["shape"])
    drawn = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
    classes, slots, channels = memory["shape"]
    (held,) = (module for module in loss.modules() if isinstance(module, BalancedMemory))
    # The published queue replaces its first slots, ours drops the oldest, which are the last of a class.
    held.vectors.copy_(torch.from_numpy(drawn[:, ::-1].reshape(-1, channels).astype(np.float32)))
    held.labels.copy_(torch.arange(classes).repeat_interleave(slots))
    if not memory["enters"]:
        monkeypatch.setattr(held, "forward", lambda *_: (held.vectors, torch.ones(len(held.labels), dtype=torch.bool)))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting["name"])
def test_it_is_what_the_authors_code_computes(setting: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (student, maps), (teacher, _) = (taps(who, setting["tap"]) for who in ("student", "teacher"))
    widths = [SimpleNamespace(channels=[m.shape[1] for m in side.features]) for side in (student, teacher)]
    options = dict(setting["options"])
    if memory := setting.get("memory"):
        options["region_memory"] = options["pixel_memory"] = int(np.prod(memory["shape"][:2]))
    loss = create_loss(setting["loss"], student=widths[0], teacher=widths[1], **options)
    adapters = [p for n, p in loss.named_parameters() if p.shape != (1,)]  # learned scalars keep their start
    listed = setting.get("adapters", [])
    with torch.no_grad():
        if len(listed) < len(adapters):  # a bias that is not listed is 0
            for bias in (p for p in adapters if p.ndim == 1):
                bias.zero_()
            adapters = [p for p in adapters if p.ndim > 1]
        for text, parameter in zip(listed, adapters, strict=True):
            parameter.copy_(rule(text, tuple(parameter.shape)))
        if memory:
            fill_memory(loss, memory, monkeypatch)
    if mask := setting.get("mask"):
        drawn = np.random.default_rng(zlib.crc32(mask["text"].encode())).random(mask["shape"])
        monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.from_numpy(drawn))
    labels = torch.from_numpy(tensors()["labels"])
    if small := setting.get("labels"):
        labels = labels[:, small["first_pixel"] :: small["stride"], small["first_pixel"] :: small["stride"]]

    value = loss.compare(student, teacher, labels)
    value.backward()
    assert value.item() == pytest.approx(setting["value"], rel=1e-4)
    for name, expected in setting["gradients"].items():
        gradient = maps[name].grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(expected["norm"], rel=1e-4)
        largest = max(abs(entry) for _, entry in expected["probes"])
        for index, entry in expected["probes"]:
            assert gradient[tuple(index)].item() == pytest.approx(entry, abs=1e-4 * largest)
    assert {name for name, m in maps.items() if m.grad is not None and m.grad.any()} == setting["gradients"].keys()
