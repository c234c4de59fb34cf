"""Environment variables and accounts that change what transkd does; of secrets no more than whether they are set."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from transkd.cli.doctor_report import Section

SHOWN = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_LAUNCH_BLOCKING",
    "CUBLAS_WORKSPACE_CONFIG",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_ENABLE_MPS_FALLBACK",
    "NCCL_DEBUG",
    "NCCL_P2P_DISABLE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_DISABLE_PROGRESS_BARS",
    "WANDB_MODE",
    "WANDB_DISABLED",
    "HYDRA_FULL_ERROR",
    "NO_COLOR",
    "FORCE_COLOR",
    "TERM",
    "COLUMNS",
    "LANG",
    "LC_ALL",
    "PYTHONIOENCODING",
    "SLURM_JOB_ID",
    "SLURM_NTASKS",
    "LOCAL_RANK",
    "RANK",
    "WORLD_SIZE",
)
"""Variables whose value is told."""
HIDDEN = (
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_ENTITY",
    "HF_TOKEN",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "TORCH_HOME",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
)
"""Variables that hold secrets, names or folders: of these it is told that they are set."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
RANKS = ("LOCAL_RANK", "RANK")
WANDB_MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")
"""The last two are old names of offline and online."""
WANDB = "https://api.wandb.ai"


def settings_section(environment: Mapping[str, str] | None = None, home: Path | None = None) -> Section:
    """Return what is set.

    Args:
        environment: variables; this process's by default.
        home: the folder of ``.netrc`` and of Hugging Face's token; the user's by default.
    """
    environment = os.environ if environment is None else environment
    home = home or Path.home()
    section = Section("Settings")
    for name in SHOWN:
        if name in environment:
            section.add(name, environment[name] or "set, and empty")
    for name in HIDDEN:
        if name in environment:
            section.add(name, "set" if environment[name] else "set, and empty")
    section.add("W&B", _wandb(environment, home))
    section.add("Hugging Face", _hugging_face(environment, home))
    _warn(section, environment)
    return section


def _wandb(environment: Mapping[str, str], home: Path) -> str:
    key = "a key is there" if _wandb_key(environment, home) else "no key: wandb login, or WANDB_API_KEY"
    mode = environment.get("WANDB_MODE", "")
    online = bool(_wandb_key(environment, home)) and mode not in ("offline", "disabled", "dryrun")
    logs = "nothing" if mode == "disabled" else "online" if online else "offline, to be uploaded by wandb sync"
    return f"{key}; logger=wandb logs {logs}"


def _wandb_key(environment: Mapping[str, str], home: Path) -> bool:
    if environment.get("WANDB_API_KEY"):
        return True
    host = urlsplit(environment.get("WANDB_BASE_URL") or WANDB).hostname or ""
    named = environment.get("NETRC")
    for path in [Path(named)] if named else [home / ".netrc", home / "_netrc"]:
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _hugging_face(environment: Mapping[str, str], home: Path) -> str:
    folder = Path(environment.get("HF_HOME") or home / ".cache/huggingface")
    token = bool(environment.get("HF_TOKEN")) or (folder / "token").is_file()
    offline = environment.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
    said = "a token is there" if token else "no token, which public models do not need"
    return f"{said}; {'offline: only what is downloaded already' if offline else 'online'}"


def _warn(section: Section, environment: Mapping[str, str]) -> None:
    for name in THREADS:
        value = environment.get(name)
        if value is not None and not all(part.isdecimal() and int(part) for part in value.split(",")):
            section.warn(f"{name}={value} is no number of threads", f"export {name}=4, or unset {name}")
    if environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        section.warn(
            "CUDA_VISIBLE_DEVICES hides every GPU from torch", "unset CUDA_VISIBLE_DEVICES, if that is not meant"
        )
    silent = [name for name in RANKS if environment.get(name, "0") != "0"]
    if silent:
        section.warn(
            f"{silent[0]}={environment[silent[0]]} says that this is not the first process of a run, and only the "
            "first one prints and writes",
            f"unset {silent[0]}, unless a launcher (torchrun, srun) set it",
        )
    mode = environment.get("WANDB_MODE")
    if mode and mode not in WANDB_MODES:
        section.warn(f"WANDB_MODE={mode} is none of W&B's modes", "export WANDB_MODE=online, offline or disabled")
    if environment.get("WANDB_DISABLED"):
        section.warn(
            "WANDB_DISABLED is one of W&B's old switches", "use WANDB_MODE=disabled, or leave out logger=wandb"
        )
