"""The wheel holds all that the commands need, and works where nothing else of the checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import transkd

TOP = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not (TOP / "pyproject.toml").is_file(), reason="not a checkout")


def without_python_paths() -> dict[str, str]:
    """Return the environment with no ``PYTHONPATH`` and the like."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def call(*command: str | Path, cwd: Path) -> str:
    """Run a program, which must succeed; return what it printed."""
    arguments = [str(word) for word in command]
    done = subprocess.run(arguments, cwd=cwd, env=without_python_paths(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, without a network."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, TOP, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own, which sees this one's libraries but not its transkd.

    Libraries come by a path file; path files of a folder that comes so, such as an editable install's, are not read.
    """
    environment = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin/python"
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    call(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=environment)
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    libraries = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    (site_packages / "libraries.pth").write_text("\n".join(libraries) + "\n")
    return environment


def test_the_wheel_holds_package_configs_types_and_licence_alone(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"transkd/conf/{path.relative_to(TOP / 'conf').as_posix()}" for path in (TOP / "conf").rglob("*.yaml")}
    modules = {
        f"transkd/{path.relative_to(TOP / 'src/transkd').as_posix()}" for path in TOP.glob("src/transkd/**/*.py")
    }
    assert len(configs) > 30
    assert configs <= names
    assert modules <= names
    assert "transkd/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"transkd", f"transkd-{transkd.__version__}.dist-info"}

    inside = [name for name in names if ".dist-info/" not in name]
    assert not [name for name in inside if "test" in name.lower() or "__pycache__" in name]
    assert {Path(name).suffix for name in inside} == {".py", ".yaml", ".html", ".typed"}


def test_the_installed_copy_is_what_runs_and_finds_its_configs(installed: Path, tmp_path: Path) -> None:
    code = "import transkd; from transkd.cli.commands import config_folder; print(transkd.__file__, config_folder())"
    found = call(installed / "bin/python", "-c", code, cwd=tmp_path).split()
    assert len(found) == 2
    assert all(Path(path).is_relative_to(installed) for path in found)
    out = call(installed / "bin/transkd-train", "+experiment=acdc_mitb0", "--cfg", "job", cwd=tmp_path)
    assert "lr: 6.0e-05" in out
    assert "name: acdc" in out
    assert str(TOP) not in out


@pytest.mark.slow
def test_an_installed_command_has_all_its_modules(installed: Path, tmp_path: Path) -> None:
    """A wrong value is found by training's own checks, which reach into every room."""
    arguments = ["+experiment=camvid_mitb0", "distilation=transkd_ea", "seed=abc"]
    done = subprocess.run(
        [installed / "bin/transkd-train", *arguments],
        cwd=tmp_path,
        env=without_python_paths(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "transkd-train: there are 2 mistakes in the arguments:\n"
        "  distilation: there is no such key; did you mean 'distillation'?\n"
        "  seed: give a whole number (it is 'abc')\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_command_is_installed(installed: Path, tmp_path: Path) -> None:
    for command in ("train", "eval", "predict", "export", "profile", "data", "report", "doctor"):
        assert "Examples" in call(installed / f"bin/transkd-{command}", "--help", cwd=tmp_path)
