"""``transkd-export``: write a student for other programs, compare the result, and score both where data is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from transkd.cli.progress import counting, output, screen, starting, text_table, working
from transkd.options import (
    REQUIRED,
    SMALLEST_SIDE,
    NonNegativeFloat,
    Positive,
    Problem,
    Section,
    Side,
    group,
    nested,
    option,
)
from transkd.training.config import DataConfig

if TYPE_CHECKING:
    from torch import Tensor

    from transkd.data import SceneDataModule
    from transkd.export.exporting import ExportOptions, ExportReport
    from transkd.models import Segmenter

ImageSize = Annotated[
    tuple[Side, Side] | None, Field(title=f"[height, width] in pixels, {SMALLEST_SIDE} or more each ([512, 1024])")
]


class CalibrationConfig(Section):
    """Images that int8 is calibrated on."""

    images: str | None = option(None, "A folder of images like those that the file will see; int8 needs it.")
    count: Positive = option(64, "How many of them are used.")
    size: ImageSize = option(None, "[height, width] that they are resized to; null: what the run trained on.")


class ExportConfig(Section):
    r"""Write a segmenter as ONNX, torch.export or transformers files.

    Examples:
      transkd-export model=runs/NAME/student format=onnx output=student.onnx
      transkd-export model=runs/NAME/student format=onnx output=int8.onnx \
        precision=int8 calibration.images=photos
      transkd-export model=runs/NAME/student format=huggingface output=student-hf

    Each file is run and compared with its source on several sizes; one that
    differs too much is not kept.

    More: docs/export.md
    """

    model: str = option(
        REQUIRED, "A run's folder or its student/, a hub id, or a published checkpoint.", heading="What is written"
    )
    format: Literal["onnx", "torch", "huggingface"] = option(
        REQUIRED, "onnx: a file; torch: a file, a torch.export program; huggingface: a folder for transformers."
    )
    output: str = option(REQUIRED, "The file or folder to write.")
    overwrite: bool = option(False, "true: replace what is there.")
    push: str | None = option(None, "USER/NAME of a hub repository that a huggingface folder is uploaded to.")
    result: Literal["logits", "classes"] = option(
        "logits",
        "What the file gives, at the images' size: logits, or class ids (uint8; int32 above 256 classes).",
        heading="What the file takes and gives",
    )
    input: Literal["uint8", "float"] = option(
        "uint8", "RGB images, 0 to 255 (uint8) or 0 to 1 (float); they are normalised inside."
    )
    precision: Literal["fp32", "fp16", "int8"] = option("fp32", "fp16 and int8 are for onnx.")
    dynamic: bool = option(True, "true: images of any size; false: of `size` only, for runtimes that need it.")
    size: ImageSize = option(None, "[height, width] in pixels of the images that dynamic=false takes.")
    calibration: CalibrationConfig = nested("What precision=int8 is calibrated on.")
    tolerance: NonNegativeFloat | None = option(
        None,
        "How much the file may differ from its source: for fp32 a share of the largest logit (null: 1e-4), for fp16 "
        "and int8 a share of the pixels whose class changes (null: 0.02 and 0.15).",
        heading="Checks",
    )
    data: DataConfig | None = group(None, "A dataset on whose validation split source and file are scored.")
    imports: list[str] = option(
        [], "Python modules to import first, from the current folder too: where custom names are registered."
    )

    def problems(self) -> Iterator[Problem]:
        """Yield choices that contradict each other."""
        yield from self.options().problems()
        if self.dynamic and self.size is not None:
            yield Problem("size", "is for images of one size only: add dynamic=false, or leave it out")
        if not self.dynamic and self.size is None:
            yield Problem("size", "dynamic=false needs the images' size: size=[512,1024]")

    def options(self) -> ExportOptions:
        """Return the options of the exporter."""
        from transkd.export.exporting import ExportOptions

        names = ("input", "result", "precision", "size", "tolerance", "push", "overwrite")
        same: dict[str, Any] = {name: getattr(self, name) for name in names}
        calibration: dict[str, Any] = {
            "calibration": self.calibration.images,
            "calibration_size": self.calibration.size,
            "calibration_count": self.calibration.count,
        }
        return ExportOptions(self.format, **same, **calibration)


def run_export(config: ExportConfig) -> None:
    """Export, print how the result compares, and score source and file where a dataset is given.

    Raises:
        TransKDError: for everything that a user can correct.
    """
    with starting("transkd-export"):
        from transkd.export.exporting import export_segmenter

    scored = None if config.data is None else _scored(config, config.data)
    with working(f"exporting {config.model} to {config.format}"):
        report = export_segmenter(config.model, config.output, **vars(config.options()))
    _print_differences(report, config.model)
    if config.data is not None and scored is not None:
        _print_scores(*scored, report.path, f"{config.data.name}, {config.data.val_split}")


def _scored(config: ExportConfig, data: DataConfig) -> tuple[SceneDataModule, Segmenter, tuple[int, ...]]:
    """Return what is scored, before anything is written: data, segmenter, and for each class the output for it."""
    from transkd.data import SceneDataModule
    from transkd.evaluation import outputs_for_classes
    from transkd.models import load_segmenter

    module = SceneDataModule(
        data.name,
        data.root,
        size=config.size or data.size,
        augment="none",
        val_split=data.val_split,
        label_size="image" if config.result == "classes" else data.label_size,  # ids cannot be resized as logits are
        batch_size=data.val_batch_size,
        workers=data.workers,
        persistent_workers=False,
        dataset_options=data.options,
    )
    module.setup("validate")
    segmenter, title = load_segmenter(config.model), f"model={config.model}"
    outputs = outputs_for_classes(module.classes.names, segmenter.class_names, segmenter.num_classes, title)
    if config.result == "classes":
        _logits_of_ids(segmenter.predict, segmenter, outputs, config.output)  # raises if it could not be scored
    return module, segmenter, outputs


def _print_differences(report: ExportReport, model: str) -> None:
    rows = []
    for found in report.differences:
        by_logit = ("-", "-") if math.isnan(found.logit) else (f"{found.logit:.1e}", f"{found.logit / found.scale:.1e}")
        size = "x".join(map(str, found.size))
        rows.append((str(found.batch), size, *by_logit, f"{100 * found.pixels:.3f} %"))
    heads = ("images", "size", "largest logit difference", "of the largest logit", "pixels of another class")
    output().print(text_table(heads, rows, f"{report.path} in {report.ran_in}, against {model}"))
    tolerance = f"every difference is within the tolerance of {report.tolerance:g}"
    print(f"wrote {report.path}, {report.bytes / 1e6:.1f} MB; {tolerance}")
    if report.pushed_to is not None:
        print(f"uploaded to {report.pushed_to}")


def _print_scores(
    data: SceneDataModule, segmenter: Segmenter, outputs: tuple[int, ...], path: Path, title: str
) -> None:
    import torch

    from transkd.evaluation import score_model
    from transkd.export.graph import ExportGraph

    source = ExportGraph(segmenter, "uint8", "logits")  # at the images' size, as the file answers
    scores = []
    for logits_of in (source, _runner(path, segmenter, outputs)):
        with counting(screen()) as progress, torch.inference_mode():
            batches = progress.track(data.val_dataloader(), description="scoring")
            scores.append(score_model(logits_of, batches, data.classes.names, outputs=outputs))
    rows = [
        (name, f"{100 * one.miou:.2f}", f"{100 * one.pixel_accuracy:.2f}")
        for name, one in zip(("source", "exported"), scores, strict=True)
    ]
    output().print(text_table((title, "mIoU", "pixel accuracy"), rows))
    change = 100 * (scores[1].miou - scores[0].miou)
    print(f"exporting changes the mIoU by {change:+.2f} points (both at the images' size)")


def _runner(path: Path, segmenter: Segmenter, outputs: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    from transkd.export.huggingface import open_folder
    from transkd.models.exported import ExportedModel, load_model

    if path.is_dir():
        return open_folder(path)[0]
    model = load_model(path)
    assert isinstance(model, ExportedModel)
    return _logits_of_ids(model.predict, segmenter, outputs, path) if model.result == "classes" else model


def _logits_of_ids(
    predict: Callable[[Tensor], Tensor], segmenter: Segmenter, outputs: tuple[int, ...], path: str | Path
) -> Callable[[Tensor], Tensor]:
    from transkd.evaluation.class_match import logits_of_ids
    from transkd.evaluation.inference import Inference

    count = segmenter.num_classes
    return logits_of_ids(predict, count, outputs, model=str(path), inference=Inference(), resolution="label")
