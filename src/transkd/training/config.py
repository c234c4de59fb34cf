"""The config of a training run: every option with its type, default and help, and what makes a config wrong.

Light to import, for ``--help`` reads it: registries, torch and Lightning are imported by the checks that need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from transkd.errors import ConfigError, DataError
from transkd.options import (
    REQUIRED,
    Count,
    NonNegativeFloat,
    OpenSection,
    Positive,
    PositiveFloat,
    Problem,
    Section,
    Share,
    Size,
    as_clause,
    group,
    nested,
    option,
)

Resolution = Literal["label", "logit"]


class DataConfig(Section):
    """What is trained and scored on."""

    name: str = option(REQUIRED, "The dataset's registered name.")
    root: str = option(REQUIRED, "The dataset's folder.")
    size: Size = option(
        REQUIRED,
        "What images are resized to: [height, width], a short side in pixels, or native: not at all.",
    )
    batch_size: Positive = option(8, "Images of one optimiser step on one device.")
    val_batch_size: Positive = option(8, "Images of one validation step.")
    workers: Count = option(2, "Processes that read and augment; 0 reads in the training process.")
    train_split: str = option("train", "The split to train on.")
    val_split: str = option("val", "The split to validate on.")
    label_size: Literal["image", "own"] = option(
        "image", "Validation labels: resized with the image (image), or kept at their file's size (own)."
    )
    options: dict[str, Any] = option({}, "Options of the dataset itself.")

    def problems(self) -> Iterator[Problem]:
        """Check the dataset's name, root and options."""
        from transkd.data.datasets import dataset_problems

        return dataset_problems(self.name, self.root, self.options)


class AugmentConfig(Section):
    """What happens to a training scene before the student sees it."""

    recipe: str = option(REQUIRED, "The recipe: standard, paper or none.")
    options: dict[str, Any] = option({}, "Options of the recipe: docs/data.md lists them.")

    def problems(self) -> Iterator[Problem]:
        """Check the recipe's name and options."""
        from transkd.data.transforms import recipe_problems

        yield from recipe_problems(self.recipe, self.options)


class SegmenterConfig(Section):
    """What a student and a teacher have in common."""

    backbone: str | None
    weights: str | None
    head: str | None = option(None, "The decode head; null: the one that its authors gave the backbone.")
    head_width: Positive | None = option(None, "Channels of the decode head; null: those of its authors.")
    pretrained: bool | str = option(
        False,
        "true is short for weights: pretrained; a path is a file of such backbone weights, fetched by hand.",
        give="true, false or the path of a file of backbone weights",
    )

    def problems(self) -> Iterator[Problem]:
        """Check that backbone and head exist, and that weights are named once."""
        from transkd.models.backbones import find_backbone
        from transkd.models.heads import find_head

        find: Any
        for key, find, name in (("backbone", find_backbone, self.backbone), ("head", find_head, self.head)):
            if name is not None and name != REQUIRED:
                try:
                    find(name)
                except ConfigError as error:
                    yield Problem(key, as_clause(error))
        if self.pretrained is not False and self.weights not in (None, "scratch", "pretrained"):
            yield Problem("pretrained", f"contradicts weights={self.weights}; give one of the two")


class StudentConfig(SegmenterConfig):
    """The segmenter that trains."""

    backbone: str = option(REQUIRED, "The backbone: a registered name, or any hierarchical network of timm.")
    weights: str = option(
        "scratch",
        "Where the weights come from. scratch: random; pretrained: the backbone's published ImageNet weights under a "
        "random head; teacher: a selection of the teacher's weights, for students whose layers are part of the "
        "teacher's; or a segmenter of this architecture, in any form that load_segmenter takes: a folder, a hub id, a "
        "file.",
    )
    drop_path_rate: Share | None = option(
        0.1, "Stochastic depth of the deepest block; null: the backbone's own default."
    )
    dropout: Share = option(0.1, "Channel dropout before the classifier.")


class TeacherConfig(SegmenterConfig):
    """The frozen segmenter."""

    backbone: str | None = option(REQUIRED, "The backbone; null: read from teacher.weights.")
    weights: str | None = option(
        None,
        "Where the weights come from: a trained segmenter, in any form that load_segmenter takes (RUN/model, a Hugging "
        "Face SegFormer's folder or hub id, a SegFormer or TransKD .pth); pretrained: the backbone's published "
        "ImageNet weights under a random head, fit for losses on features; or random for a smoke run, which teaches "
        "nothing.",
    )


class DistillationConfig(Section):
    """Which registered losses compare student and teacher, each with its weight and options."""

    name: str = option(REQUIRED, "The method's name in tables and run names.")
    losses: dict[str, dict[str, Any]] = option({}, "NAME: {weight: 1.0, schedule: …, option: …} for each loss.")

    def problems(self) -> Iterator[Problem]:
        """Check the losses' names, weights, schedules and options."""
        from transkd.distillation.registry import option_problems
        from transkd.training.schedules import Weighing

        for name, setting in self.losses.items():
            yield from option_problems(name, setting, f"losses.{name}", beside=Weighing)


class ObjectiveConfig(Section):
    """The task loss, and where scores are taken."""

    class_weights: Literal["none", "dataset"] | list[NonNegativeFloat] = option(
        "none",
        "Weights of the classes in the cross-entropy: none, the dataset's published ones, or a list.",
        give="none, dataset or a list of numbers, 0 or more, one a class",
    )
    loss_resolution: Resolution = option("label", "Where the loss is taken: at the labels' size or at the logits'.")
    score_resolution: Resolution = option("label", "Where scores are taken.")


class OptimizerConfig(OpenSection):
    """A class of ``torch.optim`` or of an allowed package, and its options."""

    def problems(self) -> Iterator[Problem]:
        """Check the class and its options."""
        from transkd.training.checks import optimizer_problems

        return optimizer_problems(dict(self))


class PolySchedule(Section):
    """Linear warm-up over a share of all steps, then polynomial decay to zero at the end."""

    name: Literal["poly"] = option("poly", "The schedule.")
    power: PositiveFloat = option(1.0, "Exponent of the decay.")
    warm_up: Share = option(0.05, "Share of the training's steps that warms up.")
    start: Annotated[float, Field(ge=0, le=1)] = option(0.01, "Factor on the learning rate that the warm-up starts at.")


class PaperSchedule(Section):
    """TransKD's recipe: linear decay that would reach zero after `epochs`, stepped once an epoch."""

    name: Literal["paper"] = option("paper", "The schedule.")
    epochs: Positive = option(1500, "Epochs until the learning rate would be zero.")


class TrainerConfig(OpenSection):
    """Options of lightning.Trainer; any of them may be set, trainer.KEY=VALUE, also those not listed here."""

    accelerator: Any = option("auto", "The kind of device: auto, cpu, gpu, …")
    devices: Any = option(1, "How many devices; -1: all.")
    num_nodes: Any = option(1, "How many machines.")
    strategy: Any = option("auto", "How several devices share the work: auto, ddp, fsdp, …")
    precision: Any = option("32-true", "32-true, bf16-mixed (CPU and GPU) or 16-mixed (GPU).")
    max_epochs: Any = option(
        40, "The training's length, whichever of this and max_steps ends it first; schedules span it."
    )
    max_steps: Any = option(-1, "The length in optimiser steps; -1: no limit.")
    max_time: Any = option(
        None,
        'Wall-clock time that training may take, over all its sessions, "DD:HH:MM:SS"; it cuts schedules short. null: '
        "no limit.",
    )
    accumulate_grad_batches: Any = option(1, "Batches whose gradients are added up before a step.")
    gradient_clip_val: Any = option(None, "The norm that gradients are clipped to; null: no clipping.")
    limit_train_batches: Any = option(1.0, "Training batches of an epoch: a whole number, or a share.")
    limit_val_batches: Any = option(1.0, "Validation batches: a whole number, or a share.")
    check_val_every_n_epoch: Any = option(1, "Epochs between validations.")
    log_every_n_steps: Any = option(10, "Steps between rows of metrics.csv.")
    num_sanity_val_steps: Any = option(1, "Validation batches to try before the first step.")
    deterministic: Any = option("warn", "A warning where a training step is not reproducible; true makes it an error.")
    enable_model_summary: Any = option(False, "true: print Lightning's summary of the module.")

    def problems(self) -> Iterator[Problem]:
        """Check the options against Lightning's Trainer."""
        from transkd.training.checks import trainer_problems

        return trainer_problems(dict(self))


class TensorBoardConfig(Section):
    """Also log to TensorBoard files in the run's folder."""


class WandbConfig(Section):
    """Also log to Weights & Biases; offline where there is no key or no network."""

    project: str = option("transkd", "The project.")
    entity: str | None = option(None, "The user or team; null: the key's own.")
    group: str | None = option(None, "The group of the run.")
    tags: list[str] = option([], "Tags of the run.")
    mode: Literal["auto", "online", "offline"] = option("auto", "auto: online with a key, else offline.")
    timeout: PositiveFloat = option(20, "Seconds to wait for the server before logging offline.")


class LoggerConfig(Section):
    """Loggers beside metrics.csv and the pictures, which every run has."""

    tensorboard: TensorBoardConfig | None = option(None, "{}: also TensorBoard, in RUN/tensorboard.")
    wandb: WandbConfig | None = option(None, "Also Weights & Biases.")


class CallbacksConfig(OpenSection):
    """Further Lightning callbacks: NAME: {_target_: lightning.pytorch.callbacks.X, option: value}."""

    def problems(self) -> Iterator[Problem]:
        """Check the classes and their options."""
        from transkd.training.checks import callback_problems

        return callback_problems(dict(self))


class CheckpointConfig(Section):
    """When the run saves, and which checkpoint becomes the saved model."""

    every_n_steps: Positive = option(
        500, "Optimiser steps between two saves within an epoch; every epoch's end saves too."
    )
    select: Literal["best", "last"] = option(
        "best", "Which checkpoint becomes the saved model: best (on validation), or last."
    )


class TrainConfig(Section):
    r"""Train a teacher or a plain student, or distil a student.

    Examples:
      transkd-train +experiment=camvid_teacher data.root=data/camvid
      transkd-train +experiment=camvid_mitb0 data.root=data/camvid \
        teacher.weights=runs/camvid_teacher-s0/model
      transkd-train +experiment=camvid_mitb0 distillation=transkd_ea seed=1 \
        resume=auto teacher.weights=RUN/model

    With -m, seed=0,1,2 is a sweep: a run for each value.

    Sections that take further options: data.options, augment.options,
    distillation.losses (distillation.losses.csf.weight=0.5), optimizer, trainer
    and callbacks.

    A run's folder holds config.yaml, metrics.csv, checkpoints/, student/ (or
    model/), predictions/ and results.json.

    More: docs/training.md, docs/teachers.md, docs/sweeps.md
    """

    data: DataConfig = group(
        "synthetic", "The dataset: where it lies, input size, batch size, splits.", heading="Data and networks"
    )
    augment: AugmentConfig = group("standard", "What happens to a training scene before the student sees it.")
    student: StudentConfig = group(
        "mit_b0", "The segmenter that trains: student=NAME takes any backbone, timm's hierarchical networks too."
    )
    teacher: TeacherConfig = group(
        "mit_b2",
        "The frozen segmenter that it learns from; auto takes whatever teacher.weights is. Not used by "
        "distillation=none.",
    )
    distillation: DistillationConfig = group(
        "none", "Which distillation losses compare the two; none: labels only.", heading="How it trains"
    )
    objective: ObjectiveConfig = group("standard", "The task loss, and where it and scores are taken.")
    optimizer: OptimizerConfig = group("adamw", "The optimiser and its options.")
    schedule: PolySchedule | PaperSchedule = group(
        "poly", "How the learning rate changes over the training.", discriminator="name"
    )
    trainer: TrainerConfig = group(
        "default", "Devices, precision, length of the training: options of lightning.Trainer."
    )
    logger: LoggerConfig = group("csv", "What is logged besides metrics.csv.")
    name: str = option(
        "${data.name}-${student.backbone}-${distillation.name}-s${seed}",
        "The run's name; experiments begin theirs with their own.",
        heading="The run",
    )
    output: str = option("runs/${name}", "The run's folder. One that already holds a run is never overwritten.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = option(
        0, "A whole number, 0 or more; initialisation, order and augmentation all follow from it."
    )
    resume: str = option(
        "none",
        "none: start anew. auto: resume the run in output, if there is one. PATH: resume from a checkpoint or run "
        "folder.",
    )
    imports: list[str] = option(
        [],
        "Python modules to import first, from the current folder too: where custom backbones, heads, datasets and "
        "losses are registered.",
    )
    checkpoint: CheckpointConfig = nested("When the run saves, and what it keeps.")
    ema_decay: Share | None = option(
        None,
        "Decay of an exponential moving average of the student's weights, 0 to below 1, such as 0.999; the average is "
        "validated and saved in their place. null: none.",
    )
    channels_last: bool = option(True, "true: channels-last memory format, for faster convolutions.")
    compile: bool = option(False, "true: torch.compile student and teacher, which pays after a few hundred steps.")
    pictures: Count = option(4, "How many validation scenes are drawn after each validation; 0: none.")
    callbacks: CallbacksConfig = option({}, "Further Lightning callbacks: NAME: {_target_: …, option: value}")

    def problems(self) -> Iterator[Problem]:
        """Check class weights and crop against the data, and that the length is known where something spans it."""
        from transkd.data.datasets import classes_of, get_layout
        from transkd.data.transforms import build_transform
        from transkd.training.schedules import unknown_length

        data, weights = self.data, self.objective.class_weights
        trainer, losses = self.trainer, self.distillation.losses.items()
        epochs = -1 if trainer.max_epochs is None and trainer.max_time is not None else trainer.max_epochs
        spanning = [f"distillation.losses.{name}.schedule" for name, setting in losses if setting.get("schedule")]
        spanning += ["schedule.name=poly"] if self.schedule.name == "poly" else []
        if trainer.max_steps == epochs == -1 and spanning:
            yield Problem("trainer.max_epochs", unknown_length(", ".join(spanning)))
        try:
            build_transform(self.augment.recipe, data.size, **self.augment.options)
        except ConfigError as error:
            yield Problem("augment", as_clause(error))
        try:
            classes = classes_of(data.name, data.root, **data.options)
        except DataError:
            return  # reported when the data is read
        count, key = classes.num_classes, "objective.class_weights"
        if weights == "dataset" and classes.weights is None:
            title = get_layout(data.name).title
            yield Problem(key, f"{title} has no published ones; give {count} numbers, or none")
        if isinstance(weights, list) and len(weights) != count:
            yield Problem(key, f"give {count} numbers, one a class (there are {len(weights)})")


GROUPS: Mapping[str, type[Section]] = {
    "data/base": DataConfig,
    "augment/base": AugmentConfig,
    "student/base": StudentConfig,
    "teacher/base": TeacherConfig,
    "objective/base": ObjectiveConfig,
    "schedule/poly": PolySchedule,
    "schedule/paper": PaperSchedule,
    "trainer/default": TrainerConfig,
    "logger/base": LoggerConfig,
    "logger/wandb/base": WandbConfig,
}
"""The choices of config groups, ``group/choice``, that are a section's defaults instead of a file of ``conf/``."""
