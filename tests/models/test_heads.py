"""The decode heads against their published forms, built from plain layers."""

from __future__ import annotations

import copy

import pytest
import torch
from released_names import names_of
from torch import nn
from torch.nn import functional as F

from transkd.errors import ConfigError
from transkd.models import Segmenter, create_segmenter
from transkd.models.heads import SegFormerHead, SemanticFPNHead

CHANNELS = (8, 12, 20, 24)


def feature_maps(height: int, width: int) -> list[torch.Tensor]:
    sizes = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    return [
        torch.randn(2, c, *size, dtype=torch.float64, requires_grad=True)
        for c, size in zip(CHANNELS, sizes, strict=True)
    ]


def assert_same_in_value_and_gradient(logits, expected, inputs) -> None:
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    weight = torch.randn_like(logits)
    gradients, expected_gradients = (torch.autograd.grad((out * weight).sum(), inputs) for out in (logits, expected))
    assert all(gradient.abs().max() > 0 for gradient in (*expected_gradients[:4], *expected_gradients[-4:]))
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-9, atol=1e-9)


# SegFormer's head: concatenate, then fuse.


def naive_logits(head: SegFormerHead, features: list[torch.Tensor]) -> torch.Tensor:
    maps = []
    for feature, linear in reversed(list(zip(features, head.linear, strict=True))):
        tokens = linear(feature.flatten(2).transpose(1, 2))
        resized = tokens.transpose(1, 2).unflatten(2, feature.shape[2:])
        maps.append(F.interpolate(resized, features[0].shape[2:], mode="bilinear", align_corners=False))
    return head.classifier(head.dropout(F.relu(head.norm(head.fuse(torch.cat(maps, dim=1))))))


def make_head(dropout: float = 0.0) -> SegFormerHead:
    head = SegFormerHead(CHANNELS, num_classes=5, width=16, dropout=dropout).double()
    for tensor in (head.norm.weight, head.norm.bias, head.norm.running_mean, head.classifier.bias):
        nn.init.normal_(tensor)
    nn.init.uniform_(head.norm.running_var, 0.5, 2.0)
    return head


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(16, 24), (9, 12)])
def test_segformer_equals_the_naive_head(training, size):
    torch.manual_seed(0)
    head = make_head().train(training)
    reference, features = copy.deepcopy(head), feature_maps(*size)
    logits, expected = head(features), naive_logits(reference, features)
    torch.testing.assert_close(head.state_dict(), reference.state_dict(), rtol=1e-10, atol=1e-10)
    assert (head.norm.num_batches_tracked == 1) == training
    assert_same_in_value_and_gradient(logits, naive_logits(head, features), [*features, *head.parameters()])
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    if not training:
        torch.testing.assert_close(head.folded()(features), logits, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [SegFormerHead, SemanticFPNHead])
def test_dropout_drops_whole_channels_in_training_only(kind):
    torch.manual_seed(0)
    head = kind(CHANNELS, 3, 16, 0.5).double()
    features = feature_maps(8, 8)
    assert isinstance(head.dropout, nn.Dropout2d)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


# The Semantic-FPN head, by the layers and the names of the release.


class ConvModule(nn.Module):
    def __init__(self, *args, activate=False, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(*args, **kwargs)
        self.activate = nn.ReLU() if activate else nn.Identity()

    def forward(self, x):
        return self.activate(self.conv(x))


class PlainFPN(nn.Module):
    def __init__(self, width, num_classes):
        super().__init__()

        def conv(before):
            return ConvModule(before, width, 3, padding=1, activate=True)

        up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.neck, self.head = nn.Module(), nn.Module()
        self.neck.lateral_convs = nn.ModuleList(ConvModule(c, 2 * width, 1) for c in CHANNELS)
        self.neck.fpn_convs = nn.ModuleList(ConvModule(2 * width, 2 * width, 3, padding=1) for _ in CHANNELS)
        self.head.scale_heads = nn.ModuleList(
            [
                nn.Sequential(conv(2 * width)),
                nn.Sequential(conv(2 * width), up),
                nn.Sequential(conv(2 * width), up, conv(width), up),
                nn.Sequential(conv(2 * width), up, conv(width), up, conv(width), up),
            ]
        )
        self.head.conv_seg = nn.Conv2d(width, num_classes, 1)

    def forward(self, features):
        c2, c3, c4, c5 = features
        lateral = self.neck.lateral_convs
        p5 = lateral[3](c5)
        p4 = lateral[2](c4) + F.interpolate(p5, c4.shape[2:], mode="nearest")
        p3 = lateral[1](c3) + F.interpolate(p4, c3.shape[2:], mode="nearest")
        p2 = lateral[0](c2) + F.interpolate(p3, c2.shape[2:], mode="nearest")
        maps = [convolution(p) for convolution, p in zip(self.neck.fpn_convs, (p2, p3, p4, p5), strict=True)]
        scales = [
            F.interpolate(scale(x), maps[0].shape[2:], mode="bilinear", align_corners=False)
            for scale, x in zip(self.head.scale_heads, maps, strict=True)
        ]
        return self.head.conv_seg(sum(scales))


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (9, 12)])
def test_semantic_fpn_equals_the_plain_head(size):
    torch.manual_seed(0)
    ours = SemanticFPNHead(CHANNELS, num_classes=5, width=16, dropout=0.0).double()
    for name, parameter in ours.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    plain, names = PlainFPN(16, 5).double(), names_of("pvt_v2")
    plain.load_state_dict({names.published(f"head.{name}"): tensor for name, tensor in ours.state_dict().items()})
    features = feature_maps(*size)
    logits = ours(features)
    assert logits.shape == (2, 5, *size)
    assert_same_in_value_and_gradient(logits, plain(features), features)


@pytest.mark.parametrize(
    ("backbone", "head", "expected"),
    [
        ("pvt_v2_b0", None, ("semantic_fpn", 128)),
        ("pvt_v2_b2_li", None, ("semantic_fpn", 128)),
        ("pvt_v2_b1", "segformer", ("segformer", 256)),
        ("pvt_v2_b2", "segformer", ("segformer", 768)),
        ("mit_b2", None, ("segformer", 768)),
        ("mit_b0", None, ("segformer", 256)),
        ("mit_b0", "semantic_fpn", ("semantic_fpn", 128)),
        ("lvt", None, ("segformer", 256)),
    ],
)
def test_either_head_goes_on_any_backbone(backbone, head, expected):
    segmenter = create_segmenter(backbone, num_classes=4, head=head).eval()
    assert (segmenter.config["head"], segmenter.config["head_width"]) == expected
    with torch.no_grad():
        assert segmenter(torch.rand(1, 3, 45, 70)).shape == (1, 4, 12, 18)


def test_width_is_an_option_and_unknown_heads_name_the_closest():
    head = Segmenter("pvt_v2_b0", head_width=24).head
    assert (head.lateral[0].out_channels, head.classifier.in_channels) == (48, 24)
    with pytest.raises(ConfigError, match=r"there is no head 'segfromer'; did you mean 'segformer'\?"):
        create_segmenter("mit_b0", head="segfromer")
