"""Try a small network of every family of timm as a backbone, and print what came of it as a Markdown table.

    python scripts/backbone_table.py            # all of SMALLEST
    python scripts/backbone_table.py swin_tiny_patch4_window7_224 resnet18

Every line was run: random weights, an image of odd size (or of the network's step), forward and backward on the CPU.
Its feature maps were compared with those of timm's own ``features_only`` network of the same weights, its patch
embeddings with copies taken by a hook at the moment that the layer gave them.
"""

from __future__ import annotations

import sys
import warnings

import timm
import torch
from torch import Tensor, nn

from transkd.errors import ConfigError
from transkd.models.backbones import find_backbone
from transkd.models.backbones.timm_network import TimmBackbone, timm_backbone, timm_hierarchy

SMALLEST = [
    *("swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_cr_tiny_ns_224", "twins_pcpvt_small"),
    *("twins_svt_small", "convnext_atto", "convnextv2_atto", "convnext_zepto_rms"),
    *("poolformer_s12", "poolformerv2_s12", "convformer_s18", "caformer_s18"),
    *("davit_tiny", "focalnet_tiny_srf", "edgenext_xx_small", "inception_next_atto"),
    *("fasternet_t0", "pvt_v2_b0", "mit_b0", "hiera_tiny_224"),
    *("hieradet_small", "maxvit_tiny_tf_224", "maxvit_rmlp_pico_rw_256", "coatnet_pico_rw_224"),
    *("coat_lite_tiny", "nextvit_small", "efficientvit_b0", "tiny_vit_5m_224"),
    *("mvitv2_tiny", "efficientformer_l1", "efficientformerv2_s0", "fastvit_t8"),
    *("gcvit_xxtiny", "iformer_t", "mambaout_femto", "mobilevit_xxs"),
    *("mobilevitv2_050", "rdnet_tiny", "repvit_m0_9", "starnet_s1"),
    *("swiftformer_xs", "lowformer_b0", "hgnetv2_b0", "resnet18"),
    *("resnetv2_50", "regnetx_002", "efficientnet_b0", "mobilenetv3_small_050"),
    *("mobilenetv4_conv_small", "ghostnet_050", "densenet121", "hrnet_w18_small"),
    *("dla34", "vgg11", "vit_tiny_patch16_224", "pit_ti_224"),
    *("nest_tiny", "volo_d1_224", "xcit_nano_12_p8_224", "levit_128s"),
]
ODD = (70, 97)
COLUMNS = ("network", "channels", "sizes", "patch embeddings", "stochastic depth", "parameters without a gradient")


def main(names: list[str]) -> None:
    """Print a line a network."""
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for name in names:
        print(f"| {' | '.join(tried(name))} |", flush=True)


def tried(name: str) -> list[str]:
    """Return the cells of one network, after checking that they are true."""
    torch.manual_seed(0)
    try:
        hierarchy = timm_hierarchy(name)
    except ConfigError as error:
        return [
            name,
            "",
            f"refused: {str(error).partition('; take another')[0].removeprefix(name).strip()}",
            "",
            "",
            "",
        ]
    step = hierarchy.size_step
    odd = step <= 32
    images = torch.rand(1, 3, *(ODD if odd else (step, 2 * step)))
    backbone = timm_backbone(name, hierarchy.drop_path_rate).eval()
    copies: dict[str, Tensor] = {}
    for found in hierarchy.patch_embeddings:
        layer = backbone.network.get_submodule(found.module)
        layer.register_forward_hook(lambda *call, key=found.module: copies.update({key: _first(call[-1]).clone()}))
    embeddings, features = backbone(images)
    differences = [_largest_difference(features, _features_of_timm(backbone, images))]
    differences += [
        abs(float(e.detach().double().norm() - copies[found.module].double().norm()))
        for e, found in zip(embeddings, hierarchy.patch_embeddings, strict=True)
        if step == 1
    ]
    assert max(differences) < 1e-3, f"{name} differs from timm by {max(differences)}"
    assert all(e.shape == f.shape for e, f in zip(embeddings, features, strict=bool(embeddings)))
    sum(f.square().mean() for f in features).backward()
    unused = sum(p.numel() for p in backbone.parameters() if p.grad is None)
    return [
        name,
        " ".join(map(str, backbone.channels)),
        "any" if step == 1 else f"any, padded to multiples of {step}" if odd else f"multiples of {step}",
        "yes" if embeddings else f"no: {hierarchy.missing_embeddings.partition(': ')[2]}",
        _stochastic_depth(name),
        f"{unused:,}" if unused else "none",
    ]


def _features_of_timm(backbone: TimmBackbone, images: Tensor) -> list[Tensor]:
    """Return the maps of timm's own feature network with the backbone's weights, on what the network sees."""
    hierarchy, step = backbone.hierarchy, backbone.hierarchy.size_step
    options = {"features_only": True, "out_indices": hierarchy.levels, **hierarchy.options}
    try:
        theirs = timm.create_model(hierarchy.name, **options)
    except AssertionError:  # no default way to its features; timm has another
        theirs = timm.create_model(hierarchy.name, feature_cls="getter", **options)
    ours = backbone.network.state_dict()
    theirs.load_state_dict({key: ours[_name_in(ours, key)] for key in theirs.state_dict()})
    height, width = images.shape[2:]
    padded = nn.functional.pad(images, (0, -width % step, 0, -height % step))
    with torch.no_grad():
        maps = theirs.eval()(padded)
    nhwc = getattr(theirs, "output_fmt", None) is not None and str(theirs.output_fmt).endswith("NHWC")
    return [x.permute(0, 3, 1, 2) if nhwc else x for x in maps]


def _name_in(names: dict[str, Tensor], key: str) -> str:
    """Return timm's name of a tensor, of which its feature networks change the first dots to underscores."""
    key = key.removeprefix("model.")
    while key not in names and "_" in key:
        head, _, rest = key.partition(".")
        for position in [i for i, letter in enumerate(head) if letter == "_"]:
            candidate = f"{head[:position]}.{head[position + 1 :]}.{rest}"
            if candidate in names:
                return candidate
        raise KeyError(key)
    return key


def _largest_difference(ours: tuple[Tensor, ...], theirs: list[Tensor]) -> float:
    """Return it over all maps, where ours show it (they are cropped to the image)."""
    assert len(ours) == len(theirs)
    return max(
        float((a.detach() - b[..., : a.shape[2], : a.shape[3]]).abs().max()) for a, b in zip(ours, theirs, strict=True)
    )


def _stochastic_depth(name: str) -> str:
    own = find_backbone(name).drop_path_rate
    try:
        with torch.device("meta"):
            timm_backbone(name, 0.25)
    except ConfigError:
        return "cannot be set"
    return f"{own:g} by default"


def _first(output: object) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(sys.argv[1:] or SMALLEST)
