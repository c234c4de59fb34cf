"""What ``transkd-eval`` prints: tables of scores, how they were made, and where the files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from transkd.cli.eval_submission import told
from transkd.evaluation.report import class_row, overall_rows, percent, protocol_line, unscored_line
from transkd.runs.folder import input_size_of_run


def print_report(report: dict[str, Any], folder: Path, console: Console) -> None:
    """Print a report, with scores or without, to a console that takes brackets as they are."""
    scored = "per_class" in report
    what = f"{report['protocol']['dataset']}, {report['protocol']['split']}, {report['images']} images"
    _line(console, f"{report['model']['source']} on {what}")
    if scored:
        _print_scores(report, console)
        _line(console, protocol_line(report))
        if note := _size_note(report):
            _line(console, note)
    else:
        _line(console, "no pixel of these images is labelled: there is nothing to score")
        _line(console, unscored_line(report))
    if report.get("submission"):
        for line in told(report["submission"], folder):
            _line(console, line)
    if scored:
        _line(console, f"scores and pictures in {folder}")


def _print_scores(report: dict[str, Any], console: Console) -> None:
    table = Table()
    heads = ["class", "IoU", "accuracy", *(["boundary IoU"] if "per_class_boundary_iou" in report else [])]
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for name in report["per_class"]:
        table.add_row(*class_row(report, name))
    console.print(table)
    summary = Table(show_header=False)
    for row in overall_rows(report):
        summary.add_row(*row)
    console.print(summary)
    if report.get("per_group"):
        groups = Table("group", "mIoU", "images")
        for name, group in report["per_group"].items():
            groups.add_row(name, percent(group["miou"]), str(group["images"]))
        console.print(groups)


def _size_note(report: dict[str, Any]) -> str:
    """Say that a model saw images of another size than it was trained on: its scores are others then."""
    run = input_size_of_run(str(report["model"]["source"]))
    scored = report["protocol"]["input_size"]
    if run is None or run[0] == scored or report["protocol"]["resolution"] == "logit":
        return ""
    trained = str(run[0]).replace(" ", "")
    sizes = f"trained at {_size_text(run[0])} ({run[1]}), scored here at {_size_text(scored)}"
    return f"{sizes}; data.size={trained} scores as it was trained"


def _size_text(size: int | str | list[int]) -> str:
    """Return an input size as people say it."""
    if isinstance(size, list):
        return "x".join(map(str, size))
    return f"a short side of {size}" if isinstance(size, int) else "the images' own size"


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
