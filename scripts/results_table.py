"""Print runs as a Markdown table: a row for each method with the score of each seed, and optionally the classes.

    python scripts/results_table.py runs/camvid_* [--classes]

It is the table of transkd-report, with each seed's score in place of gains. Runs that do not compare are refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import transkd
from transkd.errors import ConfigError
from transkd.reporting.columns import COSTS, METHOD, class_table, percent, spread
from transkd.reporting.notes import provenance
from transkd.reporting.rows import Row, Spread, known
from transkd.reporting.tables import Column, TextTable, markdown_table

SHOWN_COSTS = ("params", "gmacs", "steps", "seconds")


def main() -> None:
    """Read the runs and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--classes", action="store_true", help="also a table of the classes' IoU")
    arguments = parser.parse_args()
    try:
        (table,) = transkd.report(*arguments.runs).tables
    except ConfigError as error:
        sys.exit(str(error))
    print("\n".join(markdown_table(score_table(table.rows))))
    if arguments.classes:
        print("\n".join(markdown_table(class_table(table.rows))))
    made = provenance(table.runs)
    print(f"Protocol: `{made['protocol']}`; {made['scored on'].partition(',')[0]}; device: {made['device']}.")


def score_table(rows: Sequence[Row]) -> TextTable:
    """Return the table of scores and costs."""
    columns = {
        METHOD: lambda row: row.method.title,
        Column("mIoU, %"): lambda row: each_seed([run.miou for run in row.method.runs]),
        Column("pixel accuracy, %"): lambda row: each_seed(
            known(run.results.pixel_accuracy for run in row.method.runs)
        ),
        Column("seeds"): lambda row: ", ".join(map(str, row.method.seeds)),
    }
    return TextTable.of(columns | {Column(cost.head): cost.text for cost in COSTS if cost.key in SHOWN_COSTS}, rows)


def each_seed(values: Sequence[float]) -> str:
    """Return shares in percent as mean, with standard deviation and each value where there are several."""
    mean = spread(Spread.of(values) if values else None)
    return mean if len(values) < 2 else f"{mean} ({', '.join(map(percent, values))})"


if __name__ == "__main__":
    main()
