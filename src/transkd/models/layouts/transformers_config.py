"""The config of a transformers SegFormer and of its image processor: into a segmenter's arguments and out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transkd.errors import ConfigError, WeightsError
from transkd.models.layouts.architecture import mit_name
from transkd.models.segmenter import Segmenter

TRANSFORMERS_EPS = 1e-5  # of torch.nn.LayerNorm, which its SegFormer uses as it is, whatever layer_norm_eps says
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

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
            f"{where} is a SegFormer that transformers made to measure: {'; '.join(odd)}. Only MiT-B0 to B5 can be "
            "loaded; train or convert one of those"
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
    mean, std = processor.get("image_mean") or IMAGENET_MEAN, processor.get("image_std") or IMAGENET_STD
    if len(mean) != 3 or len(std) != 3 or not all(isinstance(value, int | float) for value in [*mean, *std]):
        raise WeightsError(
            f"{where}: image_mean {mean} and image_std {std} of preprocessor_config.json must have a number for each "
            "of red, green and blue"
        )
    return [value * scale for value in mean], [value * scale for value in std]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
