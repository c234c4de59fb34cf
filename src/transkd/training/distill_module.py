"""The LightningModule that distils a frozen teacher into a student."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from rich.console import Console
from torch import Tensor, nn

from transkd.distillation import DistillationLoss, create_loss
from transkd.distillation.registry import check_name, check_options
from transkd.errors import ConfigError
from transkd.evaluation import IGNORE_INDEX, match_classes, select_outputs
from transkd.models import Segmenter, Taps
from transkd.options import find_problems
from transkd.training.callbacks.losses import FirstGradients, LossTime
from transkd.training.schedules import LossWeight, Weighing, own_options, require_length
from transkd.training.segmentation_module import Batch, SegmentationModule, Terms
from transkd.training.segmenters import given_segmenter, given_teacher, is_source


class FrozenTeacher(nn.Module):
    """Hold a teacher in eval mode without gradients.

    Its segmenter is frozen in place: parameters no longer require gradients, and :meth:`train` leaves it in eval
    mode whatever it is called with.

    Args:
        segmenter: the teacher.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever ``mode`` is."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def taps(self, images: Tensor, *, logits: bool) -> Taps:
        """Return the teacher's taps; its head runs only for ``logits``."""
        taps: Taps = self.segmenter.taps(images, logits=logits)
        return taps

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the teacher's logits (B, K, H/4, W/4)."""
        logits: Tensor = self.segmenter(images)
        return logits


LossSetting = float | Mapping[str, Any] | DistillationLoss


class DistillModule(SegmentationModule):
    """Train a student on labels and on a frozen teacher's taps.

    The total is the task loss plus the weighted sum of the distillation losses (TransKD, section III); every term
    and its weight are logged by name. The adapters of the losses train with the student and stay out of it:
    ``module.student`` is the bare segmenter. A loss of weight 0 is left out, and a warning says so; one whose schedule
    makes its weight 0 for a while is computed all the same, and its adapters wait, for their gradient is 0 too.
    Parameters, state dict, optimiser, checkpoint, summaries and DDP do not know the teacher; it still follows the
    module to its device, dtype and memory format.

    Args:
        student: a segmenter, a registered name such as ``"mit_b0"``, which gives one with random weights and, if
            ``num_classes`` is not given, the teacher's classes, or the source of a saved one (see ``load_segmenter``).
        teacher: a segmenter, the source of a saved one (see ``load_segmenter``), or a registered name, which gives
            a teacher with random weights (for smoke runs; it warns).
        losses: name of a registered loss -> its weight, or its options with ``weight`` and ``schedule`` among them; or
            any name -> a loss that was created by hand (such as one of :func:`transkd.load_release`), alone at weight
            1 or as ``{"loss": loss, "weight": w, "schedule": s}``. A schedule is ``{"name": "constant"}``,
            ``{"name": "warm_up", "share": 0.1}``, ``{"name": "decay", "share": 0.5, "shape": "cosine"}`` or a list of
            such, whose factors multiply; see :mod:`transkd.training.schedules`.
        **options: as :class:`SegmentationModule` takes them.

    Raises:
        ConfigError: for an unknown loss, option or schedule, for a student and a teacher that share weights, or for a
            loss that compares logits where the classes of student and teacher differ and cannot be matched by name.

    Attributes:
        weights: of each loss, a function of the step.
        stopwatch: measures a step's parts while a callback requests it, None otherwise.
        console: where the table of the first steps' gradients is printed; None for standard output.
        measured_steps: how many first steps that is; 0: none are measured.

    Example:
        >>> module = DistillModule(student="mit_b0", teacher="runs/teacher/model", losses={"csf": 1.0, "ea": 1.0})
        >>> lightning.Trainer(max_epochs=10).fit(module, SceneDataModule("camvid", root="data/camvid"))
        >>> module.student.save_pretrained("out/student")
    """

    _slot: tuple[FrozenTeacher, ...] = ()  # a tuple keeps the teacher from being registered as a submodule

    def __init__(
        self,
        student: Segmenter | str | Path,
        teacher: Segmenter | str | Path,
        losses: Mapping[str, LossSetting],
        **options: Any,
    ) -> None:
        if not isinstance(losses, Mapping):
            raise ConfigError(f"DistillModule: losses maps names to weights, {{'csf': 1.0, 'ea': 1.0}}, not {losses!r}")
        classes, names, palette = options.pop("num_classes", None), options.get("class_names"), None
        theirs = given_teacher(teacher, classes)
        if isinstance(student, str) and not is_source(student) and classes in (None, theirs.num_classes):
            classes = theirs.num_classes
            names, palette = (names, None) if names else (theirs.class_names, theirs.palette)
        student = given_segmenter(student, classes, names, palette)
        held = {id(parameter) for parameter in theirs.parameters()}
        if any(id(parameter) in held for parameter in student.parameters()):
            raise ConfigError(
                "DistillModule: student and teacher share weights, which the teacher freezes: give two segmenters, "
                "copy.deepcopy(teacher) for one that starts as its copy"
            )
        super().__init__(student, **options)
        self._slot = (FrozenTeacher(theirs),)
        self.losses = nn.ModuleDict()
        self.weights: dict[str, LossWeight] = {}
        self.stopwatch: LossTime | None = None
        self.console: Console | None = None
        self.measured_steps = 3
        self._total_steps = float("inf")
        for name, setting in losses.items():
            weight, loss = _resolve_loss(name, setting, student, theirs)
            if weight.base == 0:
                rank_zero_warn(f"losses.{name} has weight 0: it is left out, and neither it nor its adapters train")
                continue
            self.losses[name] = loss
            self.weights[name] = weight
            self.loss_weights[name] = weight.base
        comparing = [name for name, loss in self.distillation_losses().items() if "logits" in loss.requires]
        self.needs_logits = bool(comparing)
        self.class_match = match = match_classes(
            student.class_names, student.num_classes, theirs.class_names, theirs.num_classes
        )
        if comparing and not (match is not None and (match.complete or len(match.ours) > 1)):
            named = student.class_names is not None and theirs.class_names is not None
            why = "they share fewer than two names" if named else "not both have names to match them by"
            raise ConfigError(
                f"{', '.join(comparing)} compares logits, but the teacher has {theirs.num_classes} classes and the "
                f"student {student.num_classes}, and {why}: use a teacher of the same classes, or losses on features"
            )

    @property
    def student(self) -> Segmenter:
        """The bare segmenter that trains."""
        return self.segmenter

    @property
    def teacher(self) -> FrozenTeacher:
        """The frozen teacher."""
        return self._slot[0]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        for teacher in self._slot:
            teacher._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call,no-any-return]

    def distillation_losses(self) -> dict[str, DistillationLoss]:
        """Return the distillation losses by name."""
        return {name: loss for name, loss in self.losses.items() if isinstance(loss, DistillationLoss)}

    def configure_model(self) -> None:
        """Set memory format and compilation of student and teacher."""
        if self.compile_segmenter:
            self.teacher.segmenter.backbone.compile()
        super().configure_model()

    def configure_callbacks(self) -> list[L.Callback]:
        """Return also what measures each loss: its first gradients on the student, and its time."""
        measuring = [FirstGradients(self.console, self.measured_steps), LossTime()] if self.losses else []
        return [*super().configure_callbacks(), *measuring]

    def on_fit_start(self) -> None:
        """Note the length of the training, which schedules of weights span."""
        super().on_fit_start()
        self._total_steps = self.trainer.estimated_stepping_batches
        for name, weight in self.weights.items():
            if not weight.is_constant:
                require_length(self._total_steps, f"the schedule of losses.{name}")

    def current_weights(self) -> dict[str, float]:
        """Return the weight of each distillation loss at the trainer's optimiser step."""
        step = self.trainer.global_step
        return {name: weight.at(step, self._total_steps) for name, weight in self.weights.items()}

    def loss_terms(self, batch: Batch) -> Terms:
        """Return the cross-entropy and each distillation loss of a batch, unweighted."""
        images = self.images(batch)
        student = self.segmenter.taps(images, logits=True)
        assert student.logits is not None
        terms = {"ce": self.task_loss(student.logits, batch["label"])}
        if not self.losses:
            return terms
        with self._timed("teacher"):
            teacher = self.teacher.taps(images, logits=self.needs_logits)
        with self._timed("losses"):
            student, teacher = self.on_shared_classes(student, teacher)
            for name, loss in self.distillation_losses().items():
                terms[name] = loss.compare(student, teacher, self._labels_for(loss, batch["label"]))
        if self.stopwatch is not None:
            self.stopwatch.end_at_gradient_of(terms["ce"], "losses")
        return terms

    def _timed(self, part: str) -> AbstractContextManager[None]:
        return nullcontext() if self.stopwatch is None else self.stopwatch.measure(part)

    def _labels_for(self, loss: DistillationLoss, labels: Tensor) -> Tensor:
        """Return labels as channels of the logits that a loss compares; other losses get them as they are."""
        match = self.class_match
        if "logits" not in loss.requires or match is None or match.complete:
            return labels
        channels = torch.full((256,), IGNORE_INDEX, dtype=torch.uint8)
        channels[list(match.ours)] = torch.arange(len(match.ours), dtype=torch.uint8)
        return channels.to(labels.device)[labels.long()]

    def on_shared_classes(self, student: Taps, teacher: Taps) -> tuple[Taps, Taps]:
        """Return both taps with the logits of the classes that both have, in the same order."""
        match = self.class_match
        if not self.needs_logits or match is None or match.complete:
            return student, teacher
        assert student.logits is not None
        assert teacher.logits is not None
        return (
            replace(student, logits=select_outputs(student.logits, match.ours)),
            replace(teacher, logits=select_outputs(teacher.logits, match.theirs)),
        )


def _resolve_loss(
    name: str, setting: LossSetting, student: Segmenter, teacher: Segmenter
) -> tuple[LossWeight, DistillationLoss]:
    check_name(name)
    if isinstance(setting, DistillationLoss):
        return LossWeight(1.0), setting
    options = dict(setting) if isinstance(setting, Mapping) else {"weight": setting}
    loss = options.pop("loss", None)
    own = own_options(options)
    if loss is None:
        check_options(name, options, beside=Weighing)
        loss = create_loss(name, student=student, teacher=teacher, **own)
    elif own or not isinstance(loss, DistillationLoss):
        raise ConfigError(
            f"losses.{name}: loss=… takes a DistillationLoss that was made by hand, and no options with it"
        )
    weighing = {key: value for key, value in options.items() if key not in own}
    if problems := find_problems(Weighing, weighing):
        raise ConfigError("; ".join(f"losses.{name}.{problem}" for problem in problems))
    return Weighing.model_validate(weighing).loss_weight(), loss
