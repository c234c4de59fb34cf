"""Versions of what transkd depends on, held against its own requirements, and what each extra is for."""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from transkd.cli.doctor_report import Section

EXTRAS = {
    "onnx": "transkd-export format=onnx; .onnx files in transkd-eval, transkd-predict and transkd-profile",
    "sweep": "hydra/launcher=joblib or submitit_slurm",
    "tensorboard": "logger=tensorboard",
    "nyuv2": "transkd-data data=nyuv2, and action=nyuv2",
}
BESIDES = {"transformers": "transkd-profile transformers:…, and to run what transkd-export format=huggingface wrote"}
"""Packages that are used where they are there, and for what."""


def python_section() -> Section:
    """Return what Python and which transkd this is."""
    section = Section("Python and transkd")
    kind = "virtual environment" if sys.prefix != sys.base_prefix else "system"
    kind = "conda" if (Path(sys.prefix) / "conda-meta").is_dir() else kind
    bits = "" if struct.calcsize("P") == 8 else ", 32 bits"
    section.add("Python", f"{platform.python_version()} ({platform.python_implementation()}, {kind}{bits})")
    section.add("Python's folder", sys.prefix)
    try:
        section.add("transkd", version("transkd") + _source())
    except PackageNotFoundError:
        section.add("transkd", f"not installed{_source()}")
        section.warn("transkd itself is not installed in this Python", "pip install -e . in its checkout", broken=True)
    _add_config(section)
    _add_command(section)
    compiler = next((name for name in ("c++", "g++", "clang++", "cl") if shutil.which(name)), None)
    section.add("C++ compiler", compiler or "none: compile=true needs one on CPUs")
    return section


def packages_section() -> Section:
    """Return the versions of all dependencies, and whether they are those that transkd asks for."""
    section = Section("Dependencies")
    try:
        required = distribution("transkd").requires or []
        asks = distribution("transkd").metadata["Requires-Python"]
    except PackageNotFoundError:
        return section
    try:
        from packaging.requirements import Requirement
        from packaging.specifiers import SpecifierSet
    except ImportError:
        section.warn("the package 'packaging' is missing, so versions are not compared", "pip install packaging")
        return section
    if asks and not SpecifierSet(asks).contains(platform.python_version(), prereleases=True):
        section.warn(
            f"Python {platform.python_version()} is none that transkd runs on ({asks})",
            "make an environment with Python 3.12, and install transkd there",
            broken=True,
        )
    requirements = [Requirement(text) for text in required]
    for needed in (r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})):
        found = _version(needed.name)
        section.add(needed.name, found or "missing")
        if found is None or not needed.specifier.contains(found, prereleases=True):
            said = "is missing" if found is None else f"is {found}, and transkd needs {needed.specifier}"
            section.warn(f"{needed.name} {said}", f"pip install '{needed.name}{needed.specifier}'", broken=True)
    for extra, purpose in EXTRAS.items():
        of_extra = [r for r in requirements if r.marker and _is_of(str(r.marker), extra)]
        _add_extra(section, extra, purpose, {r.name: str(r.specifier) for r in of_extra})
    for name, purpose in BESIDES.items():
        section.add(name, _version(name) or f"not installed; for {purpose}: pip install {name}")
    return section


def _is_of(marker: str, extra: str) -> bool:
    return marker.replace("'", '"') == f'extra == "{extra}"'


def _add_extra(section: Section, extra: str, purpose: str, needs: dict[str, str]) -> None:
    from packaging.specifiers import SpecifierSet

    found = {name: _version(name) for name in needs}
    missing = [name for name, has in found.items() if has is None]
    old = [n for n, has in found.items() if has and not SpecifierSet(needs[n]).contains(has, prereleases=True)]
    there = ", ".join(f"{name} {has}" for name, has in found.items() if has)
    said = there if not missing else f"{there + '; ' if there else ''}without {', '.join(missing)}"
    section.add(f"extra {extra}", said if not missing else f"{said}; for {purpose}: pip install 'transkd[{extra}]'")
    for name in old:
        section.warn(
            f"{name} is {found[name]}, and the extra {extra} needs {needs[name]}", f"pip install '{name}{needs[name]}'"
        )


def _add_config(section: Section) -> None:
    from transkd.cli.app import config_folder
    from transkd.errors import ConfigError

    try:
        folder = config_folder()
    except ConfigError as error:
        section.add("configs", "missing")
        section.warn(str(error), "pip install --force-reinstall --no-deps transkd", broken=True)
        return
    section.add("configs", f"{folder}, {len(list(folder.rglob('*.yaml')))} files")


def _add_command(section: Section) -> None:
    """Find out whether the shell's commands are those of this Python."""
    found = shutil.which("transkd-train")
    if found is None:
        section.warn(
            "the shell finds no transkd-train", "activate the environment that transkd is in, or add it to PATH"
        )
    elif not Path(found).parent.samefile(Path(sys.executable).parent):
        section.warn(
            f"the shell's transkd-train is another one than this Python's: {found}",
            "activate the environment that is meant; hash -r lets a shell forget",
        )


def _source() -> str:
    """Say where the package lies: in a checkout with its commit, or installed."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parents[1]
    if not (checkout / "pyproject.toml").is_file():
        return ", installed"
    commit = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(commit, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ", a checkout"
    return f", a checkout at {done.stdout.strip()}" if done.returncode == 0 else ", a checkout"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
