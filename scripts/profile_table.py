"""Print the JSON of transkd-profile as a Markdown table, and how its rows compare with the first one.

transkd-profile models=[mit_b0,lvt] output=costs.json
python scripts/profile_table.py costs.json | python scripts/fill.py docs/profile.md costs
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HEADINGS = (
    "model",
    "back end",
    "precision",
    "parameters",
    "GMAC",
    "without attention",
    "as published",
    "peak MB",
    "median ms",
    "p95 ms",
    "time of the first",
)


def main() -> None:
    """Read the profile and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", type=Path, help="what transkd-profile wrote as output=….json")
    given = parser.parse_args()
    if not given.profile.is_file():
        parser.error(f"there is no profile {given.profile}")
    found = json.loads(given.profile.read_text(encoding="utf-8"))
    rows = [row for row in found["rows"] if row["problem"] is None]
    print(f"| {' | '.join(HEADINGS)} |")
    print(f"| --- | --- | --- |{' ---: |' * (len(HEADINGS) - 3)}")
    for row in rows:
        print(f"| {' | '.join(cells(row, rows[0]))} |")
    sizes = " and ".join(sorted({"x".join(map(str, row["size"])) for row in rows}))
    print(
        f"\n{found['device']}, {found['threads']} of {found['cores']} cores, torch {found['versions']['torch']}, "
        f"{sizes}, batch {rows[0]['batch']}, {found['runs']} passes in turns after {found['warm_up']}."
    )


def cells(row: dict[str, Any], first: dict[str, Any]) -> list[str]:
    """Return what the row shows."""
    counts = [f"{count:.2f}" for count in row["gmacs"].values()]
    times = row["latency_ms"]
    ratio = times["median"] / first["latency_ms"]["median"]
    return [
        f"`{row['model']}`",
        row["backend"],
        row["precision"],
        f"{row['parameters']:,}",
        *counts,
        f"{row['peak_memory_mb']:.0f}",
        f"{times['median']:.0f}",
        f"{times['p95']:.0f}",
        f"{ratio:.2f}",
    ]


if __name__ == "__main__":
    main()
