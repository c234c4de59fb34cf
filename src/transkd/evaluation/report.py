"""The report of one pass over a split: all scores as plain values, and as a Markdown page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from transkd.evaluation.scores import (
    Scores,
    bootstrap_interval,
    by_class,
    category_ious,
    class_accuracies,
    finite,
    frequency_weighted_iou,
    mean_iou,
)

CONFIDENCE = 0.95
OVERALL = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_iou": "boundary IoU",
    "category_miou": "category mIoU",
}


@dataclass(frozen=True)
class Evaluation:
    """What one pass over a split counted.

    Attributes:
        confusion: (N, K, K) counts of each image, rows are labels and columns predictions.
        images: (N,) the images' indices in the split.
        boundary: (2, K) counts for the boundary IoU, None where it was not counted.
        class_names: K names.
    """

    confusion: Tensor
    images: Tensor
    boundary: Tensor | None
    class_names: tuple[str, ...]

    @property
    def scores(self) -> Scores:
        """Mean IoU, pixel accuracy and IoU of each class over all images."""
        return Scores.from_confusion(self.confusion.sum(0), self.class_names)

    def image_mious(self) -> Tensor:
        """Return the mean IoU of each image (N) over the classes that occur in it; NaN where nothing is labelled."""
        return mean_iou(self.confusion)

    def ranked(self) -> list[int]:
        """Return indices in the split, from the best image to the worst; those without labels are left out."""
        scores = self.image_mious()
        order = sorted(range(len(scores)), key=lambda row: (-float(scores[row]), row))
        return [int(self.images[row]) for row in order if not math.isnan(float(scores[row]))]

    def report(
        self,
        *,
        groups: Sequence[str] = (),
        categories: Mapping[str, str] | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return all scores as plain values, shares in [0, 1], None where a class or a group has no labelled pixel.

        Args:
            groups: the group of each sample of the split; empty for none.
            categories: class name -> category, where the dataset has them.
            resamples: bootstrap resamples of the images.
            seed: of the resamples.
        """
        total = self.confusion.sum(0)
        overall = self.scores.as_dict()
        accuracies = class_accuracies(total)
        interval = bootstrap_interval(self.confusion, resamples=resamples, confidence=CONFIDENCE, seed=seed)
        report: dict[str, Any] = {
            "miou": overall["miou"],
            "miou_interval": None
            if interval is None
            else {"low": interval[0], "high": interval[1], "confidence": CONFIDENCE, "resamples": resamples},
            "pixel_accuracy": overall["pixel_accuracy"],
            "mean_accuracy": finite(accuracies.nanmean()),
            "frequency_weighted_iou": finite(frequency_weighted_iou(total)),
            "boundary_iou": None,
            "per_class": overall["per_class"],
            "per_class_accuracy": by_class(accuracies, self.class_names),
        }
        if self.boundary is not None:
            ious = self.boundary[0].double() / self.boundary[1]
            report["boundary_iou"] = finite(ious.nanmean())
            report["per_class_boundary_iou"] = by_class(ious, self.class_names)
        if categories is not None:
            by_category = category_ious(total, self.class_names, categories)
            report["per_category"] = by_category
            report["category_miou"] = sum(by_category.values()) / len(by_category) if by_category else None
        if groups:
            report["per_group"] = self.by_group([groups[int(image)] for image in self.images])
        report["images"] = len(self.images)
        return report

    def by_group(self, groups: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the scores of each group in order of name, from the group of each image; "" is no group."""
        found: dict[str, dict[str, Any]] = {}
        for name in sorted(set(groups) - {""}):
            confusion = self.confusion[torch.tensor([group == name for group in groups])].sum(0)
            found[name] = {**Scores.from_confusion(confusion, self.class_names).as_dict(), "images": groups.count(name)}
        return found


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
    """Return a report as a Markdown page, with how it was made."""
    lines = [f"# {report['model']['source']} on {report['protocol']['dataset']}, {report['protocol']['split']}", ""]
    lines += markdown_table(("measure", "%"), overall_rows(report))
    has_boundary = "per_class_boundary_iou" in report
    heads = ("class", "IoU", "accuracy", *(["boundary IoU"] if has_boundary else []))
    lines += markdown_table(heads, [class_row(report, name) for name in report["per_class"]])
    if report.get("per_category"):
        lines += markdown_table(("category", "IoU"), [(k, percent(v)) for k, v in report["per_category"].items()])
    if report.get("per_group"):
        groups = report["per_group"].items()
        rows = [(n, percent(g["miou"]), percent(g["pixel_accuracy"]), str(g["images"])) for n, g in groups]
        lines += markdown_table(("group", "mIoU", "pixel accuracy", "images"), rows)
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
    parts = [f"protocol {protocol['name']}: input {size_text(protocol['input_size'])}", f"scored {where}"]
    return "; ".join([*parts, *view_parts(report)])


def unscored_line(report: Mapping[str, Any]) -> str:
    """Return how the predictions of a report without scores were made, in the form of :func:`protocol_line`."""
    return "; ".join([f"input {size_text(report['protocol']['input_size'])}", *view_parts(report)])


def view_parts(report: Mapping[str, Any]) -> list[str]:
    """Return what differs from one plain pass over the whole image; its precision."""
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


def size_text(size: int | str | Sequence[int]) -> str:
    """Return an input size in words."""
    if isinstance(size, int):
        return f"short side {size}"
    return size if isinstance(size, str) else "x".join(map(str, size))


def class_row(report: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a class's name and its measures as percentages."""
    measures = [report["per_class"], report["per_class_accuracy"], report.get("per_class_boundary_iou")]
    return (name, *(percent(values[name]) for values in measures if values is not None))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, numbers to the right."""
    lines = [" | ".join(heads), " | ".join("---" if i == 0 else "---:" for i in range(len(heads)))]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return [f"| {line} |" for line in (*lines, *(" | ".join(row) for row in cells))] + [""]
