"""The LightningModule that distils a frozen teacher into a student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from transkd.distillation import DistillationLoss, create_loss
from transkd.errors import ConfigError
from transkd.evaluation import match_classes, select_outputs
from transkd.models import Segmenter, Taps, create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone
from transkd.training.frozen_teacher import TeacherSlot
from transkd.training.segmentation_module import Batch, SegmentationModule, Terms

LossSetting = float | Mapping[str, Any] | DistillationLoss

RANDOM_TEACHER = (
    "the teacher '{name}' has RANDOM weights: it teaches nothing, and the scores of this run mean nothing. "
    "Fit for a smoke run only."
)


class DistillModule(TeacherSlot, SegmentationModule):
    """Train a student on labels and on a frozen teacher's taps.

    The total is the task loss plus the weighted sum of the distillation losses (TransKD, section III); every term
    is logged by name. The adapters of the losses train with the student and stay out of it: ``module.student``
    is the bare segmenter.

    Args:
        student: a segmenter, or a registered name such as ``"mit_b0"``.
        teacher: a segmenter, the source of a saved one (see ``load_segmenter``), or a registered name, which gives
            a teacher with random weights (for smoke runs; it warns).
        losses: name of a registered loss -> its weight, or its options with ``weight`` among them; or any name -> a
            loss that was created by hand (such as one of :func:`transkd.load_release`), alone at weight 1 or as
            ``{"loss": loss, "weight": w}``.
        **options: as :class:`SegmentationModule` takes them.

    Raises:
        ConfigError: for an unknown loss or option, or for a loss that compares logits where the classes of
            student and teacher differ and cannot be matched by name.

    Example:
        >>> module = DistillModule(student="mit_b0", teacher="runs/teacher/model", losses={"csf": 1.0, "ea": 1.0})
        >>> lightning.Trainer(max_epochs=10).fit(module, SceneDataModule("camvid", root="data/camvid"))
        >>> module.student.save_pretrained("out/student")
    """

    def __init__(
        self,
        student: Segmenter | str,
        teacher: Segmenter | str | Path,
        losses: Mapping[str, LossSetting],
        **options: Any,
    ) -> None:
        teacher_segmenter = _resolve_teacher(teacher, options.get("num_classes"))
        if isinstance(student, str):
            student = create_segmenter(
                student,
                options.pop("num_classes", None) or teacher_segmenter.num_classes,
                class_names=options.get("class_names") or teacher_segmenter.class_names,
            )
        super().__init__(student, **options)
        self.hold_teacher(teacher_segmenter)
        self.losses = nn.ModuleDict()
        for name, setting in losses.items():
            weight, loss = _resolve_loss(name, setting, student, teacher_segmenter)
            self.losses[name] = loss
            self.loss_weights[name] = weight
        required = {what for loss in self.distillation_losses().values() for what in loss.requires}
        self.needs_logits = "logits" in required
        self.class_match = match_classes(
            student.class_names, student.num_classes, teacher_segmenter.class_names, teacher_segmenter.num_classes
        )
        if self.needs_logits:
            self._check_classes(teacher_segmenter)

    def _check_classes(self, teacher: Segmenter) -> None:
        if self.class_match is not None and (self.class_match.complete or len(self.class_match.ours) > 1):
            return
        comparing = [name for name, loss in self.distillation_losses().items() if "logits" in loss.requires]
        named = self.student.class_names is not None and teacher.class_names is not None
        raise ConfigError(
            f"{', '.join(comparing)} compares logits, but the teacher has {teacher.num_classes} classes and the "
            f"student {self.student.num_classes}, "
            + ("and they share fewer than two names" if named else "and not both have names to match them by")
            + ": use a teacher of the same classes, or losses on features"
        )

    @property
    def student(self) -> Segmenter:
        """The bare segmenter that trains."""
        return self.segmenter

    def distillation_losses(self) -> dict[str, DistillationLoss]:
        """Return the distillation losses by name."""
        return {name: loss for name, loss in self.losses.items() if isinstance(loss, DistillationLoss)}

    def configure_model(self) -> None:
        """Set memory format and compilation of student and teacher."""
        compile_teacher = self.compile_segmenter
        super().configure_model()
        if compile_teacher:
            self.teacher.segmenter.backbone.compile()

    def loss_terms(self, batch: Batch) -> Terms:
        """Return the cross-entropy and each distillation loss of a batch, unweighted."""
        images = self.images(batch)
        student = self.segmenter.taps(images, logits=True)
        assert student.logits is not None
        terms = {"ce": self.task_loss(student.logits, batch["label"])}
        if self.losses:
            teacher = self.teacher.taps(images, logits=self.needs_logits)
            student, teacher = self._on_shared_classes(student, teacher)
            terms |= {name: loss(student, teacher) for name, loss in self.losses.items()}
        return terms

    def _on_shared_classes(self, student: Taps, teacher: Taps) -> tuple[Taps, Taps]:
        """Return both taps with the logits of the classes that both have, in the same order."""
        match = self.class_match
        if match is None or match.complete or student.logits is None or teacher.logits is None:
            return student, teacher
        return (
            replace(student, logits=select_outputs(student.logits, match.ours)),
            replace(teacher, logits=select_outputs(teacher.logits, match.theirs)),
        )


def _resolve_teacher(teacher: Segmenter | str | Path, num_classes: int | None) -> Segmenter:
    if isinstance(teacher, Segmenter):
        return teacher
    if isinstance(teacher, str) and _is_backbone(teacher):
        rank_zero_warn(RANDOM_TEACHER.format(name=teacher))
        return create_segmenter(teacher, num_classes or 19)
    return load_segmenter(teacher)


def _is_backbone(name: str) -> bool:
    if Path(name).exists() or "/" in name:
        return False
    try:
        find_backbone(name)
    except ConfigError:
        return False
    return True


def _resolve_loss(
    name: str, setting: LossSetting, student: Segmenter, teacher: Segmenter
) -> tuple[float, DistillationLoss]:
    if isinstance(setting, DistillationLoss):
        return 1.0, setting
    options = dict(setting) if isinstance(setting, Mapping) else {"weight": setting}
    weight = options.pop("weight", 1.0)
    ready = options.pop("loss", None)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not torch.isfinite(torch.tensor(weight)):
        raise ConfigError(f"losses.{name}: the weight must be a number, not {weight!r}")
    if ready is None:
        return float(weight), create_loss(name, student=student, teacher=teacher, **options)
    if not isinstance(ready, DistillationLoss) or options:
        raise ConfigError(
            f"losses.{name}: loss=… takes a DistillationLoss that was made by hand, and no options with it"
        )
    return float(weight), ready
