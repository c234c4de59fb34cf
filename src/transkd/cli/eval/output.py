"""What ``transkd-eval`` writes and prints: its folder, what ``scores.json`` says, and tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from transkd.cli.eval.config import EvalConfig, benchmarks, size_text
from transkd.data import SceneDataModule
from transkd.data.reading import image_size
from transkd.errors import ConfigError
from transkd.evaluation import Protocol
from transkd.evaluation.comparison import file_digest, module_digest
from transkd.evaluation.pictures import confusion_picture
from transkd.evaluation.report import (
    Evaluation,
    class_row,
    markdown,
    overall_rows,
    percent,
    protocol_line,
    unscored_line,
)
from transkd.evaluation.submission import UNFINISHED, LabelFiles, doubts
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel
from transkd.runs.folder import input_size_of_run

SCORES, PAGE, CONFUSION = "scores.json", "scores.md", "confusion.png"
SUBMISSION, ARCHIVE = "submission.json", "submission.zip"
PICTURES = BEST, WORST = "best", "worst"


def free_folder(config: EvalConfig) -> Path:
    """Return the folder to write, which holds nothing, or an evaluation that may be replaced.

    Raises:
        ConfigError: it holds something else.
    """
    folder = Path(config.output or Path("evaluations", config.folder_name())).expanduser()
    if not folder.exists() or (folder.is_dir() and all(path.name.endswith(UNFINISHED) for path in folder.iterdir())):
        return folder
    if not config.overwrite:
        raise ConfigError(f"{folder} exists already: choose another output=…, or overwrite=true to replace its scores")
    if not any((folder / name).is_file() for name in (SCORES, SUBMISSION)):
        raise ConfigError(f"{folder} holds no scores of transkd, so overwrite=true does not replace it")
    return folder


def claim_folder(folder: Path) -> None:
    """Make the folder, so that one that cannot be written is an error before anything is scored.

    What an evaluation that was stopped left unfinished is removed.

    Raises:
        ConfigError: it cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
        remove(folder, *(name + UNFINISHED for name in (*submission_folders(), ARCHIVE)))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a ConfigError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror or error}): choose another output=…") from error


def clear_previous(folder: Path) -> None:
    """Remove what a previous evaluation left, and nothing else."""
    remove(folder, *PICTURES, *submission_folders(), SCORES, PAGE, CONFUSION, SUBMISSION, ARCHIVE)


def remove(folder: Path, *names: str) -> None:
    """Remove files and folders where they exist."""
    for path in (folder / name for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def submission_folders() -> list[str]:
    """Return the names of all folders of files for test servers."""
    return [benchmark.folder for benchmark in benchmarks().values()]


def write_scores(folder: Path, report: dict[str, Any], evaluation: Evaluation) -> None:
    """Write scores, page and confusion matrix.

    Args:
        folder: where to.
        report: what ``scores.json`` holds.
        evaluation: the counts behind it.
    """
    write_json(folder / SCORES, report)
    (folder / PAGE).write_text(markdown(report), encoding="utf-8")
    confusion_picture(evaluation.confusion.sum(0), evaluation.class_names).save(folder / CONFUSION)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values that hold no NaN."""
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def label_files(config: EvalConfig, data: SceneDataModule, folder: Path) -> LabelFiles | None:
    """Return what writes the files of ``format``; None without one.

    Raises:
        DataError: two images have one name.
    """
    if config.benchmark is None:
        return None
    samples = data.val_dataset.samples
    files = LabelFiles(
        folder / config.benchmark.folder,
        [sample.name + config.benchmark.suffix for sample in samples],
        lambda place: image_size(samples[place].image),
        config.benchmark.ids,
    )
    files.start()
    return files


def pack_files(config: EvalConfig, files: LabelFiles) -> dict[str, Any]:
    """Pack the files if requested, and return what a result says of them."""
    assert config.benchmark is not None
    archive = files.folder.with_name(ARCHIVE)
    count = None if config.labelled else config.benchmark.count
    return {
        "format": config.format,
        "folder": files.folder.name,
        "files": files.sizes.total(),
        "archive": {"file": archive.name, "bytes": files.pack(archive)} if config.zip else None,
        "doubts": doubts(files.sizes, size=config.benchmark.size, count=count),
    }


def origin(config: EvalConfig, data: SceneDataModule, model: Segmenter | ExportedModel) -> dict[str, Any]:
    """Return how a result was made: protocol, precision, model, data and versions."""
    size, views = config.input_size, config.inference_views
    protocol = Protocol(
        dataset=config.data.name,
        split=config.scored_split,
        input_size=list(size) if isinstance(size, tuple) else size,
        resolution=config.protocol.resolution,
        label_size=config.protocol.label_size,
        inference=config.inference,
        crop=views.crop,
        stride=views.steps,
        scales=views.scales,
        flip=views.flip,
        options=config.data.options,
    )
    if isinstance(model, Segmenter):
        identity = {"backbone": model.config["backbone"], "sha256": module_digest(model)}
        precision: Any = config.precision
    else:
        identity = {"file": model.file.name, "sha256": file_digest(model.file)}
        precision = model.metadata.get("precision")
    return {
        "protocol": {"name": config.protocol.title, **protocol.as_dict()},
        "precision": precision,
        "model": {"source": config.model, **identity},
        "data": data.fingerprint("val"),
        "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
    }


def print_report(report: dict[str, Any], folder: Path) -> None:
    """Print a report, with scores or without."""
    console = Console(markup=False, emoji=False)
    scored = "per_class" in report
    protocol, images = report["protocol"], f"{report['images']} images"
    lines = [f"{report['model']['source']} on {protocol['dataset']}, {protocol['split']}, {images}"]
    if not scored:
        lines += ["no pixel of these images is labelled: there is nothing to score", unscored_line(report)]
    else:
        console.print(lines.pop(), highlight=False, soft_wrap=True)
        for table in score_tables(report):
            console.print(table)
        lines += [protocol_line(report), *size_note(report)]
    if submission := report.get("submission"):
        lines.append(
            f"{submission['files']} files of label ids for {submission['format']} in {folder / submission['folder']}"
        )
        if archive := submission["archive"]:
            lines.append(f"packed into {folder / archive['file']} ({archive['bytes'] / 1e6:.1f} MB)")
        lines += [f"the server may refuse them: {doubt}" for doubt in submission["doubts"]]
    if scored:
        lines.append(f"scores and pictures in {folder}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def score_tables(report: dict[str, Any]) -> Iterator[Table]:
    """Yield tables of the scores by class, of all classes together, and by group where there are some."""
    classes = Table("class")
    for head in ("IoU", "accuracy", *(["boundary IoU"] if "per_class_boundary_iou" in report else [])):
        classes.add_column(head, justify="right")
    for name in report["per_class"]:
        classes.add_row(*class_row(report, name))
    yield classes
    overall = Table(show_header=False)
    for row in overall_rows(report):
        overall.add_row(*row)
    yield overall
    if report.get("per_group"):
        groups = Table("group", "mIoU", "images")
        for name, group in report["per_group"].items():
            groups.add_row(name, percent(group["miou"]), str(group["images"]))
        yield groups


def size_note(report: dict[str, Any]) -> Iterator[str]:
    """Yield that a model was scored on images of another size than it was trained on, which changes its scores."""
    run = input_size_of_run(str(report["model"]["source"]))
    scored = report["protocol"]["input_size"]
    if run is None or run[0] == scored or report["protocol"]["resolution"] == "logit":
        return
    shown = {int: f"a short side of {scored}", str: "the images' own size"}.get(type(scored), size_text(scored))
    trained = f"a short side of {run[0]}" if isinstance(run[0], int) else size_text(run[0])
    key = str(run[0]).replace(" ", "")
    yield f"trained at {trained} ({run[1]}), scored here at {shown}; data.size={key} scores as it was trained"
