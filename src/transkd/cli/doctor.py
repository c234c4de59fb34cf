"""``transkd-doctor``: what transkd runs on, what is missing or broken, and what to put into a bug report."""

from __future__ import annotations

import importlib
import json
import netrc
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Literal

from transkd.cli.commands import config_folder
from transkd.cli.progress import working
from transkd.errors import ConfigError, first_line
from transkd.options import Section, option

GB = 1e9
TIME_LIMIT = 180  # seconds
LIBRARIES = ("torch", "torchvision", "timm", "lightning", "albumentations", "transkd.models")
"""What the trial imports, in an order in which the first to fail is the cause."""
EXTRAS = {
    "onnx": "transkd-export format=onnx, and .onnx files",
    "sweep": "hydra/launcher=joblib or submitit_slurm",
    "tensorboard": "logger=tensorboard",
    "nyuv2": "transkd-data data=nyuv2, and action=nyuv2",
}
VARIABLES = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "WANDB_MODE", "HF_HUB_OFFLINE", "SLURM_JOB_ID", "LOCAL_RANK")
"""Environment variables that change what transkd does, and hold no secret."""
INSTALL_TORCH = "install torch and torchvision from one source: https://pytorch.org/get-started/locally"


class DoctorConfig(Section):
    """Report what transkd runs on, and what is missing or broken.

    Examples:
      transkd-doctor
      transkd-doctor format=markdown > report.md   to paste into a bug report
      transkd-doctor format=json trials=false      versions and settings, at once

    Exit codes: 0 transkd has what it needs, 1 something is missing or broken, 2 a
    mistake in the arguments.

    More: docs/doctor.md
    """

    format: Literal["text", "markdown", "json"] = option("text", "how to print the report; json is for programs")
    trials: bool = option(True, "import the libraries, and compute on each device, which takes 10 s or more")


@dataclass
class Report:
    """What was found: by section, name and value; and what is wrong, what to do, and whether transkd needs it."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    troubles: list[dict[str, Any]] = field(default_factory=list)

    def add(self, section: str, name: str, value: object) -> None:
        """Add a finding."""
        self.sections.setdefault(section, {})[name] = str(value)

    def warn(self, what: str, remedy: str, *, broken: bool = False) -> None:
        """Add something to correct: what is wrong, in a line; what to do; whether transkd needs it."""
        self.troubles.append({"what": what, "remedy": remedy, "broken": broken})

    def text(self, form: str) -> str:
        """Return the report as text, Markdown or JSON; the user's home is written as ``~``."""
        self.troubles.sort(key=lambda trouble: not trouble["broken"])
        found = json.dumps(asdict(self), indent=2) if form == "json" else "\n\n".join(self._blocks(form))
        return found.replace(str(Path.home()), "~")

    def _blocks(self, form: str) -> Iterator[str]:
        for title, findings in self.sections.items():
            width = max(map(len, findings))
            if form == "markdown":
                lines = [f"### {title}\n\n| | |\n| --- | --- |", *(f"| {k} | {v} |" for k, v in findings.items())]
            else:
                lines = [title, *(f"  {name:<{width}}  {value}" for name, value in findings.items())]
            yield "\n".join(lines)
        kinds = {True: "broken", False: "note"}
        lines = [f"- {kinds[one['broken']]}: {one['what']}\n  {one['remedy']}" for one in self.troubles]
        yield "\n".join(lines or ["nothing is missing or broken"])


def run_doctor(config: DoctorConfig) -> None:
    """Print the report; leave with exit code 1 if something is broken that transkd needs."""
    report = Report()
    _add_transkd(report)
    _add_packages(report)
    _add_machine(report)
    _add_settings(report)
    if config.trials:
        with working("importing the libraries and computing on each device"):
            _add_trial(report, [sys.executable, "-P", "-m", "transkd.cli.doctor"])
    print(report.text(config.format))
    if any(trouble["broken"] for trouble in report.troubles):
        sys.exit(1)


def _add_transkd(report: Report) -> None:
    section = "Python and transkd"
    report.add(section, "Python", platform.python_version())
    report.add(section, "system", f"{platform.platform()}, {platform.machine()}")
    report.add(section, "transkd", _version("transkd") or "not installed")
    try:
        config_folder()
    except ConfigError as error:
        report.warn(str(error), "pip install --force-reinstall --no-deps transkd", broken=True)
    found = shutil.which("transkd-train")
    if found is None or Path(found).parent.resolve() != Path(sys.executable).parent.resolve():
        report.warn(f"the shell's transkd-train is {found or 'missing'}", "activate the environment of transkd")


def _add_packages(report: Report) -> None:
    """Add the version of each dependency, and compare it with what transkd requires."""
    from packaging.requirements import Requirement

    try:
        requires = distribution("transkd").requires or []
    except PackageNotFoundError:
        report.warn("transkd is not installed in this Python", "pip install -e . in its checkout", broken=True)
        return
    for requirement in map(Requirement, requires):
        marker = str(requirement.marker or "")
        extra = next((name for name in EXTRAS if f'extra == "{name}"' in marker), "")
        if requirement.marker and not (extra or requirement.marker.evaluate({"extra": ""})):
            continue
        found, install = _version(requirement.name), f"pip install '{requirement.name}{requirement.specifier}'"
        missing = f"missing; for {EXTRAS[extra]}: pip install 'transkd[{extra}]'" if extra else "missing"
        report.add("Dependencies", requirement.name, found or missing)
        if found is None and not extra:
            report.warn(f"{requirement.name} is missing", install, broken=True)
        elif found and not requirement.specifier.contains(found, prereleases=True):
            report.warn(
                f"{requirement.name} is {found}, transkd needs {requirement.specifier}", install, broken=not extra
            )


def _add_machine(report: Report) -> None:
    section = "Machine"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    report.add(section, "cores", f"{os.cpu_count()}, {usable} of them for this process")
    if hasattr(os, "sysconf"):
        report.add(section, "memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / GB:.1f} GB")
    free = shutil.disk_usage(Path.cwd()).free / GB
    report.add(section, "disk of this folder", f"{free:.1f} GB free")
    if free < 2:
        report.warn(f"the disk of this folder has {free:.1f} GB left", "make room: a checkpoint may not fit")
    if (shared := Path("/dev/shm")).is_dir():
        free = shutil.disk_usage(shared).free / GB
        report.add(section, "shared memory", f"{free:.1f} GB free")
        if free < 0.5:
            report.warn(
                f"shared memory (/dev/shm) has {free:.1f} GB left, and data workers, which use it, may die",
                "in a container: docker run --shm-size=8g or --ipc=host; or data.workers=0",
            )


def _add_settings(report: Report) -> None:
    for name in (name for name in VARIABLES if name in os.environ):
        report.add("Settings", name, os.environ[name] or "set, and empty")
    key = bool(os.environ.get("WANDB_API_KEY"))
    with suppress(OSError, netrc.NetrcParseError):
        key = key or netrc.netrc().authenticators("api.wandb.ai") is not None
    mode = os.environ.get("WANDB_MODE") or ("online" if key else "offline")
    report.add("Settings", "W&B", f"{mode}, {'a key is set' if key else 'no key is set'}")


def _add_trial(report: Report, command: list[str]) -> None:
    """Add what :func:`trial` prints in a process of its own, which may crash or hang."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIME_LIMIT, check=False)
        output, errors, end = done.stdout, done.stderr, f"exit code {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        output, errors, end = error.stdout or b"", b"", f"it took longer than {TIME_LIMIT} s"
    step = "starting Python"
    for line in output.decode(errors="replace").splitlines():
        kind, _, text = line.partition("\t")
        if kind == "step":
            step = text
        elif kind in ("Libraries", "Devices"):
            name, _, value = text.partition("\t")
            report.add(kind, name, value)
            if value.startswith("fails: "):
                report.warn(f"{name} {value}", INSTALL_TORCH, broken=kind == "Libraries" or name.startswith("cpu"))
    if end:
        last = (errors.decode(errors="replace").strip().splitlines() or [""])[-1].strip()
        report.warn(f"{step} fails: {end}{f', {last}' if last else ''}", INSTALL_TORCH, broken=True)


def trial() -> None:
    """Import the libraries and compute on each device; print a line for each step and each finding."""
    for name in LIBRARIES:
        _print("step", f"importing {name}")
        try:
            importlib.import_module(name)
        except Exception as error:
            _print("Libraries", name, f"fails: {type(error).__name__}: {first_line(error)}")
            return
        _print("Libraries", name, "can be imported")
    import torch
    from torch.utils import collect_env

    versions = {"CUDA": torch.version.cuda, "ROCm": torch.version.hip}
    build = next((f"{name} {number}" for name, number in versions.items() if number), "CPU")
    _print("Devices", "torch", f"{torch.__version__}, built for {build}, {torch.get_num_threads()} threads")
    for name, read in (("driver", "get_nvidia_driver_version"), ("GPUs", "get_gpu_info")):
        _print("Devices", name, " / ".join(str(getattr(collect_env, read)(collect_env.run)).splitlines()))
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    for device in ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]:
        for precision in ("fp32", "bf16"):
            _print("step", f"computing on {device} in {precision}")
            try:
                result = _forward(device, precision)
            except Exception as error:
                result = f"fails: {type(error).__name__}: {first_line(error)}"
            _print("Devices", f"{device}, {precision}", result)


def _forward(device: str, precision: str) -> str:
    import torch

    from transkd.models import create_segmenter

    model = create_segmenter("mit_b0", 19).to(device).eval()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, device=device)
    with torch.no_grad(), torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=precision == "bf16"):
        return "works" if bool(torch.isfinite(model(images)).all()) else "fails: the logits are not finite"


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None


def _print(*words: str) -> None:
    print("\t".join(words), flush=True)


if __name__ == "__main__":
    trial()
