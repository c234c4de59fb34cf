"""SegFormers that transformers made and saved, with random weights, as the oracle of what is loaded and exported."""

from __future__ import annotations

import re
from pathlib import Path

import torch
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

# How transformers 5 names in memory what it, and every version before it, writes to files.
_IN_MEMORY: tuple[tuple[str, str], ...] = (
    (r"encoder\.patch_embeddings\.(\d)", r"stages.\1.patch_embeddings"),
    (r"encoder\.block\.(\d)", r"stages.\1.blocks"),
    (r"encoder\.layer_norm\.(\d)", r"stages.\1.layer_norm"),
    (r"attention\.self\.sr\.", "attention.sequence_reduction.sequence_reduction."),
    (r"attention\.self\.layer_norm", "attention.sequence_reduction.layer_norm"),
    (r"attention\.self\.(q|k|v)(uery|ey|alue)", r"attention.\1_proj"),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"mlp\.dense", "mlp.fc"),
    (r"layer_norm_1", "layernorm_before"),
    (r"layer_norm_2", "layernorm_after"),
    (r"linear_c\.", "linear_projections."),
)


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
    from safetensors.torch import load_file

    model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def in_memory_names(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file by the names that transformers 5 gives them in memory."""
    renamed = {}
    for name, tensor in published.items():
        for pattern, replacement in _IN_MEMORY:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed
