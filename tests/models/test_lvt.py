"""LVT against its definition, recomputed position by position from tensors under their released names."""

from __future__ import annotations

import math

import pytest
import torch
from released_names import filled, released_shapes
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

from transkd.models import Segmenter, create_segmenter
from transkd.models.backbones.lvt import ConvolutionalSelfAttention, LiteVisionTransformer, RecursiveAtrousSelfAttention
from transkd.models.formats.published import from_released

HEADS = (2, 2, 5, 8)
REDUCTIONS = (None, 4, 2, 1)


def norm(x, tensors, name):
    return F.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps=1e-5)


def linear(x, tensors, name):
    return F.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))


def softmax(values):
    exponents = [math.exp(value) for value in values]
    return [exponent / sum(exponents) for exponent in exponents]


def convolutional_attention(x, tensors, name, heads):
    """One image (H, W, C): loops over windows, heads and positions."""
    height, width, channels = x.shape
    per_head = channels // heads
    position_maps = tensors[f"{name}.weight.weight"].reshape(9, channels, channels)
    summed = torch.zeros_like(x)
    for row in range(0, height, 2):
        for column in range(0, width, 2):
            mean = x[row : row + 2, column : column + 2].mean(dim=(0, 1))
            logits = (linear(mean, tensors, f"{name}.attn") / math.sqrt(per_head)).view(heads, 9, 9).tolist()
            around = [(row + y, column + z) for y in (-1, 0, 1) for z in (-1, 0, 1)]
            inside = [0 <= y < height and 0 <= z < width for y, z in around]
            values = [
                position_maps[k] @ (x[place] if inside[k] else torch.zeros(channels, dtype=x.dtype))
                for k, place in enumerate(around)
            ]
            for head in range(heads):
                own = slice(head * per_head, (head + 1) * per_head)
                for j, place in enumerate(around):
                    if inside[j]:
                        weights = softmax(logits[head][j])
                        summed[place][own] += sum(w * v[own] for w, v in zip(weights, values, strict=True))
    return linear(summed, tensors, f"{name}.proj")


def atrous_attention(x, tensors, name, heads, reduction):
    """One image (H, W, C): one pass, head by head."""
    height, width, channels = x.shape
    queries = linear(x, tensors, f"{name}.q").permute(2, 0, 1)[None]
    scales = []
    for dilation in (1, 3, 5):
        scale = F.conv2d(queries, tensors[f"{name}.ds.weight"], padding=dilation, dilation=dilation, groups=channels)
        scales.append(scale * torch.sigmoid(scale))
    queries = sum(scales)[0].flatten(1).T
    if reduction > 1:
        sr = f"{name}.sr"
        reduced = F.conv2d(x.permute(2, 0, 1)[None], tensors[f"{sr}.weight"], tensors[f"{sr}.bias"], stride=reduction)
        x = norm(reduced[0].permute(1, 2, 0), tensors, f"{name}.norm")
    keys, values = linear(x.flatten(0, 1), tensors, f"{name}.kv").split(channels, dim=1)
    heads_out = []
    for own in torch.arange(channels).chunk(heads):
        weights = (queries[:, own] @ keys[:, own].T / math.sqrt(len(own))).softmax(dim=1)
        heads_out.append(weights @ values[:, own])
    return linear(torch.cat(heads_out, dim=1).view(height, width, channels), tensors, f"{name}.proj")


def silu(x):
    return x / (1 + torch.exp(-x))


def recursive_attention(x, tensors, name, heads, reduction):
    y = silu(atrous_attention(x, tensors, name, heads, reduction))
    return silu(atrous_attention(y + x, tensors, name, heads, reduction))


def perceptron(x, tensors, name, convolutional):
    if not convolutional:
        return linear(F.gelu(linear(x, tensors, f"{name}.fc1")), tensors, f"{name}.fc2")
    maps = x.permute(2, 0, 1)[None]
    for layer in ("fc1", "depconv", "fc2"):
        weight = tensors[f"{name}.{layer}.weight"]
        groups, padding = (len(weight), 1) if layer == "depconv" else (1, 0)
        maps = F.conv2d(maps, weight, tensors[f"{name}.{layer}.bias"], padding=padding, groups=groups)
        maps = F.gelu(maps) if layer == "depconv" else maps
    return maps[0].permute(1, 2, 0)


def lite_vision_transformer(image, tensors):
    """Embeddings and features, (C, h, w) each, of one image (3, H, W)."""
    maps, embeddings, features = image, [], []
    for stage in range(4):
        name = f"student.backbone.{stage}"
        kernel, stride = (7, 4) if stage == 0 else (3, 2)
        weight, bias = (tensors[f"{name}.0.proj.{part}"] for part in ("weight", "bias"))
        embedding = F.conv2d(maps[None], weight, bias, stride=stride, padding=kernel // 2)[0]
        x = norm(embedding.permute(1, 2, 0), tensors, f"{name}.0.norm")
        for block in (f"{name}.1.0", f"{name}.1.1"):
            y = norm(x, tensors, f"{block}.norm1")
            if stage == 0:
                x = x + convolutional_attention(y, tensors, f"{block}.attn", HEADS[0])
            else:
                x = x + recursive_attention(y, tensors, f"{block}.attn", HEADS[stage], REDUCTIONS[stage])
            x = x + perceptron(norm(x, tensors, f"{block}.norm2"), tensors, f"{block}.mlp", stage > 0)
        maps = x.permute(2, 0, 1)
        embeddings.append(embedding)
        features.append(maps)
    return embeddings, features


@pytest.fixture(scope="module")
def released():
    """Tensors under released names in float64, and our segmenter with them."""
    state = filled(released_shapes("lvt", "student."))
    config, ours = from_released(state)
    segmenter = Segmenter(**config).eval().double()
    segmenter.load_state_dict(ours)
    return {name: tensor.double() for name, tensor in state.items()}, segmenter


@pytest.mark.parametrize("size", [(32, 64), (33, 41)])
@torch.no_grad()
def test_a_released_student_taps_what_its_definition_gives(released, size):
    torch.manual_seed(0)
    tensors, segmenter = released
    images = torch.rand(1, 3, *size, dtype=torch.float64)
    taps = segmenter.taps(images)
    embeddings, features = lite_vision_transformer(images[0], tensors)
    assert all(feature.abs().mean() > 0.1 for feature in features)
    torch.testing.assert_close([e[0] for e in taps.embeddings], embeddings, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close([f[0] for f in taps.features], features, rtol=1e-9, atol=1e-9)


def test_defaults_are_those_of_the_docstring():
    assert create_segmenter("lvt").config["drop_path_rate"] == 0
    backbone = LiteVisionTransformer(0.7)
    rates = [block.drop_path.drop_prob for stage in backbone.stages for block in stage.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    attention = backbone.stages[0].blocks[0].attn
    assert attention.weights.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert attention.values.weight.std().item() == pytest.approx(math.sqrt(2 / 64), rel=0.05)
    assert backbone.stages[1].blocks[0].attn.dilated.weight.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.15)
    assert all(p.abs().max() == 0 for name, p in backbone.named_parameters() if name.endswith("bias"))


@pytest.mark.slow
def test_an_exported_attention_takes_even_and_odd_sizes():
    attentions = nn.Sequential(ConvolutionalSelfAttention(8, 2), RecursiveAtrousSelfAttention(8, 2, 2)).eval()
    size = dict.fromkeys((0, 1, 2), Dim.DYNAMIC)
    program = torch.export.export(attentions, (torch.rand(2, 16, 24, 8),), dynamic_shapes=(size,)).module()
    for batch, height, width in ((2, 16, 24), (1, 17, 24), (3, 9, 11)):
        x = torch.rand(batch, height, width, 8)
        torch.testing.assert_close(program(x), attentions(x))
