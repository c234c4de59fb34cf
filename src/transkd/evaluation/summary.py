"""A score report for people, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

OVERALL = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_iou": "boundary IoU",
    "category_miou": "category mIoU",
}


def percent(value: float | None) -> str:
    """Return a share as a percentage with two decimals, "absent" for None."""
    return "absent" if value is None else f"{100 * value:.2f}"


def overall_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the overall measures of a report that has them, with the confidence interval of the mean IoU."""
    rows = [(title, percent(report[key])) for key, title in OVERALL.items() if report.get(key) is not None]
    interval = report.get("miou_interval")
    if interval:
        title = f"mIoU, {100 * interval['confidence']:.0f} % interval over images"
        rows.insert(1, (title, f"{percent(interval['low'])} to {percent(interval['high'])}"))
    return rows


def markdown(report: Mapping[str, Any]) -> str:
    """Return a report as a Markdown page that says how it was made."""
    lines = [f"# {report['model']['source']} on {report['protocol']['dataset']}, {report['protocol']['split']}", ""]
    lines += _table(("measure", "%"), overall_rows(report))
    has_boundary = "per_class_boundary_iou" in report
    heads = ("class", "IoU", "accuracy", *(["boundary IoU"] if has_boundary else []))
    lines += _table(heads, [class_row(report, name) for name in report["per_class"]])
    if report.get("per_category"):
        lines += _table(("category", "IoU"), [(k, percent(v)) for k, v in report["per_category"].items()])
    if report.get("per_group"):
        groups = report["per_group"].items()
        rows = [(n, percent(g["miou"]), percent(g["pixel_accuracy"]), str(g["images"])) for n, g in groups]
        lines += _table(("group", "mIoU", "pixel accuracy", "images"), rows)
    lines += [
        protocol_line(report),
        "",
        f"As JSON: `{json.dumps(report['protocol'])}`",
        "",
        f"{report['images']} images, file list {report['data']['sha256'][:12]}; "
        + f"weights {report['model']['sha256'][:12]}; "
        + ", ".join(f"{name} {number}" for name, number in report["versions"].items()),
        "",
    ]
    return "\n".join(lines)


def protocol_line(report: Mapping[str, Any]) -> str:
    """Return how the scores of a report were made, as a sentence."""
    protocol = report["protocol"]
    labels = "on labels resized with the images" if protocol["label_size"] == "image" else "on labels of their own size"
    where = "at a quarter of the input" if protocol["resolution"] == "logit" else labels
    parts = [f"protocol {protocol['name']}: input {_size(protocol['input_size'])}", f"scored {where}"]
    return "; ".join([*parts, *_views(report)])


def unscored_line(report: Mapping[str, Any]) -> str:
    """Return how the predictions of a report without scores were made, as :func:`protocol_line` says it."""
    return "; ".join([f"input {_size(report['protocol']['input_size'])}", *_views(report)])


def _views(report: Mapping[str, Any]) -> list[str]:
    protocol, parts = report["protocol"], []
    if protocol["inference"] == "slide":
        crop, stride = ("x".join(map(str, protocol[key])) for key in ("crop", "stride"))
        parts.append(f"windows of {crop} every {stride}")
    if protocol["scales"] != [1.0]:
        parts.append(f"scales {', '.join(f'{scale:g}' for scale in protocol['scales'])}")
    if protocol["flip"]:
        parts.append("mirrored too")
    if report["precision"] is not None:
        parts.append(f"precision {report['precision']}")
    return parts


def _size(size: int | str | Sequence[int]) -> str:
    if isinstance(size, int):
        return f"short side {size}"
    return size if isinstance(size, str) else "x".join(map(str, size))


def class_row(report: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a class's name and its measures as percentages."""
    measures = [report["per_class"], report["per_class_accuracy"], report.get("per_class_boundary_iou")]
    return (name, *(percent(values[name]) for values in measures if values is not None))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [" | ".join(heads), " | ".join("---" if i == 0 else "---:" for i in range(len(heads)))]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return [f"| {line} |" for line in (*lines, *(" | ".join(row) for row in cells))] + [""]
