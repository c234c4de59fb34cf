"""Exporting a segmenter: write the file, run it, compare it with its source, and only then give it its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from transkd.errors import ConfigError, ExportError, WeightsError
from transkd.export.card import find_palette, trace_provenance
from transkd.export.compare import (
    Difference,
    Precision,
    check_differences,
    compare,
    find_images,
    read_batches,
    smooth_images,
)
from transkd.export.graph import ExportGraph, InputType, ResultType, write_program
from transkd.export.huggingface import FOLDER_FILES, open_folder, push_folder, write_folder
from transkd.export.onnx_format import to_fp16, to_int8, write_onnx
from transkd.models import Segmenter, load_segmenter
from transkd.models.exported import OnnxModel, TorchProgram
from transkd.models.weights import file_kind
from transkd.options import NonNegativeFloat, Positive, Problem, Side, signature_problems

Format = Literal["huggingface", "onnx", "torch"]

ANY_SIZES = ((64, 96), (97, 129), (128, 256))
SMALL_SIZES = ((32, 32), (40, 200))  # where maps are a single row or column; 8 bits are not meant for them


@dataclass(frozen=True)
class ExportOptions:
    """How a segmenter is exported.

    Attributes:
        format: ``"huggingface"`` (a folder), ``"onnx"`` or ``"torch"`` (a file).
        input: images the file takes, ``"uint8"`` or ``"float"`` in [0, 1].
        result: ``"logits"`` or ``"classes"``, at the images' size.
        precision: ``"fp32"``, or of an ONNX file ``"fp16"`` or ``"int8"``.
        size: the only height and width that the file takes; None for any.
        calibration: a folder of images that int8 is calibrated on.
        calibration_size: height and width they are resized to; None takes the run's, or their own.
        calibration_count: how many of them.
        tolerance: how much the file may differ; None takes the precision's, see ``export/compare.py``.
        push: id of a hub repository to upload a folder to.
        overwrite: replace what is there.
    """

    format: Format
    input: InputType = "uint8"
    result: ResultType = "logits"
    precision: Precision = "fp32"
    size: tuple[Side, Side] | None = None
    calibration: str | None = None
    calibration_size: tuple[Side, Side] | None = None
    calibration_count: Positive = 64
    tolerance: NonNegativeFloat | None = None
    push: str | None = None
    overwrite: bool = False

    def problems(self) -> Iterator[Problem]:
        """Yield the options that do not fit together."""
        if self.format != "onnx" and self.precision != "fp32":
            text = f"{self.precision} is for format=onnx; {self.format} keeps 32 bits: leave it out"
            yield Problem("precision", text)
        if self.precision == "int8" and self.calibration is None:
            yield Problem("calibration.images", "int8 is calibrated on images of your own: give a folder of them")
        if self.format == "huggingface":
            for key, default in (("input", "uint8"), ("result", "logits"), ("size", None)):
                if getattr(self, key) != default:
                    yield Problem(key, "transformers' folders have no such choice; leave it out, or use format=onnx")
        elif self.push is not None:
            yield Problem("push", "goes with format=huggingface, whose folder has what the hub shows")


@dataclass(frozen=True)
class ExportReport:
    """What was exported, and how it compares with its source.

    Attributes:
        path: the file or folder.
        differences: source against file, batch by batch.
        tolerance: the largest difference allowed.
        ran_in: what ran the file.
        bytes: its size.
        pushed_to: the address on the hub, None where it was not uploaded.
    """

    path: Path
    differences: list[Difference]
    tolerance: float
    ran_in: str
    bytes: int
    pushed_to: str | None = None


def export_segmenter(source: Segmenter | str | Path, path: str | Path, format: Format, **options: Any) -> ExportReport:
    """Export a segmenter, run the result, and keep it only if its output is that of its source.

    Args:
        source: a segmenter, or what :func:`~transkd.models.load_segmenter` takes.
        path: the file or folder to write.
        format: see :class:`ExportOptions`.
        **options: the further attributes of :class:`ExportOptions`.

    Raises:
        ConfigError: options that do not exist or do not fit together, or a path that is taken.
        DataError: images to calibrate on that are missing or cannot be read.
        ExportError: it cannot be exported, cannot be written, or differs from its source by more than the tolerance.
        WeightsError: a source that cannot be loaded.

    Example:
        >>> export_segmenter("runs/camvid/student", "student.onnx", "onnx", result="classes").path
    """
    problems = signature_problems(ExportOptions, {"format": format, **options})
    if problems := problems or list(ExportOptions(format, **options).problems()):
        raise ConfigError("; ".join(map(str, problems)))
    chosen = ExportOptions(format, **options)
    source = getattr(source, "_orig_mod", source)  # where torch.compile wrapped it
    target = Path(path).expanduser()
    _check_free(target, chosen)
    if isinstance(source, str | Path) and Path(source).expanduser().resolve() == target.resolve():
        raise ConfigError(f"output: {target} is the model itself; choose another")
    if chosen.calibration is not None:
        find_images(chosen.calibration, chosen.calibration_count)  # before the minutes that an export takes
    segmenter = source if isinstance(source, Segmenter) else load_segmenter(source)
    provenance = trace_provenance(segmenter, None if isinstance(source, Segmenter) else source)
    partial = target.with_name(f".{target.name}.partial")
    try:
        _remove(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        report = _write_and_check(segmenter, provenance, partial, target, chosen)
        if target.exists():
            _remove(target)
        partial.rename(target)
    except OSError as error:
        raise ExportError(f"output: {target} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            _remove(partial)
    if chosen.push is not None:
        return replace(report, pushed_to=push_folder(target, chosen.push))
    return report


def _check_free(target: Path, options: ExportOptions) -> None:
    """Refuse a target that exists, unless it is to be overwritten and is such an export, or empty."""
    if not target.exists():
        return
    if not options.overwrite:
        raise ConfigError(f"output: {target} exists already; choose another, or overwrite=true")
    if target.is_dir():
        inside = {path.name for path in target.iterdir()}
        is_export = not inside or ("preprocessor_config.json" in inside and inside <= FOLDER_FILES)
    else:
        is_export = target.stat().st_size == 0
        with suppress(WeightsError):
            is_export = is_export or file_kind(target) in ("onnx", "torch.export")
    if not is_export or target.is_dir() != (options.format == "huggingface"):
        raise ConfigError(f"output: {target} is no {options.format} export, so overwrite=true does not replace it")


def _write_and_check(
    segmenter: Segmenter, provenance: Mapping[str, Any], partial: Path, target: Path, options: ExportOptions
) -> ExportReport:
    graph = ExportGraph(segmenter, options.input, options.result)
    metadata = {
        "num_classes": graph.num_classes,
        "class_names": segmenter.config["class_names"],
        "palette": segmenter.config["palette"] or find_palette(segmenter.class_names),
        "input": options.input,
        "result": options.result,
        "size": options.size,
        "precision": options.precision,
        "provenance": provenance,
    }
    seen = provenance["run"].get("image_size")
    usual = options.size or options.calibration_size or (None if seen is None else (seen[0], seen[1]))
    run: Callable[[Tensor], Tensor]
    if options.format == "huggingface":
        write_folder(segmenter, partial, provenance, options.push or target.name)
        run, ran_in = open_folder(partial)
    elif options.format == "torch":
        write_program(graph, partial, metadata, size=options.size)
        run, ran_in = TorchProgram(partial).run, "torch.export"
    else:
        write_onnx(graph, partial, metadata, size=options.size)
        if options.precision == "fp16":
            to_fp16(partial)
        if options.precision == "int8":
            assert options.calibration is not None
            calibration = find_images(options.calibration, options.calibration_count)
            to_int8(partial, read_batches(calibration, usual), as_float=options.input == "float")
        run, ran_in = OnnxModel(partial).run, "ONNX Runtime"
    images = _check_images(usual, options)
    if options.input == "float":
        images = [batch.float() / 255 for batch in images]
    differences = compare(graph, run, images)
    remedies = {
        "int8": "Calibrate on more images like those it will see, or use precision=fp16",
        "fp16": "Use precision=fp32",
        "fp32": "Use another format=" if options.size else "Fix the size of the images (dynamic=false size=[H,W])",
    }
    tolerance = check_differences(differences, options.precision, options.tolerance, remedies[options.precision])
    files = [partial] if partial.is_file() else [file for file in partial.rglob("*") if file.is_file()]
    return ExportReport(target, differences, tolerance, ran_in, sum(file.stat().st_size for file in files))


def _check_images(usual: tuple[int, int] | None, options: ExportOptions) -> list[Tensor]:
    """Return uint8 batches of one and two images in turn, of several sizes where the file takes any."""
    small = () if options.precision == "int8" else SMALL_SIZES
    sizes = [options.size] * 2 if options.size else [*ANY_SIZES, *small, *([usual] if usual else [])]
    if options.calibration is None:
        return [smooth_images(1 + number % 2, size, seed=number) for number, size in enumerate(sizes)]
    files = cycle(find_images(options.calibration, 2 * len(sizes)))
    return [torch.cat(list(read_batches(list(islice(files, 1 + n % 2)), size))) for n, size in enumerate(sizes)]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
