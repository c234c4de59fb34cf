"""A validation scene as a picture: image, label, and what some models make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from transkd.data import SceneDataModule
from transkd.errors import ConfigError
from transkd.evaluation import scene_picture
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel

TAKEN = ("image", "label")
WIDEST = 8192


def draw_predictions(
    data: SceneDataModule,
    models: Mapping[str, Segmenter | ExportedModel],
    scene: int = 0,
    *,
    panel_width: int = 256,
) -> Image.Image:
    """Draw a scene of the validation split: image, label and predictions side by side, with a legend.

    Args:
        data: where the scene, the class names and the colours are from.
        models: title -> a segmenter, or an exported file as :func:`transkd.load_model` reads it. Its outputs are the
            classes of ``data``, in their order.
        scene: its place in the split.
        panel_width: width of each panel in pixels.

    Returns:
        The picture; a notebook shows it.

    Raises:
        ConfigError: a scene that the split does not have, a model of another number of classes, or what is no model.
    """
    if not 1 <= panel_width <= WIDEST:
        raise ConfigError(f"draw_predictions: panel_width is {panel_width}; it must be 1 to {WIDEST}")
    for title in models.keys() & TAKEN:
        raise ConfigError(f"draw_predictions: '{title}' is the title of another panel: call the model something else")
    scenes = len(data.val_dataset)
    if not 0 <= scene < scenes:
        raise ConfigError(f"scene {scene}: the validation split has {scenes}, from 0 to {scenes - 1}")
    for title, model in models.items():
        if model.num_classes != data.classes.num_classes:
            raise ConfigError(
                f"{title} has {model.num_classes} classes, and the data has {data.classes.num_classes}: their "
                "colours would say nothing"
            )
    sample = data.val_dataset[scene]
    maps = {"label": sample["label"].numpy()}
    maps |= {title: _classes(model, sample["image"][None]) for title, model in models.items()}
    image = sample["image"].permute(1, 2, 0).numpy()
    return scene_picture(image, maps, data.classes.names, data.classes.palette, panel_width=panel_width)


def _classes(model: Segmenter | ExportedModel, images: Tensor) -> Any:
    """Return the class ids (H, W) of one image, by a segmenter in evaluation mode on its own device."""
    if not isinstance(model, nn.Module):
        return model.predict(images)[0].numpy()
    mode = model.training
    model.eval()
    try:
        return model.predict(images.to(next(model.parameters()).device))[0].to("cpu", torch.uint8).numpy()
    finally:
        model.train(mode)
