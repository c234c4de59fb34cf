"""Knowledge Review against its formula in float64, layer by layer."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import correlate2d

from transkd.distillation import create_loss
from transkd.errors import ConfigError

from .tap_builder import Widths, random_taps

STUDENT, TEACHER = (3, 4, 5), (4, 5, 6)

Array = NDArray[np.float64]


def _loss(student=STUDENT, teacher=TEACHER, **options: object):
    return create_loss("kr", student=Widths(student), teacher=Widths(teacher), **options)


def _with_statistics(loss):
    """Give every batch norm statistics and an affine map that show."""
    for module in loss.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.running_mean, module.weight.data, module.bias.data):
                tensor.normal_()
            module.running_var.uniform_(0.5, 2)
    return loss.eval()


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def _normed(maps: Array, norm: torch.nn.BatchNorm2d) -> Array:
    mean, var, weight, bias = (
        _array(t)[None, :, None, None] for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (maps - mean) / np.sqrt(var + norm.eps) * weight + bias


def _convolved(maps: Array, layer: torch.nn.Conv2d) -> Array:
    weight = _array(layer.weight)
    if weight.shape[-1] == 1:
        result = np.einsum("oi,bihw->bohw", weight[:, :, 0, 0], maps)
    else:
        result = np.stack(
            [
                [sum(correlate2d(m, k, mode="same") for m, k in zip(s, kernels, strict=True)) for kernels in weight]
                for s in maps
            ]
        )
    return result if layer.bias is None else result + _array(layer.bias)[None, :, None, None]


def _nearest(maps: Array, size: tuple[int, ...]) -> Array:
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, maps.shape[2:], strict=True))
    return maps[:, :, rows][:, :, :, columns]


def _hcl(student: Array, teacher: Array) -> float:
    height, width = student.shape[2:]
    losses, weights = [np.mean((student - teacher) ** 2)], [1.0]
    for level in (4, 2, 1):
        if level >= height:
            continue
        rows, columns = (
            [slice(i * length // level, -(-(i + 1) * length // level)) for i in range(level)]
            for length in (height, width)
        )
        cells = list(product(rows, columns))
        differences = [student[:, :, r, c].mean((2, 3)) - teacher[:, :, r, c].mean((2, 3)) for r, c in cells]
        losses.append(np.mean(np.square(differences)))
        weights.append(weights[-1] / 2)
    return float(np.dot(losses, weights) / np.sum(weights))


def _knowledge_review(loss, student: list[Array], teacher: list[Array]) -> list[float]:
    losses: list[float] = []
    residual = None
    for (s, t), stage in reversed(list(zip(loss.pairing(), loss.stages, strict=True))):
        x = _normed(_convolved(student[s], stage.reduce[0]), stage.reduce[1])
        if residual is not None:
            y = _nearest(residual, x.shape[2:])
            z = 1 / (1 + np.exp(-_convolved(np.concatenate((x, y), 1), stage.attention)))
            x = x * z[:, :1] + y * z[:, 1:]
        residual = _nearest(x, teacher[t].shape[2:])
        losses.insert(0, _hcl(_normed(_convolved(residual, stage.expand[0]), stage.expand[1]), teacher[t]))
    return losses


@pytest.mark.parametrize("student_strides", [(4, 8, 16), (8, 16, 32), (2, 8, 16)])
@pytest.mark.parametrize("image", [(64, 96), (45, 62)])
def test_it_is_the_context_loss_of_attention_fused_maps(
    image: tuple[int, int], student_strides: tuple[int, ...]
) -> None:
    loss = _with_statistics(_loss(mid_channels=7))
    student = random_taps(STUDENT, image=image, strides=student_strides)
    teacher = random_taps(TEACHER, image=image, strides=(4, 8, 16), seed=1)
    expected = _knowledge_review(loss, *([_array(f) for f in taps.features] for taps in (student, teacher)))
    found = [part.item() for part in loss.stage_losses(student, teacher)]
    assert found == pytest.approx(expected, rel=1e-4)
    assert loss(student, teacher).item() == pytest.approx(sum(expected), rel=1e-4)


def test_a_stage_learns_from_its_own_loss_and_those_of_shallower_stages() -> None:
    loss = _loss().eval()
    student, teacher = random_taps(STUDENT, strides=(4, 8, 16)), random_taps(TEACHER, strides=(4, 8, 16), seed=1)
    for index, part in enumerate(loss.stage_losses(student, teacher)):
        gradients = torch.autograd.grad(part, student.features, retain_graph=True, allow_unused=True)
        assert [g is not None and bool(g.any()) for g in gradients] == [stage >= index for stage in range(3)]


@pytest.mark.parametrize(
    ("student", "options", "middle"),
    [((32, 64, 160, 256), {}, 256), ((64, 128, 320, 768), {}, 512), ((4, 8), {"mid_channels": 3}, 3)],
)
def test_the_middle_width_is_the_deepest_students(
    student: tuple[int, ...], options: dict[str, int], middle: int
) -> None:
    loss = _loss(student, (4, 8), **options)
    assert {stage.reduce[0].out_channels for stage in loss.stages} == {middle}
    assert [stage.attention is None for stage in loss.stages] == [False, True]


def test_convolutions_start_kaiming_uniform_with_slope_one() -> None:
    stage = _loss((32,), (64,)).stages[0]
    for convolution in (stage.reduce[0], stage.expand[0]):
        bound = (3 / (convolution.in_channels * convolution.kernel_size[0] ** 2)) ** 0.5
        assert 0.97 * bound < convolution.weight.abs().max() <= bound


def test_a_teachers_map_of_a_single_position_cannot_train_either() -> None:
    loss = _loss((4, 8), (6, 12))
    student = random_taps((4, 8), batch=1, image=(32, 32), strides=(8, 16))
    teacher = random_taps((6, 12), batch=1, image=(32, 32), strides=(16, 32))
    with pytest.raises(ConfigError, match=r"^kr: one image of \(32, 32\) pixels leaves one value a channel, too few"):
        loss(student, teacher)
    assert loss.eval()(student, teacher).isfinite()
