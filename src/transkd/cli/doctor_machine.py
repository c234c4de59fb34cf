"""The machine as this process may use it: cores, memory, disk and shared memory, with the limits of containers."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transkd.cli.doctor_report import Section

GB = 1e9
SMALL_SHARED_MEMORY = 0.5 * GB
LITTLE_DISK = 2 * GB
FEW_FILES = 1024


def machine_section(root: Path = Path("/")) -> Section:
    """Return what the machine has.

    Args:
        root: where ``proc``, ``sys`` and ``dev`` lie.
    """
    section = Section("Machine")
    section.add("system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    _add_cores(section, root)
    _add_memory(section, root)
    _add_disk(section)
    _add_shared_memory(section, root)
    _add_files(section)
    return section


def cpu_quota(root: Path) -> float | None:
    """Return how many cores' time the container may use, None where there is no limit."""
    shares = []
    for folder in _cgroups(root, "cpu"):
        quota, period = _word(folder / "cpu.max", 0), _word(folder / "cpu.max", 1)
        if quota is None:
            quota, period = _word(folder / "cpu.cfs_quota_us", 0), _word(folder / "cpu.cfs_period_us", 0)
        if quota and period and quota.isdecimal() and period.isdecimal():
            shares.append(int(quota) / int(period))
    return min(shares, default=None)


def memory_limit(root: Path) -> tuple[int, int] | None:
    """Return the bytes that the container may use, and that it uses; None where there is no limit below the machine's.

    What is used counts file caches, which are given up when memory is short, as free.
    """
    found = []
    for folder in _cgroups(root, "memory"):
        limit = _word(folder / "memory.max", 0) or _word(folder / "memory.limit_in_bytes", 0)
        used = _word(folder / "memory.current", 0) or _word(folder / "memory.usage_in_bytes", 0) or "0"
        if limit and limit.isdecimal():
            cached = _stat(folder / "memory.stat", "inactive_file", "total_inactive_file")
            found.append((int(limit), max(0, int(used) - cached)))
    total = _meminfo(root).get("MemTotal")
    limits = [pair for pair in found if total is None or pair[0] < total]
    return min(limits, default=None)


def _add_cores(section: Section, root: Path) -> None:
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    quota = cpu_quota(root)
    parts = [f"{cores}"]
    if usable < cores:
        parts.append(f"{usable} of them for this process")
    if quota is not None and quota < usable:
        parts.append(f"{quota:g} cores' time by the container's limit")
        if "OMP_NUM_THREADS" not in os.environ:
            section.warn(
                f"the container may use {quota:g} cores' time, but libraries start a thread for each of {usable} cores",
                f"export OMP_NUM_THREADS={max(1, round(quota))}, and choose data.workers to match",
            )
    models = [line.partition(":")[2].strip() for line in _lines(root / "proc/cpuinfo") if line.startswith("model name")]
    section.add("processor", models[0] if models else platform.processor() or "unknown")
    section.add("cores", ", ".join(parts))


def _add_memory(section: Section, root: Path) -> None:
    info = _meminfo(root)
    if "MemTotal" in info:
        section.add(
            "memory", f"{_gb(info.get('MemAvailable', info.get('MemFree', 0)))} free of {_gb(info['MemTotal'])}"
        )
    else:
        section.add("memory", "unknown")
    limit = memory_limit(root)
    if limit is not None:
        section.add("memory of the container", f"{_gb(limit[0] - limit[1])} free of {_gb(limit[0])}")


def _add_disk(section: Section) -> None:
    places = {"working folder": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}
    for name, path in places.items():
        try:
            free = shutil.disk_usage(path).free
        except OSError as error:
            section.add(f"disk, {name}", f"unknown: {error.strerror}")
            continue
        writable = os.access(path, os.W_OK)
        section.add(f"disk, {name}", f"{_gb(free)} free{'' if writable else ', cannot be written to'}")
        if not writable:
            section.warn(
                f"the {name} cannot be written to",
                "run commands from a folder of your own, or name others by output=… and, for temporary files, TMPDIR",
            )
        elif free < LITTLE_DISK:
            section.warn(f"the disk of the {name} has {_gb(free)} left", "make room: a checkpoint may not fit")


def _add_shared_memory(section: Section, root: Path) -> None:
    folder = root / "dev/shm"
    if not folder.is_dir():
        return
    usage = shutil.disk_usage(folder)
    section.add("shared memory", f"{_gb(usage.free)} free of {_gb(usage.total)}")
    if usage.free < SMALL_SHARED_MEMORY:
        section.warn(
            f"shared memory (/dev/shm) has {_gb(usage.free)} left, through which data workers hand over their batches: "
            "they may die with a bus error",
            "in a container docker run --shm-size=8g or --ipc=host; or data.workers=0",
        )


def _add_files(section: Section) -> None:
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    section.add("open files", limit)
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        most = FEW_FILES if hard == resource.RLIM_INFINITY else min(4 * FEW_FILES, hard)
        section.warn(
            f"a process may open {soft} files only, and data workers may need more ('Too many open files')",
            f"ulimit -n {most}, in the shell that starts the run",
        )


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups, the innermost first: version 2, then 1."""
    top = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, inside = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        base = top / controller if controllers else top
        path = base / inside.strip("/")
        yield from (folder for folder in (path, *path.parents) if folder.is_relative_to(base) and folder.is_dir())


def _meminfo(root: Path) -> dict[str, int]:
    """Return /proc/meminfo in bytes."""
    found = (line.partition(":") for line in _lines(root / "proc/meminfo"))
    return {name: int(value.split()[0]) * 1024 for name, _, value in found if value.split()[:1]}


def _stat(path: Path, *names: str) -> int:
    values = dict(line.split(maxsplit=1) for line in _lines(path) if " " in line)
    return next((int(values[name]) for name in names if name in values), 0)


def _word(path: Path, place: int) -> str | None:
    words = " ".join(_lines(path)).split()
    return words[place] if place < len(words) else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _gb(count: float) -> str:
    return f"{count / GB:.1f} GB"
