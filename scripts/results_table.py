"""Print runs as a Markdown table: a row a method, mean and standard deviation over seeds, and optionally classes.

    python scripts/results_table.py runs/camvid_* [--classes]

Runs of different data or protocol are refused: their scores do not compare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from transkd.errors import ConfigError
from transkd.evaluation import require_comparable

Results = dict[str, Any]


def main() -> None:
    """Read ``results.json`` of each run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--classes", action="store_true", help="also a table of the classes' IoU")
    arguments = parser.parse_args()
    unfinished = [str(run) for run in arguments.runs if not (run / "results.json").is_file()]
    if unfinished:
        parser.error(f"no results.json, so no finished run: {', '.join(unfinished)}")
    results = [json.loads((run / "results.json").read_text()) for run in arguments.runs]
    try:
        require_comparable({str(run): result for run, result in zip(arguments.runs, results, strict=True)})
    except ConfigError as error:
        sys.exit(str(error))
    methods: dict[str, list[Results]] = defaultdict(list)
    for result in results:
        methods[method(result)].append(result)
    print("\n".join(score_table(methods)))
    if arguments.classes:
        print("\n" + "\n".join(class_table(methods)))
    first = results[0]
    print(f"\nProtocol: `{json.dumps(first['protocol'])}`; {first['data']['count']} scenes; device: {first['device']}.")


def method(result: Results) -> str:
    """Return what a row is called."""
    if result["distillation"] == "none":
        return f"{result['backbone']}, labels only"
    return f"{result['backbone']}, {result['distillation']}"


def score_table(methods: dict[str, list[Results]]) -> list[str]:
    """Return the lines of the table of scores and costs."""
    lines = [
        "| method | mIoU | pixel accuracy | seed | parameters | GMAC | steps | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, runs in methods.items():
        first = runs[0]
        minutes = statistics.mean(run["training"]["seconds"] for run in runs) / 60
        scores = [spread([run[score] for run in runs]) for score in ("miou", "pixel_accuracy")]
        lines.append(
            f"| {title} | {scores[0]} | {scores[1]} | "
            f"{', '.join(str(run['seed']) for run in runs)} | {first['params'] / 1e6:.2f} M | {first['gmacs']:.2f} | "
            f"{first['training']['steps']} | {minutes:.1f} |"
        )
    return lines


def class_table(methods: dict[str, list[Results]]) -> list[str]:
    """Return the lines of the table of classes, mean over seeds."""
    names = next(iter(methods.values()))[0]["per_class"]
    lines = [f"| class | {' | '.join(methods)} |", f"| --- |{' --- |' * len(methods)}"]
    for name in names:
        cells = []
        for runs in methods.values():
            values = [run["per_class"][name] for run in runs if run["per_class"][name] is not None]
            cells.append(f"{100 * statistics.mean(values):.1f}" if values else "absent")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def spread(values: list[float]) -> str:
    """Return percentages as mean, with standard deviation and each value where there are several."""
    percent = [100 * value for value in values]
    if len(percent) == 1:
        return f"{percent[0]:.2f}"
    each = ", ".join(f"{value:.2f}" for value in percent)
    return f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} ({each})"


if __name__ == "__main__":
    main()
