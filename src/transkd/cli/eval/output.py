"""What ``transkd-eval`` writes and prints: its folder, what ``scores.json`` says, and tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from transkd.cli.eval.config import EvalConfig, benchmarks, size_text
from transkd.cli.progress import output, text_table
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


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a ConfigError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror or error}): choose another output=…") from error


def claim_folder(folder: Path) -> None:
    """Make the folder, and remove what an evaluation that was stopped left unfinished.

    Raises:
        ConfigError: it cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            remove_previous(folder, unfinished=True)


def remove_previous(folder: Path, *, unfinished: bool = False) -> None:
    """Remove what a previous evaluation left, or only what one left that was stopped, and nothing else."""
    packed = [*(benchmark.folder for benchmark in benchmarks().values()), ARCHIVE]
    left = [name + UNFINISHED for name in packed]
    for name in left if unfinished else [*packed, *PICTURES, SCORES, PAGE, CONFUSION, SUBMISSION]:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_scores(folder: Path, report: dict[str, Any], evaluation: Evaluation) -> None:
    """Write scores, page and confusion matrix."""
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
    size, views = config.input_size, config.views(config.input_size)
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
    protocol, scored = report["protocol"], "per_class" in report
    print(f"{report['model']['source']} on {protocol['dataset']}, {protocol['split']}, {report['images']} images")
    if scored:
        boundary = ["boundary IoU"] if "per_class_boundary_iou" in report else []
        rows = [class_row(report, name) for name in report["per_class"]]
        tables = [text_table(["class", "IoU", "accuracy", *boundary], rows)]
        tables.append(text_table(["all classes", ""], overall_rows(report)))
        if groups := report.get("per_group"):
            rows = [(name, percent(group["miou"]), str(group["images"])) for name, group in groups.items()]
            tables.append(text_table(["group", "mIoU", "images"], rows))
        output().print(*tables)
        print(protocol_line(report))
        _print_size_note(report)
    else:
        print(f"no pixel of these images is labelled: there is nothing to score\n{unscored_line(report)}")
    if submission := report.get("submission"):
        where = folder / submission["folder"]
        print(f"{submission['files']} files of label ids for {submission['format']} in {where}")
        if archive := submission["archive"]:
            print(f"packed into {folder / archive['file']} ({archive['bytes'] / 1e6:.1f} MB)")
        for doubt in submission["doubts"]:
            print(f"the server may refuse them: {doubt}")
    if scored:
        print(f"scores and pictures in {folder}")


def _print_size_note(report: dict[str, Any]) -> None:
    """Print that a model was scored on images of another size than it was trained on, which changes its scores."""
    run = input_size_of_run(str(report["model"]["source"]))
    scored = report["protocol"]["input_size"]
    if run is None or run[0] == scored or report["protocol"]["resolution"] == "logit":
        return
    sizes = (run[0], scored)
    trained, here = (f"a short side of {size}" if isinstance(size, int) else size_text(size) for size in sizes)
    key = str(run[0]).replace(" ", "")
    print(f"trained at {trained} ({run[1]}), scored here at {here}; data.size={key} scores as it was trained")
