"""Published SegFormer weights, as transformers writes them, under the names of our state dict."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

_SIZES = {
    "mit_b0": {"depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 256},
    "mit_b2": {"depths": [3, 4, 6, 3], "hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768},
}

_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^segformer\.encoder\.patch_embeddings\.0\.", "backbone.patch_embed."),
    (r"^segformer\.encoder\.patch_embeddings\.(\d)\.", r"backbone.stages.\1.downsample."),
    (r"^segformer\.encoder\.block\.(\d)\.(\d+)\.", r"backbone.stages.\1.blocks.\2."),
    (r"^segformer\.encoder\.layer_norm\.(\d)\.", r"backbone.stages.\1.norm."),
    (r"\.layer_norm_(\d)\.", r".norm\1."),
    (r"\.attention\.self\.query\.", ".attn.q."),
    (r"\.attention\.self\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.mlp\.dense(\d)\.", r".mlp.fc\1."),
    (r"\.dwconv\.dwconv\.", ".dwconv."),
    (r"\.layer_norm\.", ".norm."),
    (r"^decode_head\.linear_c\.(\d)\.proj\.", r"head.linear.\1."),
    (r"^decode_head\.linear_fuse\.", "head.fuse."),
    (r"^decode_head\.batch_norm\.", "head.norm."),
    (r"^decode_head\.classifier\.", "head.classifier."),
)


def reference_segformer(backbone: str, num_classes: int) -> SegformerForSemanticSegmentation:
    """transformers' SegFormer with random weights, none of its norms neutral.

    transformers leaves all norms at the epsilon of PyTorch; released SegFormers have 1e-6 in their stages.
    """
    model = SegformerForSemanticSegmentation(SegformerConfig(num_labels=num_classes, **_SIZES[backbone])).eval()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 1:
            centre = 1.0 if name.endswith(("weight", "var")) else 0.0
            tensor.copy_(centre + 0.2 * (torch.rand(tensor.shape, generator=generator) - 0.5))
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm) and "patch_embeddings" not in name and "reduction" not in name:
            module.eps = 1e-6
    return model


def our_state(model: SegformerForSemanticSegmentation, folder: Path) -> dict[str, Tensor]:
    """The model's weights by the names of our state dict, by way of the file that transformers publishes."""
    model.save_pretrained(folder)
    ours = {}
    for published, tensor in load_file(folder / "model.safetensors").items():
        name = published
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        ours[name] = tensor
    for key in [name for name in ours if ".attn.key." in name]:
        value = key.replace(".key.", ".value.")
        ours[key.replace(".key.", ".kv.")] = torch.cat([ours.pop(key), ours.pop(value)])
    return ours
