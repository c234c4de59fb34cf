"""The segmenters of ``transkd-predict``, loaded and fitted to what was asked for."""

from __future__ import annotations

from pathlib import Path

import torch

from transkd.cli.compute import find_device, logits_function
from transkd.cli.predict_classes import classes_for, renamed, size_of_run
from transkd.cli.predict_config import NATIVE_NEEDS_CROP, PredictConfig
from transkd.cli.windows import window
from transkd.errors import ConfigError
from transkd.evaluation.inference import Inference
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel, load_model
from transkd.options import SMALLEST_SIDE
from transkd.prediction.drawing import Drawer
from transkd.prediction.network import Network, Size
from transkd.prediction.outputs import Model

GENERIC_FOLDERS = ("student", "model")
MOST_IDS = 256


def load_predictors(config: PredictConfig) -> tuple[Model, Model | None, list[str]]:
    """Load the model and the second one.

    Args:
        config: what was asked for.

    Returns:
        The model, the second one where there is one, and notes on what was chosen for them.

    Raises:
        ConfigError: a model cannot give what was asked for.
        WeightsError: a model cannot be loaded.
    """
    device = find_device(config.device)
    notes: list[str] = []
    first = _predictor(config, config.model, device, notes)
    second = None if config.model2 is None else _predictor(config, config.model2, device, notes)
    return first, second, notes


def _predictor(config: PredictConfig, source: str, device: torch.device, notes: list[str]) -> Model:
    model = load_model(source, threads=config.threads)
    gives_logits = isinstance(model, Segmenter) or model.result == "logits"
    if not gives_logits and (wanting := _need_scores(config)):
        raise ConfigError(
            f"{source} gives classes without scores, which {' and '.join(wanting)} need: export it again with "
            "result=logits, or use the model that it was made from"
        )
    if "ids" in config.kinds and model.num_classes > MOST_IDS:
        raise ConfigError(f"{source} has {model.num_classes} classes, but ids are written with 8 bits a pixel")
    size, least = _sizes(config, source, model, notes)
    network = Network(
        logits_function(model, device, config.precision) if gives_logits else None,
        model.predict,
        device if isinstance(model, Segmenter) else torch.device("cpu"),
        size=size,
        least=least,
        views=_views(config, source, size, notes),
        batch_size=config.batch_size,
        confidence="confidence" in config.kinds and source == config.model,
    )
    classes = classes_for(model, source, config.classes)
    if config.classes is not None and (change := renamed(model, classes)):
        notes.append(f"classes={config.classes}: {change} ({source})")
    return Model(network, Drawer(title(source), classes, config.opacity, config.legend))


def _need_scores(config: PredictConfig) -> list[str]:
    """Name what was asked for that classes alone cannot give."""
    scales = f"scales=[{','.join(f'{scale:g}' for scale in config.scales)}]"
    asked = {
        "confidences": "confidence" in config.kinds,
        "inference=slide": config.inference == "slide",
        scales: config.scales != [1.0],
        "flip=true": config.flip,
    }
    return [what for what, is_asked in asked.items() if is_asked]


def _views(config: PredictConfig, source: str, size: Size, notes: list[str]) -> Inference:
    """Return windows, scales and flip, and note the windows where nobody chose them."""
    if config.inference == "whole":
        return Inference(scales=tuple(config.scales), flip=config.flip)
    crop = window(config.crop, size)
    if crop is None:
        raise ConfigError(NATIVE_NEEDS_CROP)
    views = Inference(crop, config.stride, tuple(config.scales), config.flip)
    assert views.steps is not None
    if any(step > side for side, step in zip(crop, views.steps, strict=True)):
        raise ConfigError(f"stride={_listed(views.steps)} leaves gaps between windows of {_listed(crop)}")
    if config.crop is None:
        notes.append(f"{source} looks through windows of {_listed(crop)} pixels, {_listed(views.steps)} apart")
    return views


def _sizes(
    config: PredictConfig, source: str, model: Segmenter | ExportedModel, notes: list[str]
) -> tuple[Size, tuple[int, int]]:
    """Return what pictures are resized to, and the smallest size that the model takes."""
    size = None if config.size == "native" else config.size
    least = (SMALLEST_SIDE, SMALLEST_SIDE)
    only = None if isinstance(model, Segmenter) else model.size
    if only is not None:
        return _only_size(config, source, only)
    if config.size is None and (run := size_of_run(source)):
        notes.append(
            f"{source} sees images with a short side of {run[0]} pixels, as {run[1]} says (size=native: as they are)"
        )
        return run[0], least
    return size, least


def _only_size(config: PredictConfig, source: str, only: tuple[int, int]) -> tuple[Size, tuple[int, int]]:
    """Return sizes for a file that takes a single one."""
    shown = _listed(only)
    if config.scales != [1.0]:
        raise ConfigError(f"{source} takes images of {shown} only, and scales are others: leave scales out")
    if config.inference == "slide":
        if config.crop != only:
            raise ConfigError(f"{source} takes images of {shown} only: use crop={shown}")
        return (None if config.size == "native" else config.size), only
    if config.size not in (None, only):
        raise ConfigError(f"{source} takes images of {shown} only: leave size out, or use inference=slide crop={shown}")
    return only, only


def _listed(sides: tuple[int, int]) -> str:
    return f"[{sides[0]},{sides[1]}]"


def title(source: str) -> str:
    """Return what pictures call a model: the run's name for a run's folder, else the last part of its path."""
    path = Path(source)
    if path.name in GENERIC_FOLDERS:
        absolute = path.expanduser().absolute()
        return f"{absolute.parent.name}/{path.name}"
    return path.name
