"""What a reader has to know beside the numbers, in sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from transkd.reporting.cells import Cells, percent
from transkd.reporting.collect import LeftOut
from transkd.reporting.methods import PLAIN_STUDENT as PLAIN
from transkd.reporting.rows import Row
from transkd.runs.finished import Run, recipe_facts
from transkd.runs.recipe import shown

NOT_RECORDED = "not recorded"
RECIPE = "recipe of the students"
LITERAL = ("protocol", RECIPE)
"""Facts that are values as a program writes them."""


def recipe(runs: Sequence[Run]) -> str:
    """Return what training shared among the students of a table, who come last; the start of those with their own."""
    facts = recipe_facts(next((run for run in reversed(runs) if not run.starts_from_teacher), runs[-1]))
    return " ".join(f"{key}={shown(value)}" for key, value in sorted(facts.items()))


def made_by(runs: Sequence[Run]) -> dict[str, str]:
    """Return how runs were made, name -> text; what not all have in common lists every value."""
    results = [run.results for run in runs]
    versions = dict.fromkeys(", ".join(f"{name} {text}" for name, text in one.versions.items()) for one in results)
    facts = {
        "protocol": json.dumps(results[0].protocol),
        "scored on": f"{results[0].data.count} scenes, file list {results[0].data.sha256[:12]}",
        "device": "; ".join(dict.fromkeys(one.device or NOT_RECORDED for one in results)),
        "versions": "; ".join(text or NOT_RECORDED for text in versions),
    }
    facts[RECIPE] = recipe(runs)
    precision = dict.fromkeys(one.training.precision for one in results if one.training.precision)
    return facts | ({"training precision": ", ".join(precision)} if precision else {})


def run_cells(rows: Sequence[Row]) -> Cells:
    """Return each run with its seed, score and folder."""
    return Cells(
        ("method", "seed", "mIoU, %", "folder"),
        tuple(
            (row.method.title, str(run.seed), percent(run.miou), run.folder.as_posix())
            for row in rows
            for run in row.method.runs
        ),
    )


def commands(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the commands that made the runs: method and seeds, command.

    Runs of a method whose commands differ in the seed alone, there and in a name that ends with it, are one: the
    command is the first one's.
    """
    found = []
    for row in rows:
        alike: dict[str, list[Run]] = {}
        for run in row.method.runs:
            alike.setdefault(_without_seed(run), []).append(run)
        for first, *others in alike.values():
            seeds = f"seed {first.seed}"
            if others:
                seeds += f", likewise {', '.join(str(run.seed) for run in others)}"
            found.append((f"{row.method.title}, {seeds}", first.results.command or NOT_RECORDED))
    return found


def _without_seed(run: Run) -> str:
    return re.sub(rf"(\bseed=|-s){run.seed}(?=['\s]|$)", r"\1SEED", run.results.command or NOT_RECORDED)


def left_out_cells(left_out: Sequence[LeftOut]) -> Cells:
    """Return the folders that are of no use, with the reasons."""
    return Cells(("folder", "why"), tuple((one.folder.as_posix(), one.reason) for one in left_out))


def table_notes(rows: Sequence[Row], confidence: float, baseline: str = PLAIN) -> tuple[str, ...]:
    """Return the sentences on a table: how intervals were made, what is absent and why, what to beware of.

    Args:
        rows: of the table.
        confidence: of the intervals.
        baseline: what gains are over, as it reads in a sentence.
    """
    runs = [run for row in rows for run in row.method.runs]
    return (
        *_spread_notes(rows),
        *_gain_notes(rows, confidence, baseline),
        *_gap_notes(rows),
        *_selection_notes(runs),
        *_cost_notes(rows),
    )


def _spread_notes(rows: Sequence[Row]) -> Iterator[str]:
    if any(row.miou.std is not None for row in rows):
        yield "± is the sample standard deviation over seeds (n - 1)."
    single = [row.method.title for row in rows if row.miou.count == 1 and row.method.kind != "teacher"]
    if single:
        yield f"One seed only, so no deviation and no interval: {', '.join(single)}."


def _gain_notes(rows: Sequence[Row], confidence: float, baseline: str) -> Iterator[str]:
    yield from _baseline_notes(rows, baseline)
    gains = [row.gain for row in rows if row.gain]
    level = f"{100 * confidence:g} %"
    if any(gain.how == "paired" for gain in gains):
        yield f"Intervals are of {level}, by Student's t on the differences seed by seed."
    for row in rows:
        left = _unpaired_seeds(row)
        if row.gain and row.gain.seeds and left:
            paired = ", ".join(map(str, row.gain.seeds))
            yield f"{row.method.title}: gain and interval are of seeds {paired}, which both have; left out: {left}."
        if row.gain and row.gain.how == "unpaired":
            yield f"{row.method.title}: the seeds do not pair with {baseline}'s: Welch's interval ({level})."
    noise = [row.method.title for row in rows if row.gain and row.gain.verdict == "within the noise"]
    if noise:
        yield f"Within the noise (the interval covers 0, so no effect is shown): {', '.join(noise)}."
    below = [row.method.title for row in rows if row.gain and row.gain.verdict == "below the noise"]
    if below:
        yield f"Worse than {baseline}: {', '.join(below)}."
    tested = sum(gain.verdict != "unknown" for gain in gains)
    if tested > 1:
        share = round(1 / (1 - confidence))
        yield (
            f"Each interval is for its method alone: of {share} methods without any effect, one is expected to leave "
            "the noise."
        )


def _unpaired_seeds(row: Row) -> str:
    """Return the seeds that only one side has, such as "3 of plain student"."""
    if row.gain is None or row.baseline is None:
        return ""
    sides = {
        method.title: [str(run.seed) for run in method.runs if run.seed not in row.gain.seeds]
        for method in (row.method, row.baseline)
    }
    return ", ".join(f"{' and '.join(seeds)} of {title}" for title, seeds in sides.items() if seeds)


def _baseline_notes(rows: Sequence[Row], baseline: str) -> Iterator[str]:
    if baseline != PLAIN:
        shared = any(row.recovered is not None for row in rows)
        gap = "; the share of the gap is that between the plain student and its teacher" * shared
        yield f"Gains are over {baseline}{gap}."
        return
    students = {row.method.student for row in rows if row.method.kind == "plain"}
    if any(row.method.kind == "distilled" and row.method.student not in students for row in rows):
        yield (
            "Gains are absent where there is no plain student of the same network and recipe to compare with: train it "
            "with distillation=none."
        )


def _gap_notes(rows: Sequence[Row]) -> Iterator[str]:
    plain = {row.method.student: row.miou.mean for row in rows if row.method.kind == "plain"}
    compared = [row for row in rows if row.method.kind == "distilled" and row.method.student in plain]
    if compared and not any(row.method.kind == "teacher" for row in rows):
        yield "There is no teacher's run in this table, so the share of the gap that was recovered is absent."
    lower = [
        row.method.title
        for row in compared
        if row.method.teachers
        and sum(run.miou for run in row.method.teachers) / len(row.method.teachers) <= plain[row.method.student]
    ]
    if lower:
        yield f"The teacher is not above the plain student, so there is no gap to recover: {', '.join(lower)}."


def _selection_notes(runs: Sequence[Run]) -> Iterator[str]:
    if any(run.results.checkpoint.chosen == "best" for run in runs):
        yield (
            "Scores are of the best validated epoch, chosen on the split that is reported: higher than on data that "
            "nothing was chosen on."
        )
    if any(run.results.training.stopped_by == "time" for run in runs):
        yield "Runs were stopped by the clock (trainer.max_time): their budget is time, and their steps differ."


def _cost_notes(rows: Sequence[Row]) -> Iterator[str]:
    runs = [run for row in rows for run in row.method.runs]
    if any(run.results.latency_ms is not None for run in runs):
        yield (
            "Latency is the median over all runs of the same network, each measured as its training ended; "
            "`transkd-profile` compares networks side by side."
        )
    if len({run.results.device for run in runs}) > 1:
        yield "The runs were made on different machines: latencies, seconds and memory do not compare between them."
