"""Links of a repository's pages, as the site needs them: a page has the same links on GitHub and on the site."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CODE = re.compile(r"(^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$|`[^`\n]*`|<!--.*?-->)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<before>\]\(|(?:src|srcset|href)=\")(?P<target>[^)\"\s]+)(?P<after>[)\"])")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|/")
RENAMED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}


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
