"""The Semantic-FPN head against a plain one, built from the layers and the names that the release has."""

from __future__ import annotations

import pytest
import torch
from released_names import RELEASED_NAMES
from torch import nn
from torch.nn import functional as F

from transkd.models import Segmenter, create_segmenter
from transkd.models.heads.semantic_fpn import SemanticFPNHead

CHANNELS = (8, 12, 20, 24)


class ConvModule(nn.Module):
    def __init__(self, *args, activate=False, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(*args, **kwargs)
        self.activate = nn.ReLU() if activate else nn.Identity()

    def forward(self, x):
        return self.activate(self.conv(x))


class PlainNeck(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvModule(c, width, 1) for c in CHANNELS)
        self.fpn_convs = nn.ModuleList(ConvModule(width, width, 3, padding=1) for _ in CHANNELS)

    def forward(self, c2, c3, c4, c5):
        p5 = self.lateral_convs[3](c5)
        p4 = self.lateral_convs[2](c4) + F.interpolate(p5, c4.shape[2:], mode="nearest")
        p3 = self.lateral_convs[1](c3) + F.interpolate(p4, c3.shape[2:], mode="nearest")
        p2 = self.lateral_convs[0](c2) + F.interpolate(p3, c2.shape[2:], mode="nearest")
        return [convolution(p) for convolution, p in zip(self.fpn_convs, (p2, p3, p4, p5), strict=True)]


class PlainHead(nn.Module):
    def __init__(self, in_width, width, num_classes):
        super().__init__()

        def conv(first):
            return ConvModule(in_width if first else width, width, 3, padding=1, activate=True)

        def up():
            return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)

        self.scale_heads = nn.ModuleList(
            [
                nn.Sequential(conv(True)),
                nn.Sequential(conv(True), up()),
                nn.Sequential(conv(True), up(), conv(False), up()),
                nn.Sequential(conv(True), up(), conv(False), up(), conv(False), up()),
            ]
        )
        self.dropout = nn.Dropout2d(0.0)
        self.conv_seg = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps):
        size = maps[0].shape[2:]
        scales = [
            F.interpolate(scale(x), size, mode="bilinear", align_corners=False)
            for scale, x in zip(self.scale_heads, maps, strict=True)
        ]
        return self.conv_seg(self.dropout(sum(scales)))


class Plain(nn.Module):
    def __init__(self, width, num_classes):
        super().__init__()
        self.neck = PlainNeck(2 * width)
        self.head = PlainHead(2 * width, width, num_classes)

    def forward(self, features):
        return self.head(self.neck(*features))


def feature_maps(height, width, requires_grad=False):
    sizes = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    return [
        torch.randn(2, c, *size, dtype=torch.float64, requires_grad=requires_grad)
        for c, size in zip(CHANNELS, sizes, strict=True)
    ]


def pair():
    ours = SemanticFPNHead(CHANNELS, num_classes=5, width=16, dropout=0.0).double()
    for name, parameter in ours.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    plain = Plain(16, 5).double()
    released = {RELEASED_NAMES["pvt_v2"].released(f"head.{name}"): tensor for name, tensor in ours.state_dict().items()}
    plain.load_state_dict(released)
    return ours, plain


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (9, 12)])
def test_equals_the_plain_head_in_value_and_gradient(size):
    torch.manual_seed(0)
    ours, plain = pair()
    features = feature_maps(*size, requires_grad=True)
    logits, expected = ours(features), plain(features)
    assert logits.shape == (2, 5, *size)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
    weight = torch.randn_like(logits)
    gradients, expected_gradients = (torch.autograd.grad((out * weight).sum(), features) for out in (logits, expected))
    assert all(gradient.abs().max() > 0 for gradient in expected_gradients)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-9, atol=1e-9)


def test_dropout_drops_whole_channels_in_training_only():
    torch.manual_seed(0)
    head = SemanticFPNHead(CHANNELS, num_classes=3, width=8, dropout=0.5).double()
    features = feature_maps(8, 8)
    assert isinstance(head.dropout, nn.Dropout2d)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


@pytest.mark.parametrize(
    ("backbone", "head", "expected"),
    [
        ("pvt_v2_b0", None, ("semantic_fpn", 128)),
        ("pvt_v2_b2_li", None, ("semantic_fpn", 128)),
        ("pvt_v2_b2", "segformer", ("segformer", 768)),
        ("mit_b0", None, ("segformer", 256)),
        ("mit_b0", "semantic_fpn", ("semantic_fpn", 128)),
        ("lvt", None, ("segformer", 256)),
        ("lvt", "semantic_fpn", ("semantic_fpn", 128)),
    ],
)
def test_either_head_goes_on_any_backbone(backbone, head, expected):
    segmenter = create_segmenter(backbone, num_classes=4, head=head).eval()
    assert (segmenter.config["head"], segmenter.config["head_width"]) == expected
    with torch.no_grad():
        assert segmenter(torch.rand(1, 3, 45, 70)).shape == (1, 4, 12, 18)


def test_width_is_an_option_and_the_pyramid_follows():
    head = Segmenter("pvt_v2_b0", head_width=24).head
    assert head.lateral[0].out_channels == 48
    assert head.classifier.in_channels == 24
