"""Put what another script prints between the marks of a document.

python scripts/results_table.py runs/camvid_* | python scripts/fill.py docs/results/camvid.md camvid
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Replace what stands between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` by standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path)
    parser.add_argument("name", help="of the marks")
    given = parser.parse_args()
    if not given.document.is_file():
        parser.error(f"there is no document {given.document}")
    begin, end = f"<!-- {given.name}:begin -->", f"<!-- {given.name}:end -->"
    before, found, rest = given.document.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{given.document} has no marks {begin} … {end}")
    text = sys.stdin.read().strip()
    if not text:
        sys.exit(f"nothing came in, so {given.document} stays as it was")
    given.document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
