"""A segmenter without ties, to compare exported files with."""

from __future__ import annotations

import torch

from transkd.data.classes import CAMVID
from transkd.models import Segmenter, create_segmenter


def clear_cut(backbone: str) -> Segmenter:
    """Return a segmenter whose logits are far apart, as a trained one's are, so that few pixels are ties."""
    torch.manual_seed(0)
    segmenter = create_segmenter(backbone, 11, class_names=CAMVID.names, mean=(0.4, 0.5, 0.45)).eval()
    with torch.no_grad():
        segmenter.head.norm.running_mean.normal_(std=0.1)
        segmenter.head.classifier.weight.normal_(std=0.5)
        segmenter.head.classifier.get_parameter("bias").normal_(std=0.2)
    return segmenter
