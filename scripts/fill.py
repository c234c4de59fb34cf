"""Put what another script prints between the marks of a document.

python scripts/results_table.py runs/camvid_* | python scripts/fill.py docs/results/camvid.md camvid
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Replace what stands between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` by standard input."""
    path, name = Path(sys.argv[1]), sys.argv[2]
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{path} has no marks {begin} … {end}")
    path.write_text(f"{before}{begin}\n{sys.stdin.read().strip()}\n{end}{after}")


if __name__ == "__main__":
    main()
