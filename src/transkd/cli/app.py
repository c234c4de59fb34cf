"""What the commands share: finding conf/, naming every mistake at once, ending without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from omegaconf import DictConfig, OmegaConf

from transkd.cli.overrides import check_overrides, split_arguments, users_form
from transkd.errors import ConfigError, TransKDError

Command = Callable[[dict[str, Any]], None]
ONLY_SHOWS = ("--help", "-h", "--hydra-help", "--version", "--info", "-i", "--shell-completion", "-sc")


def config_folder() -> Path:
    """Return the folder of the config groups: inside an installed wheel, or at the top of a checkout.

    Raises:
        ConfigError: where there is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"the config groups are missing beside {package}: install transkd again")


def run_app(name: str, config_name: str, command: Command) -> NoReturn:
    """Run a Hydra app and leave the process.

    Args:
        name: what errors are prefixed with, such as ``"transkd-train"``.
        config_name: the primary config.
        command: what to do with the composed config, in plain containers.

    Exit codes: 0 done, 1 an error of files or of the run, 2 a mistake in the config, 128 + n stopped by signal n.
    """
    sys.argv[1:] = users_form(sys.argv[1:])
    codes: list[int] = []
    try:
        folder = config_folder()
        flags, overrides = split_arguments(sys.argv[1:])
        if not any(flag.split("=")[0] in ONLY_SHOWS for flag in flags):
            check_overrides(folder, config_name, overrides, flags)
    except TransKDError as error:
        sys.exit(_say(name, error))

    def job(config: DictConfig) -> None:
        codes.append(_guarded(name, command, config))

    hydra.main(version_base="1.3", config_path=str(folder), config_name=config_name)(job)()
    sys.exit(max(codes, default=0))


def _guarded(name: str, command: Command, config: DictConfig) -> int:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
        assert isinstance(values, dict)
        command({str(key): value for key, value in values.items()})
    except TransKDError as error:
        return _say(name, error)
    return 0


def _say(name: str, error: TransKDError) -> int:
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 2 if isinstance(error, ConfigError) else 1
