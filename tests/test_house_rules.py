"""Rules of the house that no linter checks: which room may import which, and what no file names."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
PACKAGE = TOP / "src/transkd"
BELOW = {
    "models": set(),
    "distillation": {"models"},
    "data": {"models"},
    "evaluation": {"models"},
    "runs": {"evaluation", "models"},
    "prediction": {"data", "evaluation", "models"},
    "profiling": {"evaluation", "models"},
    "training": {"runs", "distillation", "data", "evaluation", "models"},
    "export": {"runs", "data", "evaluation", "models"},
    "reporting": {"runs", "evaluation", "models"},
}
BELOW["cli"] = {*BELOW}
FREE_TO_ALL = {"errors", "files", "lazy", "options"}
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*/**/*.py"))

# Put together here, so that this file does not name them.
PLACES_OF_ONE_MACHINE = [f"/{folder}/" for folder in ("root", "home", "users", "tmp", "work")]
REGISTRIES = [".".join(name) for name in (("pypi", "org"), ("python" + "hosted", "org"), ("anaconda", "org"))]
TEXT = {".py", ".yaml", ".yml", ".toml", ".md", ".sh", ".cfg", ".txt", ".json", ".ipynb", ""}


def imported_rooms(module: Path) -> Iterator[tuple[str, int]]:
    """Yield the rooms that a module imports, at its top or inside functions, with the line."""
    inside = ("transkd", *module.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(inside[: len(inside) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (start, node.module or "") if part)
            names = [f"{source}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "transkd" and len(parts) > 1:
                yield parts[1], getattr(node, "lineno", 0)


def test_every_room_is_known() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == BELOW.keys()
    assert len(MODULES) > 50


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    room = module.split("/")[0]
    allowed = BELOW[room] | FREE_TO_ALL | {room}
    wrong = [f"{module}:{line} imports transkd.{name}" for name, line in imported_rooms(PACKAGE / module)]
    assert not [text for text in wrong if text.rsplit(".", 1)[1] not in allowed]


def test_the_rule_sees_all_forms_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "models/deep/x.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "import transkd.cli.app\n"
        "from transkd import training\n"
        "from transkd.data import SceneDataModule\n"
        "from ...evaluation import scores\n"
        "from . import neighbour\n"
        "def f():\n    from transkd.distillation.csf import CSF\n"
    )
    monkeypatch.setattr("test_house_rules.PACKAGE", tmp_path)
    found = [room for room, _ in imported_rooms(module)]
    assert found == ["cli", "training", "data", "evaluation", "models", "distillation"]


def committed_files() -> list[Path]:
    """Return the files that git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=TOP,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [TOP / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in files if path.is_file() and path.suffix in TEXT and path.name != "LICENSE"]


def test_no_file_names_a_machine_or_a_registry() -> None:
    files = committed_files()
    assert len(files) > 100
    found = [
        f"{path.relative_to(TOP)}:{number}: {word}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").lower().splitlines(), start=1)
        for word in (*PLACES_OF_ONE_MACHINE, *REGISTRIES)
        if word in line
    ]
    assert not found
