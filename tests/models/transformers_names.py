"""SegFormers that transformers made and saved, with random weights, as the oracle of what is loaded and exported."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import SegformerConfig, SegformerForSemanticSegmentation

_LARGE = {"hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768}
SIZES = {
    "mit_b0": {"depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 256},
    "mit_b1": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 256},
    "mit_b2": {"depths": [3, 4, 6, 3], **_LARGE},
    "mit_b3": {"depths": [3, 4, 18, 3], **_LARGE},
    "mit_b4": {"depths": [3, 8, 27, 3], **_LARGE},
    "mit_b5": {"depths": [3, 6, 40, 3], **_LARGE},
}


def reference_segformer(backbone: str, num_classes: int, **options: object) -> SegformerForSemanticSegmentation:
    """transformers' SegFormer with random weights, none of its norms neutral."""
    config = SegformerConfig(num_labels=num_classes, **SIZES[backbone] | options)
    with torch.device("meta"):
        model = SegformerForSemanticSegmentation(config)
    model = model.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 0:
            tensor.zero_()
            continue
        noise = torch.rand(tensor.shape, generator=generator) - 0.5
        if tensor.ndim == 1:
            ones = ("norm.weight", "_1.weight", "_2.weight", "before.weight", "after.weight", "var")
            centre = 1.0 if name.endswith(ones) else 0.0
            tensor.copy_(centre + 0.2 * noise)
        else:
            tensor.copy_(noise * (12 / tensor[0].numel()) ** 0.5)
    return model


def published_state(model: SegformerForSemanticSegmentation, folder: Path) -> dict[str, Tensor]:
    """The model's tensors by the names of the file that transformers writes."""
    model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")
