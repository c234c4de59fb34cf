"""State dicts as others and our training runs wrote them: which format one is in, and its tensors under our names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from transkd.errors import WeightsError, first_few
from transkd.models.formats.names import NVLABS, RELEASED, TRANSFORMERS
from transkd.models.formats.recognise import infer_config, no_segmenter
from transkd.models.weights import state_of

CHECKPOINT_CONFIG = "segmenter"
"""The key of a training checkpoint that holds the segmenter's config."""

TRANSFORMERS_EPS = 1e-5
"""Of torch.nn.LayerNorm, which transformers' SegFormer uses as it is, whatever its config's layer_norm_eps says."""

STUDENT = "student."
"""How the names of a distilled student begin in TransKD's release; the adapters of its losses stand beside them."""

_RELEASED_MARKS = (
    *("linear_fuse.", "linear_pred.", "neck.lateral_convs.", "head.scale_heads."),
    *("skfs.", "embed1_linearproject."),
)
_UNNORMALISED = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # the release feeds images in [0, 1] as they are
_NVLABS_ENCODER = re.compile(r"(?:backbone\.)?((?:patch_embed|block|norm)[1-4]\..*)")
_TRANSFORMERS_ENCODER = re.compile(
    r"(?:segformer\.)?(encoder\.(patch_embeddings|block)|stages\.\d+\.patch_embeddings)\."
)
# What transformers 5 has in memory -> what it and transformers 4 write to files.
_IN_FILES = (
    (r"^stages\.(\d+)\.patch_embeddings\.", r"encoder.patch_embeddings.\1."),
    (r"^stages\.(\d+)\.layer_norm\.", r"encoder.layer_norm.\1."),
    (r"^stages\.(\d+)\.blocks\.", r"encoder.block.\1."),
    (r"\.layernorm_before\.", ".layer_norm_1."),
    (r"\.layernorm_after\.", ".layer_norm_2."),
    (r"\.attention\.q_proj\.", ".attention.self.query."),
    (r"\.attention\.k_proj\.", ".attention.self.key."),
    (r"\.attention\.v_proj\.", ".attention.self.value."),
    (r"\.attention\.sequence_reduction\.sequence_reduction\.", ".attention.self.sr."),
    (r"\.attention\.sequence_reduction\.", ".attention.self."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc(\d)\.", r".mlp.dense\1."),
    (r"\.linear_projections\.", ".linear_c."),
)


def segmenter_tensors(content: Any, where: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of the segmenter in a file under our names, and its arguments as far as the format says them.

    Args:
        content: all that the file holds: a state dict, or a checkpoint around one.
        where: the file, for messages.

    Raises:
        WeightsError: it is in none of the formats; the message says what it seems to be.
    """
    trained = content.get("state_dict") if isinstance(content, Mapping) else None
    if isinstance(trained, Mapping) and any(str(name).startswith("segmenter.backbone.") for name in trained):
        config = content.get(CHECKPOINT_CONFIG)
        if not isinstance(config, Mapping):
            raise WeightsError(f"{where} is a training checkpoint that does not say what segmenter it is of")
        return checkpoint_weights(content), dict(config)
    state = state_of(content, where)
    if "head.classifier.weight" in state and any(name.startswith("backbone.") for name in state):
        return state, {}
    if has_transformers_segmenter(state):
        return from_transformers(state), {"norm_eps": TRANSFORMERS_EPS}
    if {"backbone.patch_embed1.proj.weight", "decode_head.linear_pred.weight"} <= state.keys():
        meta = content.get("meta")  # of mmsegmentation 0.x
        names = meta.get("CLASSES") if isinstance(meta, Mapping) else None
        known = [str(name) for name in names] if isinstance(names, list | tuple) else None
        # the head never runs conv_seg
        ours = {NVLABS.ours(n): tensor for n, tensor in state.items() if not n.startswith("decode_head.conv_seg.")}
        return ours, {"class_names": known}
    if looks_released(state):
        try:
            config, tensors = from_released(state)
        except WeightsError as error:
            raise WeightsError(f"{where}: {error}") from error
        return tensors, config
    raise no_segmenter(state, where)


def checkpoint_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the segmenter's state dict from a run's checkpoint, the averaged one where the run averaged."""
    prefix, state = "segmenter.", checkpoint["state_dict"]
    for name, callback in checkpoint.get("callbacks", {}).items():
        if name.startswith("StudentEMA") and callback.get("average"):
            prefix, state = "module.", callback["average"]
    return {
        name.removeprefix(prefix).replace("_orig_mod.", ""): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def has_transformers_segmenter(names: Iterable[str]) -> bool:
    """Return whether tensors of these names are a transformers SegFormer, encoder and decode head."""
    found = list(names)
    return any(map(_TRANSFORMERS_ENCODER.match, found)) and any(name.startswith("decode_head.") for name in found)


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a transformers SegFormer's state dict under our names, from a file or as transformers 5 has it in memory.

    It may be a segmenter, a classifier or a bare encoder. Tensors that neither encoder nor head has keep their names.
    transformers computes with the epsilon 1e-5 in every layer norm: give the segmenter ``norm_eps=1e-5``.
    """
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.removeprefix("segformer.")
        for pattern, replacement in _IN_FILES:
            name = re.sub(pattern, replacement, name)
        ours[TRANSFORMERS.ours(f"segformer.{name}" if name.startswith("encoder.") else name)] = tensor
    for key in [name for name in ours if ".attn.k." in name]:
        value = key.replace(".attn.k.", ".attn.v.")
        if value in ours:
            ours[key.replace(".attn.k.", ".attn.kv.")] = torch.cat([ours.pop(key), ours.pop(value)])
    return ours


def mit_encoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder of an NVlabs or transformers SegFormer, classifier or segmenter, as a MiT's state dict."""
    if any(re.fullmatch(r"(backbone\.)?patch_embed4\.proj\.weight", name) for name in state):
        matches = {match: state[name] for name in state if (match := _NVLABS_ENCODER.fullmatch(name))}
        ours = {NVLABS.ours(f"backbone.{match[1]}"): tensor for match, tensor in matches.items()}
    else:
        parts = ("decode_head.", "classifier.")
        ours = from_transformers({n: tensor for n, tensor in state.items() if not n.startswith(parts)})
    return {name.removeprefix("backbone."): tensor for name, tensor in ours.items()}


def looks_released(names: Iterable[str]) -> bool:
    """Return whether tensors of these names are of a released checkpoint of TransKD."""
    return any(name.removeprefix(STUDENT).startswith(_RELEASED_MARKS) for name in names)


def adapters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a released checkpoint that belong to its losses, {} where there are none."""
    of_losses = {name: tensor for name, tensor in state.items() if not name.startswith(STUDENT)}
    return of_losses if len(of_losses) < len(state) else {}


def from_released(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the segmenter of a released checkpoint of TransKD: the student, or the teacher of a teacher's file.

    Returns:
        The arguments of its ``Segmenter``, and its state dict under our names, without adapters.

    Raises:
        WeightsError: it is not of a MiT or LVT with a SegFormer head, or of a PVTv2 with a Semantic-FPN head.
    """
    student = {name.removeprefix(STUDENT): tensor for name, tensor in state.items() if name.startswith(STUDENT)}
    released = student or dict(state)
    for names in RELEASED.values():
        if any(name.startswith(names.published("backbone.stages.0.blocks.")) for name in released):
            tensors = {names.ours(name): tensor for name, tensor in released.items()}
            if config := infer_config(tensors):
                return {**config, **_UNNORMALISED}, tensors
    raise WeightsError(
        "these are not the tensors of a released TransKD checkpoint with a MiT, PVTv2 or LVT backbone, or some are "
        f"missing; the first are {first_few(released) or 'none'}"
    )
