"""Pictures of the same few validation scenes after every validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image
from torch import Tensor

from transkd.evaluation import scene_picture

Palette = Sequence[tuple[int, int, int]]


class ScenePictures(Callback):
    """Write image | label | teacher | student of some validation scenes as PNG, and into the loggers.

    The files are replaced at each validation, so they show the last one.

    Args:
        folder: where the pictures go.
        class_names: of the dataset.
        palette: of the dataset.
        count: how many scenes, spread evenly over the split.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], palette: Palette, *, count: int = 4) -> None:
        self.folder = Path(folder)
        self.class_names = class_names
        self.palette = palette
        self.count = count
        self._teacher_maps: dict[int, Any] = {}

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, on the first process only."""
        if trainer.sanity_checking or not trainer.is_global_zero or not self.count:
            return
        dataset: Any = trainer.datamodule.val_dataset  # type: ignore[attr-defined]
        for index in spread(len(dataset), self.count):
            sample = dataset[index]
            picture = self._draw(pl_module, index, sample["image"], sample["label"])
            name = dataset.samples[index].name.replace("/", "_")
            self.folder.mkdir(parents=True, exist_ok=True)
            picture.save(self.folder / f"{name}.png")
            _log(trainer, f"val/{name}", picture)

    def _draw(self, pl_module: L.LightningModule, index: int, image: Tensor, label: Tensor) -> Image.Image:
        batch = image[None].to(pl_module.device)
        maps = {"label": label.numpy()}
        teacher = getattr(pl_module, "teacher", None)
        if teacher is not None:
            if index not in self._teacher_maps:
                self._teacher_maps[index] = predicted_classes(teacher.segmenter, batch)
            maps["teacher"] = self._teacher_maps[index]
        segmenter: Any = pl_module.segmenter
        maps["student" if teacher is not None else "prediction"] = predicted_classes(segmenter, batch)
        return scene_picture(image.permute(1, 2, 0).numpy(), maps, self.class_names, self.palette)


def spread(total: int, count: int) -> list[int]:
    """Return at most ``count`` indices spread evenly over ``range(total)``."""
    if count >= total:
        return list(range(total))
    return [int(i) for i in (np.arange(count) + 0.5) * total / count]


@torch.no_grad()
def predicted_classes(model: Any, images: Tensor) -> Any:
    """Return the class ids (H, W), uint8, that a model predicts for a batch of one image.

    Args:
        model: a segmenter, which predicts in evaluation mode on its own device, or an exported file.
        images: (1, 3, H, W) uint8.
    """
    if not hasattr(model, "train"):
        return model.predict(images)[0].numpy()
    mode = model.training
    model.eval()
    try:
        return model.predict(images.to(next(model.parameters()).device))[0].to("cpu", torch.uint8).numpy()
    finally:
        model.train(mode)


def _log(trainer: L.Trainer, name: str, picture: Image.Image) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, np.asarray(picture), trainer.global_step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [picture])
