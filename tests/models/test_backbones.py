"""MiT and PVTv2 as backbones: registration with timm, taps that are timm's own activations, and unknown names."""

from __future__ import annotations

import pytest
import timm
import torch

from transkd.errors import ConfigError
from transkd.models import create_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.backbones.pyramid import PyramidBackbone
from transkd.models.backbones.timm_network import TimmBackbone


def test_mit_classifies_and_gives_features_as_timm_models_do():
    assert timm.create_model("mit_b0", num_classes=10)(torch.rand(2, 3, 64, 64)).shape == (2, 10)
    features = timm.create_model("mit_b0", features_only=True)
    assert features.feature_info.channels() == [32, 64, 160, 256]
    assert [f.shape[2] for f in features(torch.rand(1, 3, 64, 64))] == [16, 8, 4, 2]


@pytest.mark.parametrize("name", ["mit_b0", "pvt_v2_b0"])
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_taps_are_the_activations_of_timm_and_views_of_tokens(name, size):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    backbone = PyramidBackbone(timm.create_model(name, num_classes=0)).eval()
    backbone.load_state_dict(network.state_dict())
    patch_embeddings = []
    for layer in (network.patch_embed, *(stage.downsample for stage in network.stages[1:])):
        layer.register_forward_hook(lambda *call: patch_embeddings.append(call[-1].permute(0, 3, 1, 2)))
    images = torch.rand(2, 3, *size)
    embeddings, features = backbone(images)
    for tensor in (*embeddings, *features):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert tensor._is_view()
    with torch.no_grad():
        _, expected = network.forward_intermediates(images)
        last = network.forward_features(images)
    assert len(patch_embeddings) == 8
    for ours, theirs in zip((*embeddings, *features), (*patch_embeddings[:4], *expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features[-1], last, rtol=1e-4, atol=1e-5)


def test_our_own_backbones_come_before_timms():
    assert isinstance(find_backbone("pvt_v2_b0").build(0.0), PyramidBackbone)
    assert find_backbone("pvt_v2_b0.in1k") is find_backbone("pvt_v2_b0")
    assert isinstance(find_backbone("resnet18").build(0.0), TimmBackbone)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mitb0", r"there is no backbone 'mitb0'; did you mean 'mit_b0'\? \(any hierarchical timm"),
        ("resnet_18", r"there is no backbone 'resnet_18'; did you mean 'resnet18'\?"),
        ("0000", r"there is no backbone '0000'; known: lvt, mit_b0, .* any hierarchical timm"),
        (None, "there is no backbone 'None'; "),
        ("twins_svt_small.x", r"timm has no weights 'twins_svt_small\.x' of .*; known: twins_svt_small\.in1k"),
        ("mit_b0.in1k", "it has no pretrained weights: leave out the tag"),
        ("vit_tiny_patch16_224", "its feature maps have strides 16; take another, such as swin_tiny_"),
        ("pit_ti_224", "its feature maps have strides 8, 16, 32; take another"),
        ("hiera_tiny_224", "hiera_tiny_224 takes images of 224x224 pixels only, and a segmenter has to take others"),
    ],
)
def test_what_is_no_backbone_is_refused(name, reason):
    with pytest.raises(ConfigError, match=reason):
        create_segmenter(name)
