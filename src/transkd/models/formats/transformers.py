"""SegFormers of transformers: their configs and image processors from and to a segmenter's, and export to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError
from transkd.models.formats.names import TRANSFORMERS
from transkd.models.formats.published import TRANSFORMERS_EPS
from transkd.models.formats.recognise import mit_name
from transkd.models.segmenter import Segmenter
from transkd.models.weights import plain_state

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


def segmenter_config(config: Mapping[str, Any], processor: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments of the :class:`Segmenter` that a transformers SegFormer is.

    Args:
        config: its ``config.json``; what is not in it is at transformers' defaults.
        processor: its ``preprocessor_config.json``, likewise.
        where: name of the source, for messages.

    Raises:
        WeightsError: it is not one of MiT-B0 to B5, or a value is not valid.
    """
    try:
        odd = [f"{key} {config[key]}, not {value}" for key, value in _MIT.items() if config.get(key, value) != value]
        channels, depths = config.get("hidden_sizes", [32, 64, 160, 256]), config.get("depths", [2, 2, 2, 2])
        backbone = mit_name(channels, depths)
        if backbone is None:
            odd.insert(0, f"hidden_sizes {channels} with depths {depths}, which no MiT-B0 to B5 has")
        if odd:
            raise WeightsError(
                f"{where} is a SegFormer of a custom architecture: {'; '.join(odd)}. Only MiT-B0 to B5 can be loaded; "
                "train or convert one of those"
            )
        labels = config.get("id2label") or {}
        names = [str(labels[key]) for key in sorted(labels, key=int)]
        mean, std = _normalisation(processor)
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"config.json or preprocessor_config.json of {where} is not valid: {error}") from error
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


def _placeholders(count: int) -> list[str]:
    return [f"LABEL_{index}" for index in range(count)]


def _normalisation(processor: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of images in [0, 1] that amount to the processor's arithmetic on 0 to 255."""
    factor = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1.0
    scale = 1.0 if abs(255 * factor - 1) < 1e-6 else 1 / (255 * factor)
    if not processor.get("do_normalize", True):
        return [0.0] * 3, [scale] * 3
    mean = processor.get("image_mean") or IMAGENET_DEFAULT_MEAN
    std = processor.get("image_std") or IMAGENET_DEFAULT_STD
    return [value * scale for value in mean], [value * scale for value in std]


def to_transformers(
    segmenter: Segmenter, size: tuple[int, int] | None = None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """Return the files of ``SegformerForSemanticSegmentation`` and ``SegformerImageProcessor`` with the same logits.

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
    backbone, head = segmenter.config["backbone"], segmenter.config["head"]
    if not backbone.startswith("mit_") or head != "segformer":
        raise ConfigError(
            f"a segmenter of backbone {backbone} and head {head} cannot become a Hugging Face SegFormer, which is "
            "mit_b0 to mit_b5 under the segformer head: use format=onnx or format=torch, or save_pretrained"
        )
    state = plain_state(segmenter)
    _scale_to_epsilon(segmenter.backbone, state)
    for name in [name for name in state if ".attn.kv." in name]:
        key, value = state.pop(name).chunk(2)
        state |= {name.replace(".kv.", ".k."): key, name.replace(".kv.", ".v."): value}
    published = {TRANSFORMERS.published(name): tensor.clone() for name, tensor in state.items()}
    return _segformer_config(segmenter), _processor_config(segmenter, size), published


def _segformer_config(segmenter: Segmenter) -> dict[str, Any]:
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


def _processor_config(segmenter: Segmenter, size: tuple[int, int] | None) -> dict[str, Any]:
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


def _scale_to_epsilon(backbone: nn.Module, state: dict[str, Tensor]) -> None:
    """Scale the input of each layer norm so that with transformers' epsilon its output is the same."""
    ratios = {
        f"backbone.{name.replace('_orig_mod.', '')}": (TRANSFORMERS_EPS / module.eps) ** 0.5
        for name, module in backbone.named_modules()
        if isinstance(module, nn.LayerNorm)
    }
    for norm, ratio in ratios.items():
        before, _, leaf = norm.rpartition(".")
        scaled: dict[str, float] = {}
        if norm.endswith(("patch_embed.norm", "downsample.norm")):
            # What starts a stage's residual stream is scaled as the norms that read it need.
            stage = "backbone.stages.0" if "patch_embed." in norm else before.removesuffix(".downsample")
            scaled = {f"{before}.proj": ratio, norm: ratios[f"{stage}.norm"]}
        elif norm.endswith(".attn.norm"):
            scaled = {f"{before}.sr": ratio}
        elif leaf == "norm1":
            scaled = {f"{before}.attn.proj": ratio, f"{before}.mlp.fc2": ratio}
        for layer, factor in scaled.items():
            if factor != 1:
                state[f"{layer}.weight"] = state[f"{layer}.weight"] * factor
                state[f"{layer}.bias"] = state[f"{layer}.bias"] * factor
