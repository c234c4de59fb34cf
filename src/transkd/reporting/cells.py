"""A table's numbers as texts, the same in Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from transkd.reporting.rows import Difference, Row, Spread

ABSENT = "–"
MINUS = "−"


class Cells(NamedTuple):
    """A table of texts: column heads, and rows of which the first cell is the name."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def number(value: float | None, digits: int) -> str:
    """Return a number with a real minus sign, a dash for None."""
    if value is None:
        return ABSENT
    text = f"{value:.{digits}f}"
    return text.replace("-", MINUS) if float(text) else text.removeprefix("-")


def signed(value: float | None, digits: int) -> str:
    """Return a number with its sign."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and float(text) else text


def percent(value: float | None, digits: int = 2) -> str:
    """Return a share in percent."""
    return number(None if value is None else 100 * value, digits)


def spread(value: Spread | None) -> str:
    """Return mean and deviation in percent."""
    if value is None:
        return ABSENT
    return percent(value.mean) if value.std is None else f"{percent(value.mean)} ± {percent(value.std)}"


def points(value: float | None) -> str:
    """Return a difference of shares in signed percentage points."""
    return signed(None if value is None else 100 * value, 2)


def interval(gain: Difference | None) -> str:
    """Return the ends of a gain's interval in points."""
    if gain is None or gain.low is None or gain.high is None:
        return ABSENT
    return f"{points(gain.low)} to {points(gain.high)}"


def reading(row: Row) -> str:
    """Return in words what a gain is worth."""
    if row.gain is None:
        return ABSENT
    if row.gain.verdict == "unknown":
        return "too few seeds to tell"
    return {"above the noise": "a gain", "below the noise": "a loss"}.get(row.gain.verdict, row.gain.verdict)


def scores(rows: Sequence[Row], confidence: float) -> Cells:
    """Return the table of scores and gains."""
    columns: dict[str, Callable[[Row], str]] = {
        "method": lambda row: row.method.title,
        "seeds": lambda row: str(row.miou.count),
        "mIoU, %": lambda row: spread(row.miou),
        "gain, points": lambda row: points(row.gain.mean if row.gain else None),
        f"{100 * confidence:g} % interval": lambda row: interval(row.gain),
        "reading": reading,
        "of the gap, %": lambda row: percent(row.recovered, 1),
        "pixel accuracy, %": lambda row: spread(row.pixel_accuracy),
    }
    return _cells(columns, rows)


def costs(rows: Sequence[Row]) -> Cells:
    """Return the table of what networks and trainings cost."""
    columns: dict[str, Callable[[Row], str]] = {
        "method": lambda row: row.method.title,
        "parameters, M": lambda row: number(row.costs.params / 1e6, 2),
        "GMAC": lambda row: number(row.costs.gmacs, 2),
        "latency, ms": lambda row: number(row.costs.latency_ms, 1),
        "steps": lambda row: number(row.costs.steps, 0),
        "training, min": lambda row: number(_minutes(row.costs.seconds), 1),
        "images/s": lambda row: number(row.costs.images_per_second, 1),
        "peak memory, MB": lambda row: number(row.costs.peak_memory_mb, 0),
        "losses' time, %": lambda row: percent(row.costs.losses_share, 1),
        "adapters, M": lambda row: number(_millions(row.costs.adapter_parameters), 2),
    }
    return _cells(columns, rows)


def classes(rows: Sequence[Row]) -> Cells:
    """Return the IoU of each class in percent, a column a method."""
    names = dict.fromkeys(name for row in rows for name in row.per_class)
    heads = ("class", *(row.method.title for row in rows))
    return Cells(heads, tuple((name, *(percent(row.per_class.get(name), 1) for row in rows)) for name in names))


def _cells(columns: dict[str, Callable[[Row], str]], rows: Sequence[Row]) -> Cells:
    return Cells(tuple(columns), tuple(tuple(text(row) for text in columns.values()) for row in rows))


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _millions(count: int | None) -> float | None:
    return None if count is None else count / 1e6
