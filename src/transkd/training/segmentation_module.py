"""The LightningModule that trains one segmenter on labels, for teachers and plain students, and its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, get_args

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer

from transkd.data import SceneDataModule
from transkd.errors import ConfigError
from transkd.evaluation import IGNORE_INDEX, Resolution, Scores, classes_and_labels, match_resolution, score_meter
from transkd.models import Segmenter
from transkd.training.callbacks.timing import Throughput
from transkd.training.callbacks.weights import FiniteGuard
from transkd.training.schedules import PolyWarmUp, Schedule
from transkd.training.segmenters import given_segmenter

Batch = dict[str, Tensor]
Terms = dict[str, Tensor]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]

default_optimizer: OptimizerFactory = partial(AdamW, lr=5e-4, betas=(0.9, 0.999), weight_decay=0.01)


class SegmentationLoss(nn.Module):
    """Cross-entropy of logits against a label map, in fp32 whatever the precision around it.

    Each labelled pixel counts with its class's weight; the sum is divided by the sum of those weights. A batch
    without a labelled pixel gives 0 (torch's own mean would give NaN).

    Args:
        class_weights: one weight a class, or None for equal weights.
        resolution: ``"logit"`` nearest-resizes the labels to the logits (TransKD's recipe), ``"label"`` resizes
            the logits bilinearly to the labels.
    """

    weight: Tensor | None

    def __init__(self, class_weights: Sequence[float] | None = None, resolution: Resolution = "label") -> None:
        super().__init__()
        weight = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        self.register_buffer("weight", weight, persistent=False)
        self.resolution: Resolution = resolution

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: (B, K, h, w).
            labels: (B, H, W) class ids, 255 is ignored.
        """
        with torch.autocast(logits.device.type, enabled=False):
            logits, labels = match_resolution(logits.float(), labels, self.resolution)
            target = labels.long()
            total = functional.cross_entropy(logits, target, self.weight, ignore_index=IGNORE_INDEX, reduction="sum")
            labelled = target != IGNORE_INDEX
            share = labelled.float() if self.weight is None else self.weight[target * labelled] * labelled
            mass = share.sum()
            return torch.where(mass > 0, total / mass.clamp_min(torch.finfo(torch.float32).tiny), total)


class SegmentationModule(L.LightningModule):
    """Train a segmenter with class-weighted cross-entropy and validate it by mean IoU.

    A batch is ``{"image": (B, 3, H, W) uint8, "label": (B, H, W) uint8}`` with 255 for ignored pixels.

    Args:
        segmenter: a segmenter, a registered name such as ``"mit_b0"`` (then ``num_classes`` is needed), or the source
            of a saved one (see ``load_segmenter``).
        num_classes: classes of a segmenter that is given by name; what a saved one has to have.
        class_names: what scores are reported under; the segmenter's own names by default.
        class_weights: weight of each class in the cross-entropy.
        loss_resolution: where the cross-entropy is taken, ``"label"`` or ``"logit"``.
        score_resolution: where validation scores are taken, likewise.
        optimizer: from parameters to optimiser; AdamW with lr 5e-4 and weight decay 0.01 by default.
        schedule: learning-rate schedule; polynomial with warm-up by default.
        channels_last: keep images and convolutions in channels-last memory format.
        compile: compile backbone and head with torch.compile.

    Attributes:
        segmenter: the network that trains.
        weights_from: where each segmenter's weights come from, a line each; empty if unknown.
        last_scores: :class:`Scores` of the last validation, None before the first.
        is_final_scoring: validate what the run saved: without autocast, and logged as ``final/…``.
        loss_weights: what each loss term but the cross-entropy is weighted with, before any schedule.
        last_terms: the unweighted loss terms of the last training step, by name; until its backward pass with their
            graph.
    """

    def __init__(
        self,
        segmenter: Segmenter | str | Path,
        *,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        class_weights: Sequence[float] | None = None,
        loss_resolution: Resolution = "label",
        score_resolution: Resolution = "label",
        optimizer: OptimizerFactory | None = None,
        schedule: Schedule | None = None,
        channels_last: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("loss_resolution", loss_resolution), ("score_resolution", score_resolution)):
            if value not in get_args(Resolution):
                raise ConfigError(f"{name} is {value!r}; give 'label' or 'logit'")
        self.segmenter = segmenter = given_segmenter(segmenter, num_classes, class_names)
        count = segmenter.num_classes
        self.class_names = tuple(class_names or segmenter.class_names or (f"class_{k}" for k in range(count)))
        for what, values in (("names", self.class_names), ("weights", class_weights)):
            if values is not None and len(values) != count:
                raise ConfigError(f"{len(values)} class {what} for a segmenter of {count} classes")
        self.task_loss = SegmentationLoss(class_weights, loss_resolution)
        self.score_resolution: Resolution = score_resolution
        self.optimizer_factory = optimizer or default_optimizer
        self.schedule = schedule or PolyWarmUp()
        self.channels_last = channels_last
        self.compile_segmenter = compile
        self.loss_weights: dict[str, float] = {}
        self.confusion = score_meter(count)
        self.weights_from: dict[str, str] = {}
        self.last_scores: Scores | None = None
        self.is_final_scoring = False
        self.last_terms: Terms = {}

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, K, H/4, W/4) of images (B, 3, H, W)."""
        logits: Tensor = self.segmenter(images)
        return logits

    def configure_callbacks(self) -> list[L.Callback]:
        """Return the callbacks of every training: the guard against NaN, and rates."""
        return [FiniteGuard(), Throughput()]

    def configure_model(self) -> None:
        """Set memory format and compilation, once the module is on its device."""
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        if self.compile_segmenter:
            self.segmenter.backbone.compile()
            self.segmenter.head.compile()
            self.compile_segmenter = False

    def setup(self, stage: str) -> None:
        """Compare the number of classes with the data's, where these are known.

        Raises:
            ConfigError: they differ.
        """
        del stage
        data, count = getattr(self.trainer, "datamodule", None), self.segmenter.num_classes
        if isinstance(data, SceneDataModule) and data.classes.num_classes != count:
            raise ConfigError(
                f"the segmenter has {count} classes, and {data.name} has {data.classes.num_classes}: make it with "
                f"num_classes={data.classes.num_classes}"
            )

    def on_fit_start(self) -> None:
        """Train in training mode, also a segmenter that was loaded, which comes in evaluation mode."""
        self.train()

    def images(self, batch: Batch) -> Tensor:
        """Return a batch's images (B, 3, H, W) in the chosen memory format."""
        images = batch["image"]
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def loss_terms(self, batch: Batch) -> Terms:
        """Return the unweighted loss terms of a batch by name, each a scalar."""
        return {"ce": self.task_loss(self.segmenter(self.images(batch)), batch["label"])}

    def current_weights(self) -> dict[str, float]:
        """Return this step's weight of each loss term; a term that is not among them weighs 1."""
        return dict(self.loss_weights)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted sum of all loss terms, and log each of them and its weight."""
        self.last_terms = terms = self.loss_terms(batch)
        weights = self.current_weights()
        total = torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
        values = {f"train/{name}": term.detach() for name, term in terms.items()}
        self.log_dict(values, on_step=True, on_epoch=False, prog_bar=len(values) > 1)
        self.log_dict({f"train/weight/{name}": w for name, w in weights.items()}, on_step=True, on_epoch=False)
        self.log("train/loss", total.detach(), on_step=True, on_epoch=False, prog_bar=True)
        return total

    def on_before_backward(self, loss: Tensor) -> None:
        """Let go of the graph of the terms, which callbacks have seen by now."""
        del loss
        self.last_terms = {name: term.detach() for name, term in self.last_terms.items()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a validation batch into the confusion matrix."""
        with torch.autocast(self.device.type, enabled=False) if self.is_final_scoring else nullcontext():
            logits = self.segmenter(self.images(batch))
        self.confusion.update(*classes_and_labels(logits, batch["label"], self.score_resolution))

    def on_validation_epoch_end(self) -> None:
        """Log mean IoU, pixel accuracy and the IoU of each class that occurs, the same on every process.

        The scores of what a run saved are ``final/…``: they are no further point of its learning curve.
        """
        self.last_scores = scores = Scores.from_confusion(self.confusion.compute(), self.class_names)
        self.confusion.reset()
        prefix = "final" if self.is_final_scoring else "val"
        self.log(f"{prefix}/miou", scores.miou, prog_bar=True)
        self.log(f"{prefix}/pixel_accuracy", scores.pixel_accuracy)
        if not self.is_final_scoring:
            self.log_dict({f"val/iou/{name}": iou for name, iou in scores.per_class.items() if iou is not None})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the segmenter's config, so that ``load_segmenter`` needs nothing but the file."""
        checkpoint["segmenter"] = dict(self.segmenter.config)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Return everything that the optimiser updates."""
        return [p for p in self.parameters() if p.requires_grad]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser and its schedule."""
        optimizer = self.optimizer_factory(self.trainable_parameters())
        scheduler = self.schedule.bind(optimizer, self.trainer.estimated_stepping_batches)
        config: Any = {"scheduler": scheduler, "interval": self.schedule.interval}
        return {"optimizer": optimizer, "lr_scheduler": config}
