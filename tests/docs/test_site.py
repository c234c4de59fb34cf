"""The site: built strictly and offline from pages that read well on GitHub too; every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from doc_pages import TOP
from docs_site import SiteError, build_site

LOADED = re.compile(r"<(?:script|img|source|iframe|link)\b[^>]*?\s(?:src|href|srcset)=\"?([^\s\">]+)")
LINK = re.compile(r"<a\b[^>]*?\shref=\"?([^\s\">]+)")
ANCHOR = re.compile(r"\sid=\"?([^\s\">]+)")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built") / "site"
    build_site(output)
    return output


@pytest.mark.slow
def test_every_page_is_built_and_loads_and_links_to_what_is_there(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html") if path.name != "404.html"}
    names = {path.relative_to(site).with_suffix("").as_posix() for path in pages}
    written = {path.relative_to(TOP / "docs").with_suffix("").as_posix() for path in (TOP / "docs").rglob("*.md")}
    notebooks = {f"notebooks/{path.stem}" for path in (TOP / "notebooks").glob("*.ipynb")}
    assert notebooks
    assert written | notebooks <= names
    anchors = {path: {unquote(name) for name in ANCHOR.findall(text)} for path, text in pages.items()}
    links = 0
    for path, text in pages.items():
        for address in LOADED.findall(text):
            parts = urlsplit(address)
            assert parts.scheme in ("", "data"), f"{path} loads {address}"
            assert parts.scheme or (path.parent / unquote(parts.path)).exists(), f"{path} loads {address}"
        for link in map(urlsplit, LINK.findall(text)):
            if link.scheme or link.netloc:
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path}: {link.geturl()}"
            assert not link.fragment or unquote(link.fragment) in anchors.get(target, {unquote(link.fragment)}), link
            links += 1
    assert links > 1000


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("[gone](gone.md)", "docs/index.md: gone.md leads to nothing"),
        ("![gone](images/gone.png)", "docs/index.md: images/gone.png leads to nothing"),
        ("[gone](other.md#nowhere)", "anchor does not exist"),
        (r"$\nocommand$", r"docs/index.md: \\nocommand in the equation"),
    ],
)
def test_what_is_wrong_in_a_page_ends_the_build(tmp_path: Path, index: str, message: str) -> None:
    for name in ("docs", "notebooks"):
        (tmp_path / "top" / name).mkdir(parents=True)
    (tmp_path / "top/docs/index.md").write_text(f"# Home\n\n{index}\n")
    (tmp_path / "top/docs/other.md").write_text("# Other\n")
    config = yaml.safe_load((TOP / "mkdocs.yml").read_text())
    config |= {"nav": [{"Home": "index.md"}, {"Other": "other.md"}], "extra_css": []}
    (tmp_path / "top/mkdocs.yml").write_text(yaml.safe_dump(config))
    with pytest.raises(SiteError, match=message):
        build_site(tmp_path / "site", tmp_path / "top")
    assert not (tmp_path / "site").exists()


def test_a_folder_that_is_no_site_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.md").write_text("years of work")
    with pytest.raises(SiteError, match="is there already and is no site: give another folder"):
        build_site(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.md"]
