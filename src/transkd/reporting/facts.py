"""How a table's runs were made: protocol, files, machine, versions, and the command of each."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from transkd.reporting.cells import Cells, percent
from transkd.reporting.collect import LeftOut
from transkd.reporting.recipes import recipe_facts, shown
from transkd.reporting.rows import Row
from transkd.reporting.runs import Run

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
