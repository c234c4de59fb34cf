"""The factorised SegFormer head against the published form: concatenate, then fuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from transkd.errors import ConfigError
from transkd.models import create_segmenter
from transkd.models.heads import SegFormerHead

CHANNELS = (8, 12, 20, 24)


def naive_logits(head: SegFormerHead, features: list[torch.Tensor]) -> torch.Tensor:
    maps = []
    for feature, linear in reversed(list(zip(features, head.linear, strict=True))):
        tokens = linear(feature.flatten(2).transpose(1, 2))
        resized = tokens.transpose(1, 2).unflatten(2, feature.shape[2:])
        maps.append(F.interpolate(resized, features[0].shape[2:], mode="bilinear", align_corners=False))
    return head.classifier(head.dropout(F.relu(head.norm(head.fuse(torch.cat(maps, dim=1))))))


def feature_maps(height: int, width: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    sizes = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    return [torch.randn(2, c, *size, dtype=dtype, requires_grad=True) for c, size in zip(CHANNELS, sizes, strict=True)]


def make_head(dropout: float = 0.0) -> SegFormerHead:
    head = SegFormerHead(CHANNELS, num_classes=5, width=16, dropout=dropout)
    for tensor in (head.norm.weight, head.norm.bias, head.norm.running_mean, head.classifier.bias):
        nn.init.normal_(tensor)
    nn.init.uniform_(head.norm.running_var, 0.5, 2.0)
    return head


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(16, 24), (9, 12)])
def test_equals_the_naive_head_in_value_and_gradient(training, size):
    torch.manual_seed(0)
    head = make_head().double().train(training)
    features = feature_maps(*size)
    inputs = [*features, *head.parameters()]
    naive = naive_logits(head, features)
    logits = head(features)
    weight = torch.randn_like(logits)
    torch.testing.assert_close(logits, naive, rtol=1e-10, atol=1e-10)
    gradients = torch.autograd.grad((logits * weight).sum(), inputs)
    expected = torch.autograd.grad((naive * weight).sum(), inputs)
    assert all(gradient.abs().max() > 0 for gradient in (*expected[:4], *expected[-4:]))
    torch.testing.assert_close(gradients, expected, rtol=1e-9, atol=1e-9)


def test_training_updates_the_running_statistics():
    torch.manual_seed(0)
    features = feature_maps(8, 8)
    ours, reference = make_head().double(), make_head().double()
    reference.load_state_dict(ours.state_dict())
    ours(features)
    naive_logits(reference, features)
    torch.testing.assert_close(ours.state_dict(), reference.state_dict(), rtol=1e-10, atol=1e-10)


def test_frozen_batch_norm_keeps_its_statistics_in_training():
    torch.manual_seed(0)
    head = make_head().double().train()
    head.norm.eval()
    before = head.norm.running_mean.clone()
    features = feature_maps(8, 8)
    torch.testing.assert_close(head(features), naive_logits(head, features), rtol=1e-10, atol=1e-10)
    assert torch.equal(head.norm.running_mean, before)


def test_dropout_drops_whole_channels_in_training_only():
    torch.manual_seed(0)
    head = make_head(dropout=0.5).double()
    features = feature_maps(8, 8)
    torch.manual_seed(1)
    expected = naive_logits(head, features)
    torch.manual_seed(1)
    torch.testing.assert_close(head(features), expected, rtol=1e-10, atol=1e-10)
    assert not torch.equal(head(features), expected)
    head.eval()
    assert torch.equal(head(features), head(features))


def test_autocast_multiplies_the_matrices_in_full_precision():
    torch.manual_seed(0)
    head = make_head().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        matrices, bias = head._stage_matrices()
    assert {tensor.dtype for tensor in (*matrices, bias)} == {torch.float32}


def test_unknown_head_names_the_closest():
    with pytest.raises(ConfigError, match=r"there is no head 'segfromer'; did you mean 'segformer'\?"):
        create_segmenter("mit_b0", head="segfromer")
