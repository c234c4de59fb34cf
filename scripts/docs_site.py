"""Build the documentation as a site that needs no network, neither to be built nor to be read.

    python scripts/docs_site.py [FOLDER]     the site, into FOLDER (site); its index.html opens in a browser
    python -m http.server -d site            serves it, which the search box needs: http://localhost:8000

A link or an anchor that leads nowhere, a page outside the navigation, an equation that cannot be written: each ends the
build with code 1 and its name. SITE_URL in the environment is the address that the site will have.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from docs_mathml import equation_problems

SCRIPTS = Path(__file__).resolve().parent
TOP = SCRIPTS.parent
SITE_FILES = ("index.html", "404.html", "search.json")
"""What every site has; a folder with other files and without these is not replaced."""

CODE = re.compile(r"(^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$|`[^`\n]*`|<!--.*?-->)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<before>\]\(|(?:src|srcset|href)=\")(?P<target>[^)\"\s]+)(?P<after>[)\"])")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|/")
RENAMED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "bash", ".json": "json"}
ROW, SPAN = re.compile(r"^\|.*\|$", re.MULTILINE), re.compile(r"`[^`]+`")
SOURCE_HEAD = "---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n\n"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


class SiteError(Exception):
    """The site cannot be built; the message lists why."""


def build_site(output: Path, top: Path = TOP) -> None:
    """Build the site of a repository.

    Args:
        output: the folder to write; a site that it holds is replaced.
        top: the repository.

    Raises:
        SiteError: with a line for everything that is wrong; or the folder holds something else.
    """
    if output.exists() and not _is_replaceable(output):
        raise SiteError(f"{output} is there already and is no site: give another folder")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        config = yaml.safe_load((top / "mkdocs.yml").read_text(encoding="utf-8"))
        pages, problems = assemble(work / "docs", top)
        named = list(nav_pages(config["nav"]))
        problems += [f"mkdocs.yml: nav names {page}, which is not there" for page in named if page not in pages]
        problems += [f"mkdocs.yml: nav leaves out {page}" for page in sorted(pages.difference(named))]
        if problems:
            raise SiteError("\n".join(problems))
        if os.environ.get("SITE_URL"):
            config["site_url"] = os.environ["SITE_URL"]
        (work / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        _run_zensical(work)
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(work / "site", output)


def _is_replaceable(output: Path) -> bool:
    return output.is_dir() and (not any(output.iterdir()) or all((output / name).is_file() for name in SITE_FILES))


def _run_zensical(work: Path) -> None:
    paths = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(work / "mkdocs.yml")],
        env={**os.environ, "PYTHONPATH": paths, "NO_COLOR": "1"},
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason, _, trace = done.stderr.partition("Traceback (most recent call last)")
        raise SiteError(ANSI.sub("", reason.strip() or trace.strip()) or done.stdout)


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


@dataclass
class NotebookPage:
    """A page and the pictures that it shows.

    Attributes:
        text: the page.
        pictures: file name -> content.
    """

    text: str = ""
    pictures: dict[str, bytes] = field(default_factory=dict)


def notebook_page(path: Path, rewritten: Callable[[str], str] = str) -> NotebookPage:
    """Return the page of a notebook: text, code, and what the code gave when the notebook was saved.

    Args:
        path: the notebook.
        rewritten: gives the text of a cell as the page needs it, such as with other links.

    Raises:
        ValueError: a cell's output is an error.
    """
    page = NotebookPage()
    notebook = json.loads(path.read_text(encoding="utf-8"))
    parts: list[str] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(rewritten(source))
        elif cell["cell_type"] == "code" and source:
            parts.append(_fenced(source, "bash" if source.startswith("%%bash") else "python"))
            parts += _outputs(cell.get("outputs", []), path, page)
    title, _, rest = parts[0].partition("\n")
    note = f"*A notebook: [{path.name}]({path.name}) runs in Jupyter, after `pip install -e .` in a checkout.*"
    page.text = "\n\n".join([title, note, rest.strip(), *parts[1:]]) + "\n"
    return page


def _outputs(outputs: list[dict[str, Any]], path: Path, page: NotebookPage) -> Iterator[str]:
    printed = ""
    for output in outputs:
        if output["output_type"] == "stream":
            printed += "".join(output["text"])
            continue
        if output["output_type"] == "error":
            raise ValueError(f"{path.name} was saved with an error: {output['ename']}: {output['evalue']}")
        if printed.strip():
            yield _shown(printed)
            printed = ""
        yield from _data(output["data"], path, page)
    if printed.strip():
        yield _shown(printed)


def _data(data: dict[str, Any], path: Path, page: NotebookPage) -> Iterator[str]:
    """Yield the best form of one result: a picture, Markdown, or plain text."""
    for kind, ending in PICTURES.items():
        if kind in data:
            name = f"{path.stem}-{len(page.pictures) + 1}.{ending}"
            content = "".join(data[kind])
            page.pictures[name] = content.encode() if ending == "svg" else base64.b64decode(content)
            yield f"![what the cell above draws]({name})"
            return
    if "text/markdown" in data:
        yield "".join(data["text/markdown"])
    elif "".join(data.get("text/plain", "")).strip():
        yield _shown("".join(data["text/plain"]))


def _shown(text: str) -> str:
    lines = ANSI.sub("", text).strip("\n").split("\n")
    return _fenced("\n".join(line.rpartition("\r")[2].rstrip() for line in lines), "text")


def _fenced(text: str, language: str) -> str:
    fence = "```" if "```" not in text else "`````"
    return f"{fence}{language}\n{text}\n{fence}"


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


@dataclass
class Links:
    """Rewrites links, and remembers what they lead to.

    Args:
        top: the repository.

    Attributes:
        sources: files and folders outside docs/ and notebooks/ that pages link to, for which the site has pages.
        problems: a line for each link that leads nowhere.
    """

    top: Path
    sources: set[PurePosixPath] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def rewritten(self, text: str, page: PurePosixPath) -> str:
        """Return a page's text with its links as the site needs them.

        Args:
            text: the page.
            page: its path in the repository, such as ``docs/losses.md``.
        """
        pieces: list[str] = []
        end = 0
        for block in CODE.finditer(text):
            pieces += [self._replaced(text[end : block.start()], page), block[0]]
            end = block.end()
        return "".join([*pieces, self._replaced(text[end:], page)])

    def _replaced(self, text: str, page: PurePosixPath) -> str:
        def replace(found: re.Match[str]) -> str:
            return f"{found['before']}{self._target(found['target'], page)}{found['after']}"

        return LINK.sub(replace, text)

    def _target(self, target: str, page: PurePosixPath) -> str:
        if ELSEWHERE.match(target):
            return target
        name, _, anchor = target.partition("#")
        path = PurePosixPath(os.path.normpath(page.parent / name))
        if path.parts[0] == ".." or not (self.top / path).exists():
            self.problems.append(f"{page}: {target} leads to nothing")
            return target
        home = self._home(path)
        keeps_anchor = anchor and path.parts[0] in ("docs", "notebooks")
        start = site_path(page).parent
        return PurePosixPath(os.path.relpath(home, start)).as_posix() + (f"#{anchor}" if keeps_anchor else "")

    def _home(self, path: PurePosixPath) -> PurePosixPath:
        if path.parts[0] in ("docs", "notebooks") and (self.top / path).is_file():
            return site_path(path)
        renamed = RENAMED.get(path.as_posix())
        if renamed and (self.top / "docs" / renamed).exists():
            return PurePosixPath(renamed)
        self.sources.add(path)
        return source_path(path)


def site_path(path: PurePosixPath) -> PurePosixPath:
    """Return where the site has a page or a file of docs/ or notebooks/."""
    if path.parts[0] == "notebooks":
        return path.with_suffix(".md") if path.suffix == ".ipynb" else path
    return path.relative_to("docs")


def source_path(path: PurePosixPath) -> PurePosixPath:
    """Return where the site shows a file or folder that is no page."""
    return PurePosixPath("source", f"{path}.md")


def main() -> None:
    """Build, and print where the site is."""
    if len(sys.argv) > 2 or any(argument.startswith("-") for argument in sys.argv[1:]):
        sys.exit(__doc__)
    output = Path(sys.argv[1] if len(sys.argv) == 2 else TOP / "site").resolve()
    try:
        build_site(output)
    except SiteError as error:
        sys.exit(str(error))
    print(f"{output / 'index.html'}")


if __name__ == "__main__":
    main()
