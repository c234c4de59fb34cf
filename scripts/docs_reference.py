"""Write the pages of the reference that are read off the source.

python scripts/docs_reference.py            write docs/reference/{commands,configs,api}.md
python scripts/docs_reference.py --check    list the stale ones, and end with code 1
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from docs_api import api_page
from docs_commands import commands_page, configs_page

REFERENCE = Path(__file__).resolve().parents[1] / "docs/reference"
NOTE = "<!-- Written by scripts/docs_reference.py: change what it is read from, not this page. -->\n"
PAGES: dict[str, Callable[[], str]] = {"commands.md": commands_page, "configs.md": configs_page, "api.md": api_page}


def stale_pages(folder: Path = REFERENCE) -> list[Path]:
    """Return the stale pages."""
    return [folder / name for name, page in PAGES.items() if _read(folder / name) != NOTE + page()]


def write_pages(folder: Path = REFERENCE) -> None:
    """Write all pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(NOTE + page(), encoding="utf-8")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def main() -> None:
    """Write, or check."""
    if sys.argv[1:] == ["--check"]:
        stale = stale_pages()
        sys.exit("\n".join(f"{path.name} is out of date: python scripts/docs_reference.py" for path in stale) or 0)
    if sys.argv[1:]:
        sys.exit(__doc__)
    write_pages()


if __name__ == "__main__":
    main()
