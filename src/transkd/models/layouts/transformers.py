"""SegFormers as transformers names their tensors: into our state dict and out of it.

There are two layouts: the one of the hub's files, which transformers 4 has in memory and every version writes, and
the one that transformers 5 has in memory (``stages.0.blocks…``, ``linear_projections``). Both are read; the
hub's is written, since both versions open it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from transkd.models.layouts.transformers_config import (
    TRANSFORMERS_EPS,
    check_exportable,
    image_processor_config,
    segformer_config,
)
from transkd.models.segmenter import Segmenter

Rules = tuple[tuple[str, str], ...]

# Published name | in memory of transformers 5 -> ours. Later rules see what earlier ones made.
_ENCODER: Rules = (
    (r"^(?:encoder\.patch_embeddings\.0|stages\.0\.patch_embeddings)\b", "patch_embed"),
    (r"^(?:encoder\.patch_embeddings\.(\d+)|stages\.(\d+)\.patch_embeddings)\b", r"stages.\1\2.downsample"),
    (r"^(?:encoder\.block\.(\d+)|stages\.(\d+)\.blocks)\b", r"stages.\1\2.blocks"),
    (r"^(?:encoder\.layer_norm\.(\d+)|stages\.(\d+)\.layer_norm)\b", r"stages.\1\2.norm"),
    (r"\b(?:layer_norm_1|layernorm_before)\b", "norm1"),
    (r"\b(?:layer_norm_2|layernorm_after)\b", "norm2"),
    (r"\battention\.(?:self\.query|q_proj)\b", "attn.q"),
    (r"\battention\.(?:self\.key|k_proj)\b", "attn.k"),
    (r"\battention\.(?:self\.value|v_proj)\b", "attn.v"),
    (r"\battention\.(?:self\.sr|sequence_reduction\.sequence_reduction)\b", "attn.sr"),
    (r"\battention\.(?:self|sequence_reduction)\.layer_norm\b", "attn.norm"),
    (r"\battention\.(?:output\.dense|o_proj)\b", "attn.proj"),
    (r"\bmlp\.dense(\d)\b", r"mlp.fc\1"),
    (r"\bdwconv\.dwconv\b", "dwconv"),
    (r"\blayer_norm\b", "norm"),
)
_HEAD: Rules = (
    (r"^decode_head\.(?:linear_c|linear_projections)\.(\d+)\.proj\b", r"head.linear.\1"),
    (r"^decode_head\.linear_fuse\b", "head.fuse"),
    (r"^decode_head\.batch_norm\b", "head.norm"),
    (r"^decode_head\.classifier\b", "head.classifier"),
)
_PUBLISHED: Rules = (
    (r"^backbone\.patch_embed\b", "backbone.stages.0.downsample"),
    (r"^backbone\.stages\.(\d+)\.downsample\.norm\b", r"segformer.encoder.patch_embeddings.\1.layer_norm"),
    (r"^backbone\.stages\.(\d+)\.downsample\b", r"segformer.encoder.patch_embeddings.\1"),
    (r"^backbone\.stages\.(\d+)\.norm\b", r"segformer.encoder.layer_norm.\1"),
    (r"^backbone\.stages\.(\d+)\.blocks\b", r"segformer.encoder.block.\1"),
    (r"\bnorm([12])\b", r"layer_norm_\1"),
    (r"\battn\.q\b", "attention.self.query"),
    (r"\battn\.k\b", "attention.self.key"),
    (r"\battn\.v\b", "attention.self.value"),
    (r"\battn\.sr\b", "attention.self.sr"),
    (r"\battn\.norm\b", "attention.self.layer_norm"),
    (r"\battn\.proj\b", "attention.output.dense"),
    (r"\bmlp\.fc(\d)\b", r"mlp.dense\1"),
    (r"\bdwconv\b", "dwconv.dwconv"),
    (r"^head\.linear\.(\d+)\b", r"decode_head.linear_c.\1.proj"),
    (r"^head\.fuse\b", "decode_head.linear_fuse"),
    (r"^head\.norm\b", "decode_head.batch_norm"),
    (r"^head\.classifier\b", "decode_head.classifier"),
)
_ENCODER_NAME = re.compile(r"(?:segformer\.)?(?:encoder\.(?:patch_embeddings|block)\.|stages\.\d+\.patch_embeddings\.)")


def has_transformers_encoder(names: Iterable[str]) -> bool:
    """Return whether tensors of these names hold the encoder of a transformers SegFormer."""
    return any(_ENCODER_NAME.match(name) for name in names)


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a transformers SegFormer's state dict, of either layout, under the names of a :class:`Segmenter`.

    Tensors that neither encoder nor head has keep their names. What it computes with is the epsilon 1e-5 in every
    layer norm, whatever its config says: give the segmenter ``norm_eps=1e-5``.
    """
    head = {_renamed(name, _HEAD): tensor for name, tensor in state.items() if name.startswith("decode_head.")}
    return {f"backbone.{name}": tensor for name, tensor in encoder_from_transformers(state).items()} | head


def encoder_from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder of any transformers SegFormer (classifier, segmenter or bare) as a MiT backbone's state dict.

    The decode head and the classifier are left out.
    """
    ours = {
        _renamed(name.removeprefix("segformer."), _ENCODER): tensor
        for name, tensor in state.items()
        if not name.startswith(("decode_head.", "classifier."))
    }
    for key in [name for name in ours if ".attn.k." in name]:
        value = key.replace(".attn.k.", ".attn.v.")
        if value in ours:
            ours[key.replace(".attn.k.", ".attn.kv.")] = torch.cat([ours.pop(key), ours.pop(value)])
    return ours


def to_transformers(
    segmenter: Segmenter, size: tuple[int, int] | None = None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """Return what ``SegformerForSemanticSegmentation`` and ``SegformerImageProcessor`` open, with the same logits.

    transformers computes all layer norms with the epsilon 1e-5. Where the segmenter's are others, the layers
    before a norm are scaled by the root of the ratio, which gives the same values after it:
    norm(r x; r² eps) = norm(x; eps). So the function is the same, and those tensors are multiples of the segmenter's.

    Args:
        segmenter: a MiT backbone under a SegFormer head.
        size: height and width to which the image processor resizes; None leaves images at their own size.

    Returns:
        The contents of ``config.json`` and of ``preprocessor_config.json``, and the state dict in the layout of the
        hub's files, float32 on the CPU.

    Raises:
        ConfigError: the segmenter is no SegFormer, and transformers has nothing to run it.
    """
    check_exportable(segmenter.config)
    state = {
        name.replace("_orig_mod.", ""): tensor.detach().cpu().contiguous()
        for name, tensor in segmenter.state_dict().items()
    }
    _scale_to_epsilon(segmenter.backbone, state)
    for name in [name for name in state if ".attn.kv." in name]:
        key, value = state.pop(name).chunk(2)
        state |= {name.replace(".kv.", ".k."): key.clone(), name.replace(".kv.", ".v."): value.clone()}
    published = {_renamed(name, _PUBLISHED): tensor.clone() for name, tensor in state.items()}
    return segformer_config(segmenter), image_processor_config(segmenter, size), published


def _renamed(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _scale_to_epsilon(backbone: nn.Module, state: dict[str, Tensor]) -> None:
    """Scale what reaches each layer norm so that with transformers' epsilon it gives what it gives now."""
    ratios = {
        f"backbone.{name.replace('_orig_mod.', '')}": (TRANSFORMERS_EPS / module.eps) ** 0.5
        for name, module in backbone.named_modules()
        if isinstance(module, nn.LayerNorm)
    }
    for norm, ratio in ratios.items():
        before, _, leaf = norm.rpartition(".")
        if norm.endswith(("patch_embed.norm", "downsample.norm")):
            _scale(state, f"{before}.proj", ratio)
            _scale(state, norm, _stream_ratio(norm, ratios))
        elif norm.endswith(".attn.norm"):
            _scale(state, f"{before}.sr", ratio)
        elif leaf == "norm1":
            _scale(state, f"{before}.attn.proj", ratio)
            _scale(state, f"{before}.mlp.fc2", ratio)


def _stream_ratio(patch_embedding_norm: str, ratios: Mapping[str, float]) -> float:
    """Return the ratio of the norms that read a stage's residual stream, which its patch embedding starts."""
    if "patch_embed." in patch_embedding_norm:
        return ratios["backbone.stages.0.norm"]
    return ratios[patch_embedding_norm.replace(".downsample.norm", ".norm")]


def _scale(state: dict[str, Tensor], layer: str, ratio: float) -> None:
    if ratio != 1:
        for name in (f"{layer}.weight", f"{layer}.bias"):
            state[name] = state[name] * ratio
