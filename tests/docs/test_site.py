"""The site: built strictly and offline from pages that read well on GitHub too."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from docs_notebooks import notebook_page
from docs_site import SiteError, build_site

TOP = Path(__file__).resolve().parents[2]
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("source", "srcset"), ("iframe", "src")}


class Page(HTMLParser):
    """What a built page links to, loads and can be linked at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if (tag, name) in LOADED and value:
                self.loaded.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built") / "site"
    build_site(output)
    return output


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_of_docs_and_every_notebook_is_built(pages: dict[Path, Page], site: Path) -> None:
    names = {path.relative_to(site).with_suffix("").as_posix() for path in pages}
    written = {path.relative_to(TOP / "docs").with_suffix("").as_posix() for path in (TOP / "docs").rglob("*.md")}
    notebooks = {f"notebooks/{path.stem}" for path in (TOP / "notebooks").glob("*.ipynb")}
    assert notebooks
    assert written | notebooks <= names


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    for path, page in pages.items():
        for address in page.loaded:
            parts = urlsplit(address)
            assert not parts.scheme or parts.scheme == "data", f"{path}: {address}"
            assert not parts.netloc, f"{path}: {address}"
            assert parts.scheme == "data" or (path.parent / unquote(parts.path)).exists(), f"{path}: {address}"
    assert "url(http" not in "".join(sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css"))


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path}: {link}"
            checked += 1
    assert checked > 1000


def small_repository(folder: Path, index: str) -> Path:
    for name in ("docs", "notebooks", "code"):
        (folder / name).mkdir(parents=True)
    (folder / "docs/index.md").write_text(index)
    (folder / "docs/other.md").write_text(
        "# Other\n\n## Here\n\nBack to [home](../README.md#x), see [code](../code/a.py).\n"
    )
    (folder / "README.md").write_text("# Read me\n")
    (folder / "code/a.py").write_text("answer = 42\n")
    config = yaml.safe_load((TOP / "mkdocs.yml").read_text())
    config |= {"nav": [{"Home": "index.md"}, {"Other": "other.md"}], "extra_css": []}
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(config))
    return folder


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("[gone](gone.md)", "docs/index.md: gone.md leads to nothing"),
        ("![gone](images/gone.png)", "docs/index.md: images/gone.png leads to nothing"),
        ("[gone](../code/b.py)", r"docs/index.md: \.\./code/b.py leads to nothing"),
        ("[gone](other.md#nowhere)", "anchor does not exist"),
        (r"$\nocommand$", r"docs/index.md: \\nocommand in the equation"),
    ],
)
def test_what_is_wrong_in_a_page_ends_the_build(tmp_path: Path, index: str, message: str) -> None:
    with pytest.raises(SiteError, match=message):
        build_site(tmp_path / "site", small_repository(tmp_path / "top", f"# Home\n\n{index}\n"))
    assert not (tmp_path / "site").exists()


def notebook(path: Path, *outputs: dict[str, object]) -> Path:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Text with [docs](../docs/other.md)."]},
        {"cell_type": "code", "source": ["1 + 1"], "outputs": list(outputs)},
    ]
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_a_notebook_is_a_page_with_its_outputs(tmp_path: Path) -> None:
    pixel = "iVBORw0KGgo="
    page = notebook_page(
        notebook(
            tmp_path / "n.ipynb",
            {"output_type": "stream", "name": "stdout", "text": ["10 %\r", "done \x1b[1mbold\x1b[0m\n"]},
            {"output_type": "execute_result", "data": {"text/plain": ["2"], "text/html": ["<b>2</b>"]}},
            {"output_type": "display_data", "data": {"image/png": pixel, "text/plain": ["<Figure>"]}},
        )
    )
    assert page.text == (
        "# Title\n\n*A notebook: [n.ipynb](n.ipynb) runs in Jupyter, after `pip install -e .` in a checkout.*\n\n"
        "Text with [docs](../docs/other.md).\n\n```python\n1 + 1\n```\n\n```text\ndone bold\n```\n\n```text\n2\n```\n\n"
        "![what the cell above draws](n-1.png)\n"
    )
    assert page.pictures == {"n-1.png": b"\x89PNG\r\n\x1a\n"}


def test_a_notebook_that_failed_is_refused(tmp_path: Path) -> None:
    failed = {"output_type": "error", "ename": "KeyError", "evalue": "'x'"}
    with pytest.raises(ValueError, match=r"n\.ipynb was saved with an error: KeyError: 'x'"):
        notebook_page(notebook(tmp_path / "n.ipynb", failed))


def test_a_folder_that_is_no_site_is_left_alone(tmp_path: Path) -> None:
    top, folder = small_repository(tmp_path / "top", "# Home\n"), tmp_path / "folder"
    folder.mkdir()
    build_site(folder, top)
    build_site(folder, top)
    (folder / "404.html").unlink()
    (folder / "thesis.md").write_text("years of work")
    with pytest.raises(SiteError, match="folder is there already and is no site: give another folder"):
        build_site(folder, top)
    assert (folder / "thesis.md").read_text() == "years of work"
