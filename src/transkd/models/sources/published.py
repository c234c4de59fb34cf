"""Segmenters as others published them: transformers, NVlabs, TransKD."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.formats.nvlabs import class_names_of, from_nvlabs, looks_like_nvlabs
from transkd.models.formats.recognise import classifier_classes, infer_config, mit_name, seems_to_be
from transkd.models.formats.transformers import (
    TRANSFORMERS_EPS,
    from_transformers,
    has_transformers_encoder,
    segmenter_config,
)
from transkd.models.formats.transkd import from_released, looks_released
from transkd.models.sources.found import Found
from transkd.models.sources.places import Place, read_weights
from transkd.models.weights import Shapes, read_json, shapes_of

PROCESSOR_FILE = "preprocessor_config.json"


def found_transformers(place: Place, config: Mapping[str, Any], source: str) -> Found:
    """Return the SegFormer that transformers saved, with its normalisation and label names.

    Raises:
        WeightsError: it is a classifier, of an architecture of its own, or its files are missing or damaged.
    """
    if "SegformerForImageClassification" in (config.get("architectures") or []):
        backbone = mit_name(config.get("hidden_sizes", ()), config.get("depths", ()))
        raise classifier_refused(place.name, "a SegFormer classifier of transformers, with no decode head", backbone)
    arguments = transformers_arguments(place, config)
    state = read_weights(place)
    _check_decode_head(state, place.name)
    return Found(arguments, from_transformers(state), source, f"{place.name}/config.json", place.name)


def transformers_arguments(place: Place, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the segmenter that a transformers SegFormer's config and image processor describe.

    Raises:
        WeightsError: it is of an architecture of its own, or its configs are not valid.
    """
    processor = place.find(PROCESSOR_FILE)
    try:
        return segmenter_config(config, None if processor is None else read_json(processor), place.name)
    except WeightsError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"config.json or {PROCESSOR_FILE} of {place.name} is not valid: {error}") from error


def found_bare(
    state: Mapping[str, Tensor], checkpoint: Any, source: str, arguments: Mapping[str, Any] | None = None
) -> Found:
    """Return the segmenter of a bare state dict, by its names and shapes.

    Args:
        state: the tensors.
        checkpoint: all that the file holds, which may name the classes.
        source: the file, for messages.
        arguments: the segmenter's arguments where the file or a config beside it says them.

    Raises:
        WeightsError: it is of nothing that can be loaded; the message says what it seems to be.
    """
    tensors, extra = _in_our_names(state, checkpoint, source)
    config = arguments or infer_config(shapes_of(tensors))
    if config is None:
        raise WeightsError(
            f"{source} holds a segmenter whose architecture its tensors alone do not tell: put its config.json "
            "beside it"
        )
    if len(extra.get("class_names") or ()) != config["num_classes"]:
        extra.pop("class_names", None)
    said = f"the config of {source}" if arguments else "its own names and shapes"
    return Found({**extra, **config}, tensors, source, said, source)


def is_transformers_segmenter(names: Shapes | Mapping[str, Tensor]) -> bool:
    """Return whether tensors of these names are a transformers SegFormer, encoder and decode head."""
    return has_transformers_encoder(names) and any(name.startswith("decode_head.") for name in names)


def classifier_refused(where: str, what: str, backbone: str | None = None) -> WeightsError:
    """Return the error for a classifier where a segmenter is wanted; it says how to use the backbone.

    Args:
        where: the file, folder or repository.
        what: what it is.
        backbone: name of its backbone where that is known.
    """
    pretrained = f'"{where}"' if Path(where).exists() else "True"
    return WeightsError(
        f"{where} is {what}, and a segmenter is wanted. Its backbone can still be used, under a new decode head: "
        "student.weights=pretrained (or teacher.weights=pretrained) takes the backbone's published weights; in Python, "
        f'transkd.create_segmenter("{backbone or "…"}", num_classes=…, pretrained={pretrained})'
    )


def _in_our_names(
    state: Mapping[str, Tensor], checkpoint: Any, source: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors by our names, and what their layout says of the segmenter besides its architecture."""
    if "head.classifier.weight" in state and any(name.startswith("backbone.") for name in state):
        return dict(state), {}
    if is_transformers_segmenter(state):
        return from_transformers(state), {"norm_eps": TRANSFORMERS_EPS}
    if looks_like_nvlabs(state):
        return from_nvlabs(state), {"class_names": class_names_of(checkpoint)}
    if looks_released(state):
        try:
            config, tensors = from_released(state)
        except WeightsError as error:
            raise WeightsError(f"{source}: {error}") from error
        return tensors, config
    raise _refused(state, source)


def _refused(state: Mapping[str, Tensor], source: str) -> WeightsError:
    shapes = shapes_of(state)
    what = seems_to_be(shapes)
    if classifier_classes(shapes) is not None or has_transformers_encoder(state):
        return classifier_refused(source, what)
    if any(name.startswith("decode_head.fusion_conv.") for name in state):
        return WeightsError(
            f"{source} is a SegFormer of mmsegmentation, whose head has a batch norm and a ReLU in each stage, which "
            "the published SegFormer has not: its outputs cannot be computed here. Take NVlabs' or Hugging Face's "
            "weights of the same network"
        )
    return WeightsError(f"{source} holds no segmenter that can be loaded: it seems to be {what}")


def _check_decode_head(state: Mapping[str, Tensor], where: str) -> None:
    if any(name.startswith("decode_head.") for name in state):
        return
    what = seems_to_be(shapes_of(state))
    if has_transformers_encoder(state):
        raise classifier_refused(where, what)
    raise WeightsError(f"the config.json of {where} is of a transformers SegFormer, but its weights seem to be {what}")
