"""Backbones: registration with timm, and taps that are timm's own activations."""

from __future__ import annotations

import pytest
import timm
import torch

from transkd.errors import ConfigError
from transkd.models import available_backbones, create_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.backbones.pyramid import PyramidBackbone
from transkd.models.backbones.timm_network import TimmBackbone


def test_available_backbones():
    names = available_backbones()
    assert names == sorted(names)
    assert {f"{family}_b{size}" for family in ("mit", "pvt_v2") for size in range(6)} <= set(names)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mit_b0", 3.3),
        ("mit_b1", 13.2),
        ("mit_b2", 24.2),
        ("mit_b3", 44.1),
        ("mit_b4", 60.8),
        ("mit_b5", 81.4),
    ],
)
def test_mit_is_a_timm_model_of_the_published_size(name, millions):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.07)


def test_mit_classifies_and_gives_features_as_timm_models_do():
    assert timm.create_model("mit_b0", num_classes=10)(torch.rand(2, 3, 64, 64)).shape == (2, 10)
    features = timm.create_model("mit_b0", features_only=True)
    assert features.feature_info.channels() == [32, 64, 160, 256]
    assert [tuple(f.shape[2:]) for f in features(torch.rand(1, 3, 64, 64))] == [
        (16, 16),
        (8, 8),
        (4, 4),
        (2, 2),
    ]


@pytest.mark.parametrize("name", ["mit_b0", "pvt_v2_b0"])
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_taps_are_the_activations_of_timm(name, size):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    backbone = PyramidBackbone(timm.create_model(name, num_classes=0)).eval()
    backbone.load_state_dict(network.state_dict())
    patch_embeddings = []
    for layer in (network.patch_embed, *(stage.downsample for stage in network.stages[1:])):
        layer.register_forward_hook(lambda *call: patch_embeddings.append(call[-1].permute(0, 3, 1, 2)))
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        embeddings, features = backbone(images)
        _, expected = network.forward_intermediates(images)
        last = network.forward_features(images)
    assert len(patch_embeddings) == 8
    for ours, theirs in zip((*embeddings, *features), (*patch_embeddings[:4], *expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features[-1], last, rtol=1e-4, atol=1e-5)


def test_maps_are_views_of_tokens():
    backbone = find_backbone("mit_b0").build(0.0).eval()
    embeddings, features = backbone(torch.rand(2, 3, 64, 96))
    for tensor in (*embeddings, *features):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert tensor._is_view()


def test_unknown_backbone_names_the_closest():
    with pytest.raises(
        ConfigError, match=r"there is no backbone 'mitb0'; did you mean 'mit_b0'\? \(any hierarchical timm"
    ):
        create_segmenter("mitb0")
    with pytest.raises(ConfigError, match=r"there is no backbone 'resnet_18'; did you mean 'resnet18'\?"):
        create_segmenter("resnet_18")
    with pytest.raises(ConfigError, match=r"there is no backbone '0000'; known: lvt, mit_b0, .* any hierarchical timm"):
        create_segmenter("0000")


def test_ones_own_backbones_come_before_timms():
    assert isinstance(find_backbone("pvt_v2_b0").build(0.0), PyramidBackbone)
    assert find_backbone("pvt_v2_b0.in1k") is find_backbone("pvt_v2_b0")
    assert isinstance(find_backbone("resnet18").build(0.0), TimmBackbone)


def test_a_tag_of_weights_that_do_not_exist_is_refused_with_those_that_do():
    with pytest.raises(
        ConfigError, match=r"timm has no weights 'twins_svt_small\.x' of .*; known: twins_svt_small\.in1k"
    ):
        find_backbone("twins_svt_small.x")
    with pytest.raises(ConfigError, match="it has no pretrained weights: leave out the tag"):
        find_backbone("mit_b0.in1k")


def test_the_head_is_wider_on_a_larger_network():
    assert find_backbone("convnext_atto").segformer_width == find_backbone("mit_b0").segformer_width == 256
    assert (
        find_backbone("swin_tiny_patch4_window7_224").segformer_width == find_backbone("mit_b2").segformer_width == 768
    )
