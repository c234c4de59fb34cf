"""Gather the site's pages in one folder: docs/, the notebooks, and the source files that pages link to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from docs_links import CODE, Links, site_path, source_path
from docs_mathml import equation_problems
from docs_notebooks import notebook_page

TOP = Path(__file__).resolve().parents[1]
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "bash", ".json": "json"}
ROW, SPAN = re.compile(r"^\|.*\|$", re.MULTILINE), re.compile(r"`[^`]+`")
SOURCE_HEAD = "---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n\n"


def assemble(folder: Path, top: Path = TOP) -> tuple[set[str], list[str]]:
    """Write all pages and their files into a folder.

    Args:
        folder: an empty folder.
        top: the repository.

    Returns:
        The pages' paths below the folder without the shown sources, and a line for each link
        that leads nowhere and each equation that cannot be written.
    """
    links = Links(top)
    pages: set[str] = set()
    for path in sorted((top / "docs").rglob("*")):
        if path.is_file():
            name = PurePosixPath(path.relative_to(top).as_posix())
            if path.suffix == ".md":
                pages.add(site_path(name).as_posix())
                _write(folder / site_path(name), _checked(path.read_text(encoding="utf-8"), name, links))
            else:
                _write(folder / site_path(name), path.read_bytes())
    for path in sorted((top / "notebooks").glob("*.ipynb")):
        pages.add(_notebook(path, folder, links))
    for name in sorted(links.sources):
        _write(folder / source_path(name), _source_page(top, name))
    return pages, links.problems


def _notebook(path: Path, folder: Path, links: Links) -> str:
    name = PurePosixPath("notebooks", path.name)
    page = notebook_page(path, lambda text: _checked(text, name, links))
    target = folder / site_path(name)
    _write(target, page.text)
    for file, content in page.pictures.items():
        _write(target.parent / file, content)
    shutil.copy(path, target.parent)
    return site_path(name).as_posix()


def _checked(text: str, name: PurePosixPath, links: Links) -> str:
    links.problems += [f"{name}: {problem}" for problem in equation_problems(CODE.sub("", text))]
    return bars_in_code(links.rewritten(text, name))


def bars_in_code(text: str) -> str:
    """Return a page with bars in code in tables as the site's Markdown reads them: bare, where GitHub wants ``\\|``."""
    return ROW.sub(lambda row: SPAN.sub(lambda span: span[0].replace("\\|", "|"), row[0]), text)


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _source_page(top: Path, name: PurePosixPath) -> str:
    path = top / name
    if path.is_dir():
        listed = "\n".join(
            f"- `{item.relative_to(path).as_posix()}`" for item in sorted(path.rglob("*")) if _is_shown(item)
        )
        return f"{SOURCE_HEAD}# `{name}/`\n\n{listed}\n"
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return f"{SOURCE_HEAD}# `{name}`\n\n`````markdown\n{text}\n`````\n"
    return f"{SOURCE_HEAD}# `{name}`\n\n`````{LANGUAGES.get(path.suffix, 'text')}\n{text}\n`````\n"


def _is_shown(path: Path) -> bool:
    return path.is_file() and path.suffix in {*LANGUAGES, ".md", ".ipynb"} and "__pycache__" not in path.parts


def nav_pages(entries: Any) -> Iterator[str]:
    """Yield the pages that a navigation names."""
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        for inner in entries.values():
            yield from nav_pages(inner)
    else:
        for inner in entries:
            yield from nav_pages(inner)
