"""What a reader has to know beside the numbers: notes on a table in sentences, and how its runs were made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from transkd.reporting.methods import PLAIN_STUDENT
from transkd.reporting.rows import Row
from transkd.runs.finished import Run, recipe_facts
from transkd.runs.recipe import shown

NOT_RECORDED = "not recorded"
RECIPE = "recipe of the students"
LITERAL = ("protocol", RECIPE)
"""Names of values that are shown as code."""


def table_notes(rows: Sequence[Row], confidence: float, baseline: str = PLAIN_STUDENT) -> Iterator[str]:
    """Yield the notes on a table: how intervals were made, what is absent and why, what to beware of."""
    if any(row.miou.std is not None for row in rows):
        yield "± is the sample standard deviation over seeds (n - 1)."
    if single := _titles(row for row in rows if row.miou.count == 1 and row.method.kind != "teacher"):
        yield f"One seed only, so no deviation and no interval: {single}."
    plain = {row.method.student for row in rows if row.method.kind == "plain"}
    distilled = [row for row in rows if row.method.kind == "distilled"]
    compared = [row for row in distilled if row.method.student in plain]
    if baseline != PLAIN_STUDENT:
        gap = "; the share of the gap is that between the plain student and its teacher"
        yield f"Gains are over {baseline}{gap * any(row.recovered is not None for row in rows)}."
    elif len(compared) < len(distilled):
        yield (
            "Gains are absent where there is no plain student of the same network and recipe to compare with: train it "
            "with distillation=none."
        )
    yield from gain_notes(rows, confidence, baseline)
    if compared and not any(row.method.kind == "teacher" for row in rows):
        yield "There is no teacher's run in this table, so the share of the gap that was recovered is absent."
    if lower := _titles(row for row in compared if row.method.teachers and row.recovered is None):
        yield f"The teacher is not above the plain student, so there is no gap to recover: {lower}."
    yield from run_notes([run for row in rows for run in row.method.runs])


def _titles(rows: Iterable[Row]) -> str:
    return ", ".join(row.method.title for row in rows)


def gain_notes(rows: Sequence[Row], confidence: float, baseline: str) -> Iterator[str]:
    """Yield how intervals were made, which seeds they leave out, and what they do not show."""
    level = f"{100 * confidence:g} %"
    if any(row.gain.how == "paired" for row in rows if row.gain):
        yield f"Intervals are of {level}, by Student's t on the differences seed by seed."
    for row in rows:
        if row.gain is None or row.baseline is None:
            continue
        if row.gain.seeds and {*row.method.seeds, *row.baseline.seeds} != set(row.gain.seeds):
            paired = ", ".join(map(str, row.gain.seeds))
            yield f"{row.method.title}: gain and interval are of seeds {paired} alone, which both have."
        if row.gain.how == "unpaired":
            yield f"{row.method.title}: the seeds do not pair with {baseline}'s: Welch's interval ({level})."
    if noise := _titles(row for row in rows if row.gain and row.gain.verdict == "within the noise"):
        yield f"Within the noise (the interval covers 0, so no effect is shown): {noise}."
    if below := _titles(row for row in rows if row.gain and row.gain.verdict == "below the noise"):
        yield f"Worse than {baseline}: {below}."
    if sum(row.gain.verdict != "unknown" for row in rows if row.gain) > 1:
        yield (
            f"Each interval is for its method alone: of {round(1 / (1 - confidence))} methods without any effect, one "
            "is expected to leave the noise."
        )


def run_notes(runs: Sequence[Run]) -> Iterator[str]:
    """Yield what to beware of in scores and costs."""
    if any(run.results.checkpoint.chosen == "best" for run in runs):
        yield (
            "Scores are of the best validated epoch, chosen on the split that is reported: higher than on data that "
            "nothing was chosen on."
        )
    if any(run.results.training.stopped_by == "time" for run in runs):
        yield "Runs were stopped by the clock (trainer.max_time): their budget is time, and their steps differ."
    if any(run.results.latency_ms is not None for run in runs):
        yield (
            "Latency is the median over all runs of the same network, each measured as its training ended; "
            "`transkd-profile` compares networks side by side."
        )
    if len({run.results.device for run in runs}) > 1:
        yield "The runs were made on different machines: latencies, seconds and memory do not compare between them."


def provenance(runs: Sequence[Run]) -> dict[str, str]:
    """Return how runs were made, name -> text; what not all have in common lists every value."""
    results = [run.results for run in runs]
    # students come last; the start is that of those with their own
    recipe = recipe_facts(next((run for run in reversed(runs) if not run.starts_from_teacher), runs[-1]))
    versions = dict.fromkeys(", ".join(f"{name} {text}" for name, text in one.versions.items()) for one in results)
    precisions = dict.fromkeys(one.training.precision for one in results if one.training.precision)
    facts = {
        "protocol": json.dumps(results[0].protocol),
        "scored on": f"{results[0].data.count} scenes, file list {results[0].data.sha256[:12]}",
        "device": "; ".join(dict.fromkeys(one.device or NOT_RECORDED for one in results)),
        "versions": "; ".join(text or NOT_RECORDED for text in versions),
        RECIPE: " ".join(f"{key}={shown(value)}" for key, value in sorted(recipe.items())),
        "training precision": ", ".join(precisions),
    }
    return {name: text for name, text in facts.items() if text or name != "training precision"}


def commands(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Yield the commands that made the runs: method and seeds, command.

    Runs of a method whose commands differ in the seed alone, there and in a name that ends with it, are one: the
    command is the first one's.
    """
    for row in rows:
        alike: dict[str, list[Run]] = {}
        for run in row.method.runs:
            pattern = rf"(\bseed=|-s){run.seed}(?=['\s]|$)"
            alike.setdefault(re.sub(pattern, r"\1SEED", run.results.command or NOT_RECORDED), []).append(run)
        for first, *others in alike.values():
            likewise = f", likewise {', '.join(str(run.seed) for run in others)}" if others else ""
            yield f"{row.method.title}, seed {first.seed}{likewise}", first.results.command or NOT_RECORDED
