"""Whether the libraries can be imported, and what torch computes on: tried in another process, then told."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from transkd.cli.doctor_report import Section

TRIAL = "transkd.cli.doctor_trial"
PATIENCE = 180.0
"""Seconds without a sign of life after which a trial is ended."""
MODULES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "lightning": "lightning",
    "timm": "timm",
    "numpy": "numpy",
    "pillow": "PIL",
    "albumentations": "albumentations",
    "opencv": "cv2",
    "torchmetrics": "torchmetrics",
    "matplotlib": "matplotlib",
    "hydra-core": "hydra",
    "omegaconf": "omegaconf",
    "pydantic": "pydantic",
    "huggingface-hub": "huggingface_hub",
    "safetensors": "safetensors",
    "requests": "requests",
    "filelock": "filelock",
    "pyyaml": "yaml",
    "rich": "rich",
    "wandb": "wandb",
    "transkd": "transkd.models",
}
"""What is imported of each package that transkd needs; the order makes the first to fail the cause."""
OF_EXTRAS = {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript", "h5py": "h5py", "scipy": "scipy"}
TOGETHER = "install torch and torchvision together, from one place: https://pytorch.org/get-started/locally"
KEYS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""What trainer.precision calls them."""


@dataclass
class Trial:
    """What a trial told before it ended.

    Attributes:
        found: its lines.
        last: what it was doing.
        end: how it ended where that was not well, else empty.
    """

    found: list[dict[str, Any]] = field(default_factory=list)
    last: str = "starting"
    end: str = ""

    def of(self, step: str) -> list[dict[str, Any]]:
        """Return the lines of one kind."""
        return [line for line in self.found if line.get("step") == step]


def try_out(
    modules: Sequence[str], say: Callable[[str], None], *, command: Sequence[str] = (), patience: float = PATIENCE
) -> Trial:
    """Import modules and compute with torch, in a process that may crash or hang.

    Args:
        modules: what to import.
        say: is told what is being done.
        command: the process, for tests; by default this Python with :mod:`transkd.cli.doctor_trial`.
        patience: seconds without a line after which it is ended.
    """
    argv = [*(command or (sys.executable, "-P", "-m", TRIAL)), *modules]
    trial = Trial()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    hung = threading.Event()

    def end() -> None:
        hung.set()
        process.kill()

    clock = threading.Timer(patience, end)
    clock.start()
    try:
        for line in process.stdout:
            clock.cancel()
            with suppress(json.JSONDecodeError):  # what a library prints, or a line that a crash cut off
                _take(trial, json.loads(line), say)
            clock = threading.Timer(patience, end)
            clock.start()
        code = process.wait()
    finally:
        clock.cancel()
        process.kill()
        process.wait()
    reader.join(timeout=5)
    trial.end = f"took longer than {patience:g} s" if hung.is_set() else _ending(code, errors)
    return trial


def libraries_section(trial: Trial) -> Section:
    """Return whether every library could be imported."""
    section = Section("Libraries")
    names = {module: name for name, module in {**MODULES, **OF_EXTRAS}.items()}
    lines = trial.of("import")
    failed = {line["module"]: line["error"] for line in lines if "error" in line}
    section.add("imported", f"{len(lines) - len(failed)} of {len(lines)}")
    for place, (module, error) in enumerate(failed.items()):
        section.add(names.get(module, module), error)
        if error in list(failed.values())[:place]:
            continue  # what failed before is the cause
        needed = module in MODULES.values()
        if module.partition(".")[0] == "transkd":
            remedy = "mend what is above; if there is nothing, report this"
        else:
            remedy = (
                TOGETHER if module in ("torch", "torchvision") else f"pip install --force-reinstall {names[module]}"
            )
        section.warn(f"{names.get(module, module)} cannot be imported: {error}", remedy, broken=needed)
    if trial.end:
        section.add("trial", f"ended while {trial.last}: {trial.end}")
        remedy = TOGETHER if "torch" in trial.last or "computing" in trial.last else "install that library again"
        section.warn(f"{trial.last} ends Python: {trial.end}", remedy, broken=True)
    return section


def devices_section(trial: Trial, gpus: Sequence[str]) -> Section:
    """Return what torch computes on, and in which precisions.

    Args:
        trial: what was found.
        gpus: the GPUs that NVIDIA's driver knows.
    """
    section = Section("Devices")
    for gpu in gpus:
        section.add("driver", gpu)
    for facts in trial.of("torch"):
        _add_torch(section, facts, gpus)
    for line in trial.of("device"):
        device = line["device"]
        if device != "cpu":  # whose facts are the machine's
            section.add(device, _device(line) if "error" not in line else line["error"])
        tried = [each for each in trial.of("precision") if each["device"] == device]
        for each in tried:
            name = f"{device}, {each['precision']}"
            section.add(
                name, each.get("error") or f"works, {each['ms']:.1f} ms (trainer.precision={KEYS[each['precision']]})"
            )
        if any("error" in each for each in tried if each["precision"] == "fp32"):
            section.warn(f"torch does not compute on {device}", TOGETHER, broken=device == "cpu")
    return section


def driver_gpus() -> list[str]:
    """Return the GPUs that NVIDIA's driver knows: name, driver, memory; none where there is no such driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def modules_to_try() -> list[str]:
    """Return what is imported: of extras what is installed."""
    return [*MODULES.values(), *(module for name, module in OF_EXTRAS.items() if _is_installed(name))]


def _take(trial: Trial, line: object, say: Callable[[str], None]) -> None:
    if not isinstance(line, dict):
        return
    if "begin" in line:
        trial.last = line["begin"]
        say(trial.last)
    else:
        trial.found.append(line)


def _ending(code: int, errors: Sequence[str]) -> str:
    if code == 0:
        return ""
    said = next((line.strip() for line in reversed(errors) if line.strip()), "")
    how = f"exit code {code}"
    if code < 0:
        how = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{how}{f', {said}' if said else ''}"


def _add_torch(section: Section, facts: Mapping[str, Any], gpus: Sequence[str]) -> None:
    if "error" in facts:
        section.warn(f"torch cannot say what it runs on: {facts['error']}", TOGETHER, broken=True)
        return
    build = f"CUDA {facts['cuda_build']}" if facts["cuda_build"] else f"ROCm {facts['hip_build']}"
    build = build if facts["cuda_build"] or facts["hip_build"] else "CPU"
    cudnn = f", cuDNN {facts['cudnn']}" if facts["cudnn"] else ""
    section.add("torch", f"{facts['version']}, built for {build}{cudnn}, {facts['threads']} threads, {facts['cpu']}")
    for text in facts["warnings"]:
        section.add("torch says", text)
    if gpus and not facts["gpus"]:
        why = "it is built for CPUs only" if build == "CPU" else "its driver may be too old, or it is hidden"
        section.warn(f"there is a GPU ({gpus[0]}), and torch does not find it: {why}", TOGETHER)


def _device(line: Mapping[str, Any]) -> str:
    if "name" not in line:
        return "there"
    return (
        f"{line['name']}, {line['free'] / 1e9:.1f} GB free of {line['total'] / 1e9:.1f} GB, "
        f"compute capability {line['capability']}, {line['processors']} processors"
    )


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
