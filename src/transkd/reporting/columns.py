"""Which columns the tables of a report have: their names, units and digits, and the keys of ``report.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from transkd.reporting.collect import LeftOut
from transkd.reporting.rows import Difference, Row, Spread, known
from transkd.reporting.tables import ABSENT, Column, TextTable
from transkd.runs.results import Results

READINGS = {
    "above the noise": ("a gain", "gain"),
    "below the noise": ("a loss", "loss"),
    "within the noise": ("within the noise", ""),
    "unknown": ("too few seeds to tell", ""),
}
"""A gain's verdict -> in words, and how it is emphasised."""


def number(value: float | None, digits: int) -> str:
    """Return a number with a real minus sign, a dash for None."""
    if value is None:
        return ABSENT
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def signed(value: float | None, digits: int) -> str:
    """Return a number with its sign."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and float(text) else text


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share in percent."""
    return number(None if share is None else 100 * share, digits)


def spread(value: Spread | None) -> str:
    """Return mean and deviation in percent."""
    if value is None or value.std is None:
        return percent(value.mean if value else None)
    return f"{percent(value.mean)} ± {percent(value.std)}"


def points(share: float | None) -> str:
    """Return a difference of shares in signed percentage points."""
    return signed(None if share is None else 100 * share, 2)


def interval(gain: Difference | None) -> str:
    """Return the ends of a gain's interval in points."""
    if gain is None or gain.low is None or gain.high is None:
        return ABSENT
    return f"{points(gain.low)} to {points(gain.high)}"


def reading(row: Row) -> str:
    """Return in words what a gain is worth."""
    return READINGS[row.gain.verdict][0] if row.gain else ABSENT


def score_spread(row: Row, key: str) -> Spread | None:
    """Return mean and deviation over seeds of a score in ``results.json``, None where no run has it."""
    values = known(getattr(run.results, key) for run in row.method.runs)
    return Spread.of(values) if values else None


def score_text(key: str) -> Callable[[Row], str]:
    """Return what shows such a score of a row."""
    return lambda row: spread(score_spread(row, key))


@dataclass(frozen=True)
class Cost:
    """What a network or its training costs.

    Attributes:
        key: in ``report.json`` and ``table.csv``.
        head: of its column, with the unit.
        of_run: its value in a run.
        digits: shown after the point.
        unit: of the head, in units of the value.
        summary: of the values of all seeds.
        by_network: whether it is of all runs of the same network on the same devices, whatever their method.
    """

    key: str
    head: str
    of_run: Callable[[Results], float | None]
    digits: int
    unit: float = 1
    summary: Callable[[Sequence[float]], float] = fmean
    by_network: bool = False

    def value(self, row: Row) -> float | None:
        """Return the cost of a row, None where no run has it."""
        values = known(self.of_run(run.results) for run in (row.network_runs if self.by_network else row.method.runs))
        return self.summary(values) if values else None

    def text(self, row: Row) -> str:
        """Return the cost of a row as its column shows it."""
        value = self.value(row)
        return number(None if value is None else value / self.unit, self.digits)


def losses(key: str) -> Callable[[Results], float | None]:
    """Return what reads a cost of the distillation losses, None in runs without any."""
    return lambda run: getattr(run.distillation_cost, key, None)


SCORES = {"pixel_accuracy": "pixel accuracy, %"}
"""Scores beside the mean IoU, shares in [0, 1]: the key in ``results.json``, head of the column."""
COSTS = (
    Cost("params", "parameters, M", lambda run: run.params, 2, unit=1e6, summary=min),
    Cost("gmacs", "GMAC", lambda run: run.gmacs, 2, summary=min),
    Cost("latency_ms", "latency, ms", lambda run: run.latency_ms, 1, summary=median, by_network=True),
    Cost("steps", "steps", lambda run: run.training.steps, 0),
    Cost("seconds", "training, min", lambda run: run.training.seconds, 1, unit=60),
    Cost("images_per_second", "images/s", lambda run: run.training.images_per_second, 1),
    Cost("peak_memory_mb", "peak memory, MB", lambda run: run.training.peak_memory_mb, 0, summary=max),
    Cost("losses_share", "losses' time, %", losses("losses_share"), 1, unit=0.01),
    Cost("adapter_parameters", "adapters, M", losses("adapter_parameters"), 2, unit=1e6, summary=min),
)
METHOD = Column("method", "text")


def score_table(rows: Sequence[Row], confidence: float, scores: Mapping[str, str] = SCORES) -> TextTable:
    """Return the table of mean IoU, gains, and further scores."""
    columns: dict[Column, Callable[[Row], str]] = {
        METHOD: lambda row: row.method.title,
        Column("seeds"): lambda row: str(row.miou.count),
        Column("mIoU, %"): lambda row: spread(row.miou),
        Column("gain, points"): lambda row: points(row.gain.mean if row.gain else None),
        Column(f"{100 * confidence:g} % interval"): lambda row: interval(row.gain),
        Column("reading", "text"): reading,
        Column("of the gap, %"): lambda row: percent(row.recovered, 1),
    }
    columns |= {Column(head): score_text(key) for key, head in scores.items()}
    emphasis = tuple(READINGS[row.gain.verdict][1] if row.gain else "" for row in rows)
    return TextTable.of(columns, rows, emphasis=emphasis, groups=tuple(row.method.kind for row in rows))


def cost_table(rows: Sequence[Row]) -> TextTable:
    """Return the table of what networks and trainings cost."""
    columns: dict[Column, Callable[[Row], str]] = {METHOD: lambda row: row.method.title}
    columns |= {Column(cost.head): cost.text for cost in COSTS}
    return TextTable.of(columns, rows, groups=tuple(row.method.kind for row in rows))


def class_table(rows: Sequence[Row]) -> TextTable:
    """Return the IoU of each class in percent, a column for each method."""
    names = dict.fromkeys(name for row in rows for name in row.per_class)
    cells = tuple((name, *(percent(row.per_class.get(name), 1) for row in rows)) for name in names)
    return TextTable((Column("class", "text"), *(Column(row.method.title) for row in rows)), cells)


def run_table(rows: Sequence[Row]) -> TextTable:
    """Return each run with its seed, score and folder."""
    columns = METHOD, Column("seed"), Column("mIoU, %"), Column("folder", "code")
    runs = [(row.method.title, run) for row in rows for run in row.method.runs]
    return TextTable(columns, tuple((title, str(r.seed), percent(r.miou), r.folder.as_posix()) for title, r in runs))


def left_out_table(left_out: Sequence[LeftOut]) -> TextTable:
    """Return the folders that are not in the report, with the reasons."""
    columns = Column("folder", "text"), Column("why", "text")
    return TextTable(columns, tuple((one.folder.as_posix(), one.reason) for one in left_out))
