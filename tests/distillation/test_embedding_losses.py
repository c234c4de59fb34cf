"""PEA, GL-Mixer and EA against the paper's formulas, computed with numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from transkd.distillation import DistillationLoss, create_loss
from transkd.distillation.embedding import EmbeddingLoss
from transkd.models.taps import Taps

from .tap_builder import Widths, random_taps

Array = NDArray[np.float64]
STUDENT, TEACHER = (8, 16, 16, 24), (12, 16, 24, 32)


def _pair(**options: object) -> tuple[Taps, Taps]:
    return random_taps(STUDENT, **options), random_taps(TEACHER, seed=1, **options)


def _arrays(maps: tuple[torch.Tensor, ...]) -> list[Array]:
    return [m.detach().double().numpy() for m in maps]


def _weights(loss: DistillationLoss) -> dict[str, Array]:
    return {name: tensor.double().numpy() for name, tensor in loss.state_dict().items()}


def _linear(x: Array, weights: dict[str, Array], stage: int) -> Array:
    bias = weights[f"linears.{stage}.bias"][:, None, None]
    return np.einsum("dc,bchw->bdhw", weights[f"linears.{stage}.weight"], x) + bias


def _check(loss: DistillationLoss, taps: tuple[Taps, Taps], aligned: list[Array]) -> None:
    teacher = _arrays(taps[1].embeddings)
    errors = [np.mean((a - t) ** 2) for a, t in zip(aligned, teacher, strict=True)]
    assert isinstance(loss, EmbeddingLoss)
    np.testing.assert_allclose([v.item() for v in loss.stage_losses(*taps)], errors, rtol=1e-5)
    assert loss(*taps).item() == pytest.approx(float(np.dot([0.1, 0.1, 0.5, 1.0], errors)), rel=1e-5)


def test_pea_is_the_formula() -> None:
    taps = _pair()
    loss = create_loss("pea", student=Widths(STUDENT), teacher=Widths(TEACHER))
    weights = _weights(loss)
    _check(loss, taps, [_linear(x, weights, i) for i, x in enumerate(_arrays(taps[0].embeddings))])


def _attention(tokens: Array, weights: dict[str, Array], heads: int) -> Array:
    batch, count, channels = tokens.shape
    query, key, value = np.split(tokens @ weights["mixer.attention.qkv.weight"].T, 3, axis=2)
    width = channels // heads
    attended = np.empty((batch, count, channels))
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        scores = query[..., own] @ key[..., own].transpose(0, 2, 1) / np.sqrt(width)
        shares = np.exp(scores) / np.exp(scores).sum(2, keepdims=True)
        attended[..., own] = shares @ value[..., own]
    return attended @ weights["mixer.attention.proj.weight"].T + weights["mixer.attention.proj.bias"]


def _sequence_convolution(tokens: Array, weight: Array, bias: Array) -> Array:
    padded = np.pad(tokens, ((0, 0), (1, 1), (0, 0)))
    count = tokens.shape[1]
    return sum(padded[:, tap : tap + count] @ weight[:, :, tap].T for tap in range(3)) + bias


@pytest.mark.parametrize("stage", [4, 2])
@pytest.mark.parametrize("residual", [False, True])
def test_gl_mixer_is_the_formula(stage: int, residual: bool) -> None:
    taps = _pair()
    loss = create_loss(
        "gl_mixer", student=Widths(STUDENT), teacher=Widths(TEACHER), stage=stage, heads=4, residual=residual
    )
    with torch.no_grad():
        loss.mixer.global_weight.fill_(0.7)
        loss.mixer.local_weight.fill_(-0.4)
        loss.mixer.attention.qkv.weight.mul_(4)  # so that attention is far from uniform
    weights = _weights(loss)
    embeddings = _arrays(taps[0].embeddings)
    x = embeddings[stage - 1]
    batch, channels, height, width = x.shape
    tokens = x.transpose(0, 2, 3, 1).reshape(batch, height * width, channels)
    local, gate = (
        _sequence_convolution(tokens, weights[f"mixer.{n}.weight"], weights[f"mixer.{n}.bias"])
        for n in ("local", "local_gate")
    )
    mixed = 0.7 * _attention(tokens, weights, heads=4) - 0.4 * local / (1 + np.exp(-gate)) + residual * tokens
    embeddings[stage - 1] = mixed.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)
    _check(loss, taps, [_linear(e, weights, i) for i, e in enumerate(embeddings)])


def _assistant(x: Array, weights: dict[str, Array], stage: int) -> Array:
    stride, kernel = (4, 7) if stage == 0 else (2, 3)
    half = kernel // 2
    padded = np.pad(x, ((0, 0), (0, 0), (half, half), (half, half)))
    windows = sliding_window_view(padded, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    part = {n: weights[f"assistants.{stage}.{n}"] for n in ("proj.weight", "proj.bias", "norm.weight", "norm.bias")}
    y = np.einsum("bchwij,dcij->bdhw", windows, part["proj.weight"]) + part["proj.bias"][:, None, None]
    normed = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
    return normed * part["norm.weight"][:, None, None] + part["norm.bias"][:, None, None]


@pytest.mark.parametrize("image", [(64, 96), (77, 45)])
def test_ea_is_the_formula(image: tuple[int, int]) -> None:
    taps = _pair(image=image)
    loss = create_loss("ea", student=Widths(STUDENT), teacher=Widths(TEACHER))
    weights = _weights(loss)
    images, *features = _arrays((taps[0].images, *taps[0].features))
    aligned = [
        0.1 * (i + 1) * _linear(embedding, weights, i) + 0.1 * (i + 5) * _assistant(before, weights, i)
        for i, (embedding, before) in enumerate(zip(_arrays(taps[0].embeddings), [images, *features[:3]], strict=True))
    ]
    _check(loss, taps, aligned)


@pytest.mark.parametrize(("part", "shares"), [("embedding", (1, 0)), ("assistant", (0, 1))])
def test_one_part_of_ea_is_the_formula_and_holds_nothing_idle(part: str, shares: tuple[int, int]) -> None:
    taps = _pair()
    loss = create_loss("ea", student=Widths(STUDENT), teacher=Widths(TEACHER), parts=part)
    weights = _weights(loss)
    images = [taps[0].images.double().numpy(), *_arrays(taps[0].features)]
    aligned = [
        0.1 * (i + 1) * _linear(embedding, weights, i) if shares[0] else 0.1 * (i + 5) * _assistant(before, weights, i)
        for i, (embedding, before) in enumerate(zip(_arrays(taps[0].embeddings), images[:-1], strict=True))
    ]
    _check(loss, taps, aligned)
    loss(*taps).backward()
    assert all(p.grad is not None for p in loss.parameters())


def test_ea_takes_its_assistant_to_the_size_of_embeddings_of_other_strides() -> None:
    loss = create_loss("ea", student=Widths((8, 16)), teacher=Widths((12, 24)))
    student = random_taps((8, 16), image=(70, 90), strides=(8, 8))
    assert [loss.align(student, pair).shape[1:] for pair in range(2)] == [(12, 9, 12), (24, 9, 12)]


def test_ea_of_a_deeper_student_starts_at_its_paired_stage() -> None:
    loss = create_loss("ea", student=Widths((8, 16, 24)), teacher=Widths((12, 32)))
    assert [assistant.proj.weight.shape[:3] for assistant in loss.assistants] == [(12, 8, 3), (32, 16, 3)]
    assert [round(w.item(), 6) for w in loss.linear_weights] == [0.2, 0.3]
    assert [round(w.item(), 6) for w in loss.assistant_weights] == [0.6, 0.7]


def test_the_mixers_scalars_start_defined() -> None:
    mixer = create_loss("gl_mixer", student=Widths(STUDENT), teacher=Widths(TEACHER)).mixer
    assert (mixer.global_weight.tolist(), mixer.local_weight.tolist()) == ([0.5], [0.5])
    assert not mixer.residual


@pytest.mark.parametrize(
    ("student_stages", "weights"),
    [(2, (0.5, 1.0)), (4, (0.1, 0.1, 0.5, 1.0)), (5, (0.1, 0.1, 0.1, 0.5, 1.0))],
)
def test_the_papers_stage_weights_count_from_the_deepest(student_stages: int, weights: tuple[float, ...]) -> None:
    loss = create_loss("pea", student=Widths((8,) * student_stages), teacher=Widths((8,) * 5))
    assert loss.stage_weights == weights
