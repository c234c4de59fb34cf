"""timm's hierarchical networks as backbones: their maps are timm's own, at any size, in every state of a module."""

from __future__ import annotations

import copy
import pickle

import pytest
import timm
import torch
from torch.nn import functional as F

from transkd.errors import ConfigError
from transkd.models import create_segmenter, load_segmenter
from transkd.models.backbones.patch_embedding import NoPatchEmbeddingError, find_patch_embeddings
from transkd.models.backbones.timm_network import timm_backbone, timm_hierarchy

ODD, SMALLEST = (70, 97), (33, 32)
# Each network's patchifying layers, as its paper and timm's source have them.
PATCH_LAYERS = {
    "swin_tiny_patch4_window7_224": ["patch_embed", *(f"layers.{i}.downsample" for i in (1, 2, 3))],
    "twins_svt_small": [f"patch_embeds.{i}" for i in range(4)],
    "convnext_atto": ["stem", *(f"stages.{i}.downsample" for i in (1, 2, 3))],
    "convnext_zepto_rms": ["stem", *(f"stages.{i}.downsample" for i in (1, 2, 3))],
    "poolformer_s12": ["stem", *(f"stages.{i}.downsample" for i in (1, 2, 3))],
    "edgenext_xx_small": ["stem", *(f"stages.{i}.downsample" for i in (1, 2, 3))],
}
WITHOUT = {
    "resnet18": "the first projection of stage 1 is followed by an activation",
    "mvitv2_tiny": "stage 2 begins with a residual block",
    "hrnet_w18_small": "the first projection of stage 1 is followed by an activation",
}


def as_the_network_sees(images: torch.Tensor, step: int) -> torch.Tensor:
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % step, 0, -height % step))


def as_nchw(output: torch.Tensor | tuple[torch.Tensor, ...], like: torch.Tensor) -> torch.Tensor:
    output = output[0] if isinstance(output, tuple) else output
    if output.ndim == 3:
        output = output.unflatten(1, like.shape[2:])
    return output if output.shape == like.shape else output.permute(0, 3, 1, 2)


@pytest.mark.parametrize(("name", "size"), [*((name, ODD) for name in PATCH_LAYERS), ("convnext_atto", SMALLEST)])
def test_taps_are_timms_own_activations_at_an_odd_size(name, size):
    torch.manual_seed(0)
    backbone = timm_backbone(name, 0.0).eval()
    images = torch.rand(2, 3, *size)
    network = timm.create_model(name, num_classes=0, **backbone.hierarchy.options).eval()
    missing, _ = network.load_state_dict(backbone.network.state_dict(), strict=False)
    assert all(key.startswith(("norm.", "head.")) for key in missing)
    tapped = []
    for layer in PATCH_LAYERS[name]:
        network.get_submodule(layer).register_forward_hook(lambda *call: tapped.append(copy.deepcopy(call[-1])))
    with torch.no_grad():
        embeddings, features = backbone(images)
        padded = as_the_network_sees(images, backbone.hierarchy.size_step)
        expected = network.forward_intermediates(padded, intermediates_only=True)
    assert len(tapped) == len(expected) == len(features) == len(embeddings) == 4
    for ours, theirs in zip(features, expected, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs, feature in zip(embeddings, tapped, expected, strict=True):
        assert torch.equal(ours, as_nchw(theirs, feature))
        assert ours.std() > 0.01
    assert backbone.channels == tuple(feature.shape[1] for feature in expected)


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_patch_embedding_says_so_and_gives_features(name):
    torch.manual_seed(0)
    backbone = timm_backbone(name, timm_hierarchy(name).drop_path_rate).eval()
    assert backbone.missing_embeddings == f"{name} has no patch embeddings: {WITHOUT[name]}"
    own = timm.create_model(
        name, features_only=True, feature_cls="getter", out_indices=backbone.hierarchy.levels
    ).eval()
    own.model.load_state_dict(backbone.network.state_dict())
    images = torch.rand(1, 3, *ODD)
    with torch.no_grad():
        embeddings, features = backbone(images)
        expected = own(as_the_network_sees(images, backbone.hierarchy.size_step))
    assert embeddings == ()
    for ours, theirs, stride in zip(features, expected, (4, 8, 16, 32), strict=True):
        assert torch.equal(ours, theirs[..., : ours.shape[2], : ours.shape[3]])
        assert [ours.shape[2], ours.shape[3]] == [-(-side // stride) for side in ODD]


@pytest.mark.slow
def test_the_same_network_in_all_its_states(tmp_path):
    torch.manual_seed(0)
    segmenter = create_segmenter("swin_tiny_patch4_window7_224.ms_in22k", 5).eval()
    assert segmenter.missing_embeddings is None
    images = torch.rand(1, 3, *ODD)
    with torch.no_grad():
        expected = segmenter.taps(images, logits=True)
        segmenter.save_pretrained(tmp_path)
        others = (copy.deepcopy(segmenter), pickle.loads(pickle.dumps(segmenter)), load_segmenter(tmp_path))
        compiled = torch.compile(copy.deepcopy(segmenter.backbone), backend="eager", fullgraph=True)
        maps = compiled(segmenter.normalise(images))
        assert all(map(torch.equal, (*maps[0], *maps[1]), (*expected.embeddings, *expected.features)))
        for other in others:
            taps = other.taps(images, logits=True)
            torch.testing.assert_close(taps.embeddings, expected.embeddings, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(taps.logits, expected.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["convnext_atto", "resnet18"])
def test_every_parameter_learns_and_the_embeddings_carry_gradients(name):
    backbone = timm_backbone(name, 0.0).train()
    images = torch.rand(2, 3, 64, 96, requires_grad=True)
    embeddings, features = backbone(images)
    if embeddings:
        (gradient,) = torch.autograd.grad(embeddings[-1].square().sum(), images, retain_graph=True)
        assert gradient.abs().max() > 0
    sum(feature.square().mean() for feature in features).backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []
    # nothing is kept between forward passes
    assert not [m for m in backbone.modules() for value in vars(m).values() if isinstance(value, torch.Tensor)]


def test_stochastic_depth_is_the_networks_own_unless_requested():
    assert create_segmenter("swin_tiny_patch4_window7_224").config["drop_path_rate"] == 0.1
    small = create_segmenter("convnext_atto").config
    assert (small["drop_path_rate"], small["head_width"]) == (0.0, 256)
    deepest = create_segmenter("convnext_atto", drop_path_rate=0.3).backbone.network.stages[3].blocks[-1].drop_path
    assert deepest.drop_prob == pytest.approx(0.3)
    assert create_segmenter("repvit_m0_9").config["drop_path_rate"] == 0.0
    with pytest.raises(ConfigError, match=r"repvit_m0_9 cannot have drop_path_rate=0.1: timm's network takes no stoch"):
        create_segmenter("repvit_m0_9", drop_path_rate=0.1)


def test_a_network_of_large_windows_names_its_sizes():
    segmenter = create_segmenter("maxvit_rmlp_pico_rw_256", 5).eval()
    with pytest.raises(ValueError, match=r"takes images whose sides are multiples of 256 pixels, not 128x256: resize"):
        segmenter(torch.rand(1, 3, 128, 256))
    with torch.no_grad():
        assert segmenter(torch.rand(1, 3, 256, 512)).shape == (1, 5, 64, 128)


def test_finding_the_structure_takes_no_memory_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    timm_hierarchy.cache_clear()
    with torch.device("meta"):
        segmenter = create_segmenter("convnext_femto", 5)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.is_meta for parameter in segmenter.parameters())


class TwoStages(torch.nn.Module):
    """Two stages, with layers given to go in between."""

    def __init__(self, *entry: torch.nn.Module) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 4, 4)
        self.entry = torch.nn.Sequential(*entry)
        self.block = torch.nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, images):
        first = self.stem(images)
        x = self.entry(first)
        return first, x + self.block(x)


class Twice(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(8, 12, 2, 2), torch.nn.Conv2d(8, 12, 2, 2)

    def forward(self, x):
        return self.a(x) + self.b(x)


PROJECTION = torch.nn.Conv2d(8, 12, 2, 2)


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ([PROJECTION], "entry.0"),
        ([torch.nn.BatchNorm2d(8), PROJECTION], "entry.1"),
        ([PROJECTION, torch.nn.BatchNorm2d(12), torch.nn.Identity()], "entry.1"),
        ([PROJECTION, torch.nn.BatchNorm2d(12), torch.nn.SiLU()], "the first projection of stage 2 is followed by an"),
        ([torch.nn.GELU(), PROJECTION], "stage 2 begins with a layer that is no projection"),
        ([torch.nn.MaxPool2d(2), torch.nn.Conv2d(8, 12, 1)], "stage 2 begins with a layer that is no projection"),
        ([torch.nn.Conv2d(8, 8, 2, 2, groups=8), torch.nn.Conv2d(8, 12, 1)], "stage 2 begins with a layer that is no"),
        ([torch.nn.Conv2d(8, 10, 2, 2), torch.nn.Conv2d(10, 12, 1)], "projection of stage 2 does not give maps"),
        ([Twice()], "stage 2 begins with a residual block"),
    ],
)
def test_one_projection_with_norms_is_a_patch_embedding_and_nothing_else(entry, found):
    network = TwoStages(*entry).eval()
    if found.startswith("entry"):
        embeddings = find_patch_embeddings(network, network, torch.zeros(1, 3, 64, 96))
        assert [embedding.module for embedding in embeddings] == ["stem", found]
        return
    with pytest.raises(NoPatchEmbeddingError, match=found):
        find_patch_embeddings(network, network, torch.zeros(1, 3, 64, 96))
