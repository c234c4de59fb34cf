"""What is exported: a segmenter with its normalisation inside and its answer at the input's size."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from transkd.models import Segmenter
from transkd.models.heads.segformer import SegFormerHead

InputType = Literal["uint8", "float"]
ResultType = Literal["logits", "classes"]


class ExportGraph(nn.Module):
    """From RGB images of one type to logits or class ids at the images' size, in evaluation.

    The head's constant matrices are multiplied beforehand, so that the graph holds convolutions only.

    Args:
        segmenter: copied, so that it stays as it is.
        input_type: ``"uint8"`` images, or ``"float"`` ones in [0, 1].
        result: ``"logits"`` (B, K, H, W) float32, or ``"classes"`` (B, H, W) uint8.
    """

    def __init__(self, segmenter: Segmenter, input_type: InputType, result: ResultType) -> None:
        super().__init__()
        own = copy.deepcopy(segmenter).float().cpu().eval().requires_grad_(False)
        self.backbone = own.backbone
        self.head = own.head.folded() if isinstance(own.head, SegFormerHead) else own.head
        scale = 255.0 if input_type == "uint8" else 1.0
        self.register_buffer("mean", own.mean * scale)
        self.register_buffer("std", own.std * scale)
        self.num_classes = own.num_classes
        self.input_type: InputType = input_type
        self.result: ResultType = result
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, H, W) or classes (B, H, W) of ``images`` (B, 3, H, W)."""
        normalised = (images.float() - self.get_buffer("mean")) / self.get_buffer("std")
        logits = self.head(self.backbone(normalised)[1])
        logits = functional.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)
        return logits.argmax(dim=1).to(torch.uint8) if self.result == "classes" else logits

    def example(self, batch: int, height: int, width: int) -> Tensor:
        """Return images of the graph's type, for tracing."""
        images = torch.randint(0, 256, (batch, 3, height, width), generator=torch.Generator().manual_seed(0))
        return images.to(torch.uint8) if self.input_type == "uint8" else images.float() / 255
