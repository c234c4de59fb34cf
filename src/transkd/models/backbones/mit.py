"""Mix Transformers, the encoders of SegFormer (Xie et al., NeurIPS 2021), as timm models.

They share every layer with timm's PVTv2: overlapping patch embeddings, attention over spatially reduced
keys, MLPs with a depthwise convolution, a norm after each stage. Only the MLP ratio differs: 4 in all stages.
"""

from __future__ import annotations

from collections.abc import Callable

from timm.models import (
    PyramidVisionTransformerV2,
    build_model_with_cfg,
    generate_default_cfgs,
    register_model,
)
from torch import nn

_IMAGENET = {
    "num_classes": 1000,
    "input_size": (3, 224, 224),
    "pool_size": (7, 7),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "first_conv": "patch_embed.proj",
    "classifier": "head",
    "fixed_input_size": False,
}

default_cfgs = generate_default_cfgs({f"mit_b{size}": _IMAGENET for size in range(6)})

_register: Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]] = register_model


def _create_mit(
    variant: str, pretrained: bool, depths: tuple[int, ...], embed_dims: tuple[int, ...], **options: object
) -> nn.Module:
    settings = {
        "depths": depths,
        "embed_dims": embed_dims,
        "num_heads": (1, 2, 5, 8),
        "sr_ratios": (8, 4, 2, 1),
        "mlp_ratios": (4, 4, 4, 4),
    }
    model: nn.Module = build_model_with_cfg(
        PyramidVisionTransformerV2,
        variant,
        pretrained,
        feature_cfg={"flatten_sequential": True, "out_indices": (0, 1, 2, 3)},
        **{**settings, **options},
    )
    return model


@_register
def mit_b0(pretrained: bool = False, **options: object) -> nn.Module:
    """MiT-B0: 3.3 M parameters, the backbone of SegFormer-B0."""
    return _create_mit("mit_b0", pretrained, (2, 2, 2, 2), (32, 64, 160, 256), **options)


@_register
def mit_b1(pretrained: bool = False, **options: object) -> nn.Module:
    """MiT-B1: 13.2 M parameters."""
    return _create_mit("mit_b1", pretrained, (2, 2, 2, 2), (64, 128, 320, 512), **options)


@_register
def mit_b2(pretrained: bool = False, **options: object) -> nn.Module:
    """MiT-B2: 24.2 M parameters, the backbone of the paper's teacher."""
    return _create_mit("mit_b2", pretrained, (3, 4, 6, 3), (64, 128, 320, 512), **options)


@_register
def mit_b3(pretrained: bool = False, **options: object) -> nn.Module:
    """MiT-B3: 44.1 M parameters."""
    return _create_mit("mit_b3", pretrained, (3, 4, 18, 3), (64, 128, 320, 512), **options)


@_register
def mit_b4(pretrained: bool = False, **options: object) -> nn.Module:
    """MiT-B4: 60.8 M parameters."""
    return _create_mit("mit_b4", pretrained, (3, 8, 27, 3), (64, 128, 320, 512), **options)


@_register
def mit_b5(pretrained: bool = False, **options: object) -> nn.Module:
    """MiT-B5: 81.4 M parameters."""
    return _create_mit("mit_b5", pretrained, (3, 6, 40, 3), (64, 128, 320, 512), **options)
