"""SegFormers as transformers names their tensors: into our state dict and out of it.

There are two formats: the one of the hub's files, which transformers 4 has in memory and every version writes, and
the one that transformers 5 has in memory (``stages.0.blocks…``, ``linear_projections``). Both are read; the
hub's is written, since both versions open it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError
from transkd.models.formats.recognise import mit_name
from transkd.models.segmenter import Segmenter

TRANSFORMERS_EPS = 1e-5  # of torch.nn.LayerNorm, which its SegFormer uses as it is, whatever layer_norm_eps says

# What all MiT share, by the keys and with the defaults of transformers' SegformerConfig.
_MIT = {
    "num_channels": 3,
    "num_encoder_blocks": 4,
    "sr_ratios": [8, 4, 2, 1],
    "patch_sizes": [7, 3, 3, 3],
    "strides": [4, 2, 2, 2],
    "num_attention_heads": [1, 2, 5, 8],
    "mlp_ratios": [4, 4, 4, 4],
    "hidden_act": "gelu",
    "reshape_last_stage": True,
}


def segmenter_config(config: Mapping[str, Any], processor: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """Return the arguments of the :class:`Segmenter` that a transformers SegFormer is.

    Args:
        config: its ``config.json``; what is not in it is at transformers' defaults.
        processor: its ``preprocessor_config.json``, None where there is none, which means transformers' defaults.
        where: name of the source, for messages.

    Raises:
        WeightsError: it is not one of MiT-B0 to B5, or a value is not what it should be.
    """
    channels, depths = config.get("hidden_sizes", [32, 64, 160, 256]), config.get("depths", [2, 2, 2, 2])
    odd = [
        f"{key} {config[key]}, not {value}" for key, value in _MIT.items() if _plain(config.get(key, value)) != value
    ]
    backbone = mit_name(channels, depths)
    if backbone is None:
        odd.insert(0, f"hidden_sizes {_plain(channels)} with depths {_plain(depths)}, which no MiT-B0 to B5 has")
    if odd:
        raise WeightsError(
            f"{where} is a SegFormer of a custom architecture: {'; '.join(odd)}. Only MiT-B0 to B5 can be loaded; "
            "train or convert one of those"
        )
    names = _class_names(config)
    mean, std = _normalisation({} if processor is None else processor, where)
    return {
        "backbone": backbone,
        "num_classes": len(names) if names else config.get("num_labels", 2),
        "head": "segformer",
        "head_width": config.get("decoder_hidden_size", 256),
        "class_names": None if names == _placeholders(len(names)) else names,
        "mean": mean,
        "std": std,
        "drop_path_rate": config.get("drop_path_rate", 0.1),
        "dropout": config.get("classifier_dropout_prob", 0.1),
        "norm_eps": TRANSFORMERS_EPS,
    }


def segformer_config(segmenter: Segmenter) -> dict[str, Any]:
    """Return the ``config.json`` that a SegFormer segmenter has in transformers."""
    names = segmenter.class_names or _placeholders(segmenter.num_classes)
    stages = segmenter.backbone.get_submodule("stages")
    return {
        "architectures": ["SegformerForSemanticSegmentation"],
        "model_type": "segformer",
        **_MIT,
        "hidden_sizes": list(segmenter.channels),
        "depths": [len(list(stage.get_submodule("blocks").children())) for stage in stages.children()],
        "decoder_hidden_size": segmenter.config["head_width"],
        "drop_path_rate": segmenter.config["drop_path_rate"],
        "classifier_dropout_prob": segmenter.config["dropout"],
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "layer_norm_eps": TRANSFORMERS_EPS,
        "semantic_loss_ignore_index": 255,
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
    }


def image_processor_config(segmenter: Segmenter, size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the ``preprocessor_config.json`` that normalises images as the segmenter does.

    Args:
        segmenter: whose mean and standard deviation it takes.
        size: height and width to resize to; None leaves images at their own size.
    """
    height, width = size or (512, 512)
    return {
        "image_processor_type": "SegformerImageProcessor",
        "do_resize": size is not None,
        "size": {"height": height, "width": width},
        "resample": 2,  # bilinear
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(segmenter.config["mean"]),
        "image_std": list(segmenter.config["std"]),
        "do_reduce_labels": False,
    }


def check_exportable(config: Mapping[str, Any]) -> None:
    """Raise a ``ConfigError`` unless a segmenter of this config is a SegFormer."""
    if not config["backbone"].startswith("mit_") or config["head"] != "segformer":
        raise ConfigError(
            f"a segmenter of backbone {config['backbone']} and head {config['head']} cannot become a Hugging Face "
            "SegFormer, which is mit_b0 to mit_b5 under the segformer head: use format=onnx or format=torch, or "
            "save_pretrained"
        )


def _class_names(config: Mapping[str, Any]) -> list[str]:
    """Return the label names in order of their ids, empty where the config has none."""
    labels = config.get("id2label") or {}
    return [str(labels[key]) for key in sorted(labels, key=int)]


def _placeholders(count: int) -> list[str]:
    return [f"LABEL_{index}" for index in range(count)]


def _normalisation(processor: Mapping[str, Any], where: str) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of images in [0, 1] that amount to the processor's arithmetic on 0 to 255."""
    factor = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1.0
    scale = 1.0 if abs(255 * factor - 1) < 1e-6 else 1 / (255 * factor)
    if not processor.get("do_normalize", True):
        return [0.0] * 3, [scale] * 3
    mean = processor.get("image_mean") or IMAGENET_DEFAULT_MEAN
    std = processor.get("image_std") or IMAGENET_DEFAULT_STD
    if len(mean) != 3 or len(std) != 3 or not all(isinstance(value, int | float) for value in [*mean, *std]):
        raise WeightsError(
            f"{where}: image_mean {mean} and image_std {std} of preprocessor_config.json must have a number for each "
            "of red, green and blue"
        )
    return [value * scale for value in mean], [value * scale for value in std]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


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


def has_transformers_segmenter(names: Iterable[str]) -> bool:
    """Return whether tensors of these names are a transformers SegFormer, encoder and decode head."""
    found = list(names)
    return has_transformers_encoder(found) and any(name.startswith("decode_head.") for name in found)


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a transformers SegFormer's state dict, of either format, under the names of a :class:`Segmenter`.

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
        The contents of ``config.json`` and of ``preprocessor_config.json``, and the state dict in the format of the
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
