"""TransKD's released tensor names and shapes, and what is said of files that differ."""

from __future__ import annotations

import pytest
import torch
from released_layout import filled, fingerprint, layout_of, released_shapes
from torch import nn

from transkd.errors import WeightsError
from transkd.models import Segmenter, create_segmenter
from transkd.models.formats.transkd import adapters, from_released, looks_released
from transkd.models.weights import state_shapes

# Number of tensors, and sha256 of the sorted lines "name [shape]", of the segmenters in the released checkpoints.
RELEASED = {
    ("mit_b0", "student."): (192, "0f8030e8f1728d57"),
    ("mit_b2", ""): (348, "12c4c426daaefff3"),
    ("pvt_v2_b0", "student."): (208, "ff4cb969e65f59c1"),
    ("pvt_v2_b2", ""): (364, "fd3ea8c7386859ec"),
    ("lvt", "student."): (164, "aabdc91c535907bb"),
}
HEADS = {"mit": ("segformer", 256), "pvt": ("semantic_fpn", 128), "lvt": ("segformer", 256)}


def empty_state(shapes):
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize(("backbone", "prefix"), RELEASED)
def test_every_tensor_has_its_released_name_and_shape(backbone, prefix):
    assert fingerprint(released_shapes(backbone, prefix)) == RELEASED[backbone, prefix]


@pytest.mark.parametrize(
    ("backbone", "ours", "released"),
    [
        ("mit_b2", "backbone.patch_embed.proj.weight", "patch_embed1.proj.weight"),
        ("mit_b2", "backbone.stages.2.blocks.5.attn.sr.weight", "block3.5.attn.sr.weight"),
        ("mit_b2", "head.linear.3.weight", "linear_c4.proj.weight"),
        ("pvt_v2_b0", "backbone.stages.1.blocks.1.mlp.dwconv.bias", "backbone.block2.1.mlp.dwconv.dwconv.bias"),
        ("pvt_v2_b0", "head.scales.3.2.weight", "head.scale_heads.3.4.conv.weight"),
        ("lvt", "backbone.stages.0.blocks.1.attn.values.weight", "backbone.0.1.1.attn.weight.weight"),
        ("lvt", "backbone.stages.0.blocks.1.attn.weights.bias", "backbone.0.1.1.attn.attn.bias"),
        ("lvt", "backbone.stages.3.blocks.0.mlp.dwconv.weight", "backbone.3.1.0.mlp.depconv.weight"),
    ],
)
def test_names_lead_both_ways(backbone, ours, released):
    layout = layout_of(backbone)
    assert layout.released(ours) == released
    assert layout.ours(released) == ours
    with torch.device("meta"):
        assert ours in create_segmenter(backbone).state_dict()


@pytest.mark.parametrize(
    ("backbone", "prefix"),
    [
        ("mit_b0", "student."),
        ("mit_b1", ""),
        ("mit_b5", ""),
        ("pvt_v2_b0", "module.student."),
        ("pvt_v2_b2", "module."),
        ("pvt_v2_b5", ""),
        ("lvt", ""),
        ("lvt", "module.student."),
    ],
)
def test_architecture_and_classes_are_inferred(backbone, prefix):
    state = empty_state(released_shapes(backbone, prefix, num_classes=11))
    config, renamed = from_released(state)
    head, width = HEADS[backbone[:3]]
    if backbone == "mit_b5":
        width = 768
    assert config == {
        "backbone": backbone,
        "num_classes": 11,
        "head": head,
        "head_width": width,
        "mean": (0, 0, 0),
        "std": (1, 1, 1),
    }
    with torch.device("meta"):
        segmenter = Segmenter(**config)
    assert {name: tuple(tensor.shape) for name, tensor in renamed.items()} == state_shapes(segmenter)
    assert looks_released(state)


def test_norms_keep_the_epsilons_of_the_release():
    """MiT's and PVTv2's norms after patch embeddings and reductions are PyTorch's own, LVT's are all."""

    def epsilons(backbone):
        with torch.device("meta"):
            segmenter = Segmenter(**from_released(empty_state(released_shapes(backbone)))[0])
        norms = {n: m.eps for n, m in segmenter.backbone.named_modules() if isinstance(m, nn.LayerNorm)}
        return {eps: {n.rsplit(".", 2)[-2] for n in norms if norms[n] == eps} for eps in set(norms.values())}

    assert epsilons("lvt").keys() == {1e-5}
    for backbone in ("mit_b0", "pvt_v2_b0"):
        assert epsilons(backbone)[1e-5] == {"patch_embed", "downsample", "attn"}
        assert epsilons(backbone).keys() == {1e-5, 1e-6}


def test_adapters_are_what_is_not_the_students():
    student = filled(released_shapes("mit_b0", "student."))
    state = {f"module.{name}": tensor for name, tensor in student.items()}
    state["module.embed1_linearproject.weight"] = torch.zeros(64, 32)
    assert adapters(state).keys() == {"embed1_linearproject.weight"}
    assert from_released(state)[1].keys() == create_segmenter("mit_b0").state_dict().keys()
    assert adapters(empty_state(released_shapes("mit_b0"))) == {}


@pytest.mark.parametrize(
    "names",
    [
        {"decode_head.linear_fuse.conv.weight", "backbone.patch_embed1.proj.weight"},  # NVlabs
        {"segformer.encoder.block.0.0.layer_norm_1.weight", "decode_head.classifier.weight"},  # transformers
        {"patch_embed1.proj.weight", "block1.0.norm1.weight", "head.weight"},  # MiT's classifier
        {"backbone.patch_embed.proj.weight", "head.fuse.weight"},  # ours
        {"state_dict", "epoch"},
    ],
)
def test_other_layouts_do_not_look_released(names):
    assert not looks_released(names)


@pytest.mark.parametrize("backbone", ["mit_b0", "pvt_v2_b0", "lvt"])
def test_a_missing_tensor_is_named_as_in_the_file(backbone):
    state = empty_state(released_shapes(backbone, "student."))
    lost = next(name for name in state if name.endswith("attn.q.weight"))
    del state[lost]
    with pytest.raises(WeightsError, match=f"backbone {backbone}, but does not fit it: 1 tensors missing: {lost};"):
        from_released(state)


def test_lost_layers_are_told_from_another_size():
    state = empty_state(released_shapes("mit_b2"))
    state = {name: tensor for name, tensor in state.items() if not name.startswith("block3.5.")}
    with pytest.raises(WeightsError, match=r"mit_b2, but does not fit it: 20 tensors missing: block3\.5\.norm1"):
        from_released(state)
    state = empty_state(released_shapes("pvt_v2_b0"))
    del state["head.conv_seg.weight"], state["head.conv_seg.bias"]
    with pytest.raises(WeightsError, match=r"pvt_v2_b0, .* 2 tensors missing: head\.conv_seg\.weight, head"):
        from_released(state)


def test_another_shape_and_an_unexpected_tensor_are_named():
    state = empty_state(released_shapes("lvt"))
    state["backbone.0.1.0.attn.proj.weight"] = torch.empty(64, 32, device="meta")
    state["backbone.4.0.proj.weight"] = torch.empty(1, device="meta")
    message = (
        r"1 tensors of another shape: backbone\.0\.1\.0\.attn\.proj\.weight \[64, 32\] instead of \[64, 64\]; "
        r"1 tensors unexpected: backbone\.4\.0\.proj\.weight"
    )
    with pytest.raises(WeightsError, match=message):
        from_released(state)


def test_another_network_is_refused():
    with pytest.raises(WeightsError, match=r"not the tensors of a released .*; the first are layer1\.0\.conv1\.weight"):
        from_released({"layer1.0.conv1.weight": torch.empty(1)})
    with pytest.raises(WeightsError, match="the first are none"):
        from_released({})
