"""Backbones small enough to train in a test: ``tiny`` and the wider ``tiny_teacher``.

Runs name this module in ``imports``, in this process and in others.
"""

from __future__ import annotations

from functools import partial

from timm.models import PyramidVisionTransformerV2

from transkd.models.backbones import BackboneEntry, available_backbones, register_backbone
from transkd.models.backbones.pyramid import PyramidBackbone

CHANNELS = {"tiny": (8, 12, 16, 24), "tiny_teacher": (16, 24, 32, 48)}


def build(name: str, drop_path_rate: float) -> PyramidBackbone:
    network = PyramidVisionTransformerV2(
        depths=(1, 1, 1, 1),
        embed_dims=CHANNELS[name],
        num_heads=(1, 1, 2, 2),
        sr_ratios=(8, 4, 2, 1),
        mlp_ratios=(2, 2, 2, 2),
        num_classes=0,
        drop_path_rate=drop_path_rate,
    )
    return PyramidBackbone(network)


for _name in set(CHANNELS) - set(available_backbones()):
    register_backbone(_name, BackboneEntry(partial(build, _name), segformer_width=16))
