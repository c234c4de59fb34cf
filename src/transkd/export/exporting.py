"""Exporting a segmenter: write the file, run it, compare it with its source, and only then give it its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transkd.errors import ConfigError, ExportError, WeightsError
from transkd.export.card import Provenance, trace_provenance
from transkd.export.compare import Difference, check_differences, compare, find_images, read_batches, smooth_images
from transkd.export.graph import ExportGraph, write_program
from transkd.export.huggingface import FOLDER_FILES, open_folder, push_folder, write_folder
from transkd.export.onnx_format import to_fp16, to_int8, write_onnx
from transkd.export.options import ExportOptions, Format, export_options
from transkd.models import Segmenter, load_segmenter
from transkd.models.exported import OnnxModel, TorchProgram
from transkd.models.file_kinds import FileKind, file_kind

ANY_SIZES = ((64, 96), (97, 129), (128, 256))
SMALL_SIZES = ((32, 32), (40, 200))  # where maps are a single row or column; 8 bits are not meant for them


@dataclass(frozen=True)
class ExportReport:
    """What was exported, and the proof.

    Attributes:
        path: the file or folder.
        differences: source against file, batch by batch.
        tolerance: what they were held to.
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
    """Export a segmenter, run the result, and keep it only if it does what its source does.

    Args:
        source: a segmenter, or what :func:`~transkd.models.load_segmenter` takes.
        path: the file or folder to write.
        format: see :class:`ExportOptions`.
        **options: the further attributes of :class:`ExportOptions`.

    Returns:
        Where it lies, and how it compares.

    Raises:
        ConfigError: options that do not exist or do not fit together, or a path that is taken.
        DataError: images to calibrate on that are missing or cannot be read.
        ExportError: it cannot be exported so, cannot be written there, or differs from its source by more than the
            tolerance.
        WeightsError: a source that cannot be loaded.

    Example:
        >>> export_segmenter("runs/camvid/student", "student.onnx", "onnx", result="classes").path
    """
    chosen = export_options(format, options)
    source = getattr(source, "_orig_mod", source)  # where torch.compile wrapped it
    target = free_target(Path(path).expanduser(), chosen)
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


def free_target(target: Path, options: ExportOptions) -> Path:
    """Return the path to write.

    Raises:
        ConfigError: something is there, and it is not to be overwritten, or is no export.
    """
    if not target.exists():
        return target
    if not options.overwrite:
        raise ConfigError(f"output: {target} exists already; choose another, or overwrite=true")
    wants_folder = options.format == "huggingface"
    if target.is_dir() != wants_folder or not _is_export(target):
        raise ConfigError(f"output: {target} is no {options.format} export, so overwrite=true does not replace it")
    return target


def _is_export(target: Path) -> bool:
    """Return whether something is an export, or empty: a folder with anything else in it is not to be replaced."""
    if target.is_dir():
        inside = {path.name for path in target.iterdir()}
        return not inside or ("preprocessor_config.json" in inside and inside <= FOLDER_FILES)
    try:
        return target.stat().st_size == 0 or file_kind(target) in (FileKind.ONNX, FileKind.TORCH_EXPORT)
    except WeightsError:
        return False


def _write_and_check(
    segmenter: Segmenter, provenance: Provenance, partial: Path, target: Path, options: ExportOptions
) -> ExportReport:
    graph = ExportGraph(segmenter, options.input, options.result)
    metadata = {
        "num_classes": graph.num_classes,
        "class_names": provenance.config["class_names"],
        "palette": provenance.palette,
        "input": options.input,
        "result": options.result,
        "size": options.size,
        "precision": options.precision,
        "provenance": provenance.as_dict(),
    }
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
            batches = read_batches(calibration, _usual_size(provenance, options))
            to_int8(partial, batches, as_float=options.input == "float")
        run, ran_in = OnnxModel(partial).run, "ONNX Runtime"
    images = _check_images(provenance, options)
    if options.input == "float":
        images = [batch.float() / 255 for batch in images]
    differences = compare(graph, run, images)
    tolerance = check_differences(differences, options.precision, options.tolerance, _remedy(options))
    files = [partial] if partial.is_file() else [file for file in partial.rglob("*") if file.is_file()]
    return ExportReport(target, differences, tolerance, ran_in, sum(file.stat().st_size for file in files))


def _remedy(options: ExportOptions) -> str:
    """Return what may make a file come out closer to its source."""
    if options.precision == "int8":
        return "Calibrate on more images like those it will see, or use precision=fp16"
    if options.precision == "fp16":
        return "Use precision=fp32"
    return "Use another format=" if options.size else "Fix the size of the images (dynamic=false size=[H,W])"


def _usual_size(provenance: Provenance, options: ExportOptions) -> tuple[int, int] | None:
    if options.size or options.calibration_size:
        return options.size or options.calibration_size
    seen = provenance.run.get("image_size")
    return None if seen is None else (seen[0], seen[1])


def _check_images(provenance: Provenance, options: ExportOptions) -> list[Tensor]:
    """Return uint8 batches of one and two images in turn, of several sizes where the file takes any."""
    usual = _usual_size(provenance, options)
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
