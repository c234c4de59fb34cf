"""Print the table of a report with its notes, for a page of the documentation; `fill.py` puts it there.

python scripts/report_section.py report --plots docs/results/camvid |
  python scripts/fill.py docs/results/camvid.md camvid
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

PLOT = re.compile(r"### (?P<title>.+)\n\n!\[.+\]\((?P<file>.+)\)\n\n")


def section(report: Path, plots: Path | None, wanted: set[str]) -> str:
    """Return the report's section, with its wanted plots copied to a folder beside the page."""
    body = (report / "report.md").read_text(encoding="utf-8").partition("## Scores\n")[2].partition("\n## ")[0]

    def moved(found: re.Match[str]) -> str:
        file = report / found["file"]
        if plots is None or file.stem not in wanted:
            return ""
        plots.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, plots / file.name)
        return found[0].replace(f"({found['file']})", f"({plots.name}/{file.name})")

    return PLOT.sub(moved, body).strip()


def scores_only(text: str) -> str:
    """Return the table of scores and the notes, but for the one on the table of costs."""
    lines = text.partition("\n### ")[0].strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("- Latency "))


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="the folder that transkd-report wrote")
    parser.add_argument("--plots", type=Path, help="a folder beside the page, where plots are copied to")
    parser.add_argument("--which", default="gains,curves,classes", help="which plots (%(default)s)")
    parser.add_argument("--scores", action="store_true", help="the scores and their notes only")
    given = parser.parse_args()
    if not (given.report / "report.md").is_file():
        parser.error(f"there is no report in {given.report}: transkd-report runs=… output={given.report} writes one")
    text = section(given.report, given.plots, set(given.which.split(",")))
    print(scores_only(text) if given.scores else text)


if __name__ == "__main__":
    main()
