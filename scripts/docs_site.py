"""Build the documentation as a site that needs no network, neither to be built nor to be read.

    python scripts/docs_site.py [FOLDER]     the site, into FOLDER (site); its index.html opens in a browser
    python -m http.server -d site            serves it, which the search box needs: http://localhost:8000

A link or an anchor that leads nowhere, a page outside the navigation, an equation that cannot be written: each ends the
build with code 1 and its name. SITE_URL in the environment is the address that the site will have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from docs_assemble import TOP, assemble, nav_pages
from docs_notebooks import ANSI

SCRIPTS = Path(__file__).resolve().parent

SITE_FILES = ("index.html", "404.html", "search.json")
"""What every site has; a folder with other things in it, and without these, is somebody's."""


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


def main() -> None:
    """Build, and say where the site is."""
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
