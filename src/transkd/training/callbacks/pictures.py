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
from torch import Tensor

from transkd.evaluation import scene_picture

Palette = Sequence[tuple[int, int, int]]


class ScenePictures(Callback):
    """Write image | label | teacher | student of ``count`` validation scenes as PNG, and into the loggers.

    The scenes are spread evenly over the split; the files are replaced at each validation.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], palette: Palette, *, count: int = 4) -> None:
        self.folder = Path(folder)
        self.class_names = class_names
        self.palette = palette
        self.count = count
        self._teacher_maps: dict[int, Any] = {}

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draw, on the first process only."""
        if trainer.sanity_checking or not trainer.is_global_zero or not self.count:
            return
        dataset: Any = trainer.datamodule.val_dataset  # type: ignore[attr-defined]
        teacher = getattr(pl_module, "teacher", None)
        self.folder.mkdir(parents=True, exist_ok=True)
        for index in spread(len(dataset), self.count):
            sample = dataset[index]
            batch = sample["image"][None].to(pl_module.device)
            maps = {"label": sample["label"].numpy()}
            if teacher is not None:
                if index not in self._teacher_maps:
                    self._teacher_maps[index] = predicted_classes(teacher.segmenter, batch)
                maps["teacher"] = self._teacher_maps[index]
            maps["prediction" if teacher is None else "student"] = predicted_classes(pl_module.segmenter, batch)
            image = sample["image"].permute(1, 2, 0).numpy()
            picture = scene_picture(image, maps, self.class_names, self.palette)
            name = dataset.samples[index].name.replace("/", "_")
            picture.save(self.folder / f"{name}.png")
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    pixels = np.asarray(picture)
                    logger.experiment.add_image(f"val/{name}", pixels, trainer.global_step, dataformats="HWC")
                elif isinstance(logger, WandbLogger):
                    logger.log_image(f"val/{name}", [picture])


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
