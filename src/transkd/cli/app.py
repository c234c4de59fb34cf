"""What the commands share: finding conf/, naming every mistake at once, ending without a traceback."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from transkd.cli.arguments import config_dirs, split_arguments, users_form
from transkd.cli.overrides import check_overrides
from transkd.errors import ConfigError, TransKDError

if TYPE_CHECKING:
    from transkd.cli.sweeps import Outcome, Sweep

Command = Callable[[dict[str, Any]], "Outcome | None"]
Check = Callable[[dict[str, Any]], Sequence[object]]
ONLY_SHOWS = ("--help", "-h", "--hydra-help", "--version", "--info", "-i", "--shell-completion", "-sc")
SHOWS_CONFIG = ("--cfg", "-c")
OTHER_CONFIG = ("--config-name", "-cn", "--config-path", "-cp")
SWEEPS = ("--multirun", "-m")


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


def run_app(name: str, config_name: str, command: Command, check: Check) -> NoReturn:
    """Run a Hydra app and leave the process.

    Args:
        name: what errors are prefixed with, such as ``"transkd-train"``.
        config_name: the primary config.
        command: what to do with the composed config, in plain containers; may say what a sweep's table shows of it.
        check: lists what is wrong with it, so that it can be told together with what is wrong with the arguments.

    Exit codes: 0 done, 1 an error of files or of the run, 2 a mistake in the config, 128 + n stopped by signal n;
    of a sweep, the largest of its jobs'.
    """
    sys.argv[1:] = users_form(sys.argv[1:])
    codes: list[int] = []
    sweep: Sweep | None = None
    try:
        folder = config_folder()
        flags, overrides = split_arguments(sys.argv[1:])
        if not _has_flag(flags, *ONLY_SHOWS):
            _refuse_mistakes(folder, config_name, flags, overrides, check)
            if _has_flag(flags, *SWEEPS) and not _has_flag(flags, *OTHER_CONFIG, *SHOWS_CONFIG):
                sweep = _planned(name, folder, config_name, flags, overrides)
    except TransKDError as error:
        sys.exit(_say(name, error))

    def job(config: DictConfig) -> None:
        if sweep is None:
            codes.append(_guarded(name, command, config))
        else:
            sweep.run(lambda: command(_resolved(config)))

    app = hydra.main(version_base="1.3", config_path=str(folder), config_name=config_name)(job)
    if sweep is None:
        app()
        sys.exit(max(codes, default=0))
    sys.argv.insert(1, f"hydra.sweep.dir='{sweep.plan.folder}'")
    sys.exit(sweep.launch(app))


def _planned(name: str, folder: Path, config_name: str, flags: Sequence[str], overrides: Sequence[str]) -> Sweep:
    from transkd.cli.sweep_plan import plan_sweep
    from transkd.cli.sweeps import Sweep

    return Sweep(name, plan_sweep(folder, config_name, overrides, further_folders=config_dirs(flags)))


def _has_flag(flags: Sequence[str], *names: str) -> bool:
    return any(flag.split("=")[0] in names for flag in flags)


def _refuse_mistakes(
    folder: Path, config_name: str, flags: Sequence[str], overrides: Sequence[str], check: Check
) -> None:
    """Raise a ConfigError that lists every mistake in the arguments and in what they compose."""
    for further in config_dirs(flags):
        if not further.is_dir():
            raise ConfigError(f"--config-dir: there is no folder {further}")
    if _has_flag(flags, *OTHER_CONFIG):
        return  # another primary config than ours: Hydra says what is wrong with it
    checked = check_overrides(
        folder,
        config_name,
        overrides,
        further_folders=config_dirs(flags),
        sweeps=_has_flag(flags, *SWEEPS),
    )
    problems: list[object] = list(checked.problems)
    if checked.config is not None and not _has_flag(flags, *SHOWS_CONFIG):
        problems += _value_problems(checked.config, check)
    if problems:
        lines = dict.fromkeys(f"  {text}" for text in _without_echoes([str(problem) for problem in problems]))
        count = "is a mistake" if len(lines) == 1 else f"are {len(lines)} mistakes"
        raise ConfigError("\n".join([f"there {count} in the arguments:", *lines]))


def _without_echoes(problems: Sequence[str]) -> list[str]:
    """Leave out that a group is missing where the choice that was made of it does not exist."""
    wrong = {text.partition("=")[0].lstrip("+") for text in problems if ": there is no such choice" in text}
    return [text for text in problems if not (": is missing" in text and text.partition(":")[0] in wrong)]


def _value_problems(config: DictConfig, check: Check) -> Sequence[object]:
    if "${hydra:" in OmegaConf.to_yaml(config):
        return []  # has a value in a run only, which checks it then
    try:
        return check(_plain(config))
    except InterpolationToMissingValueError:
        return []  # the key that is missing is among the problems already
    except OmegaConfBaseException as error:
        return [_interpolation_problem(error)]


def _plain(config: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _interpolation_problem(error: OmegaConfBaseException) -> str:
    text = str(error).splitlines()[0]
    named = re.search(r"Interpolation key '(.*)' not found", text)
    return f"{error.full_key}: {f'it refers to {named[1]}, which does not exist' if named else text}"


def _guarded(name: str, command: Command, config: DictConfig) -> int:
    try:
        command(_resolved(config))
    except TransKDError as error:
        return _say(name, error)
    return 0


def _resolved(config: DictConfig) -> dict[str, Any]:
    try:
        return _plain(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the config has a mistake:\n  {_interpolation_problem(error)}") from error


def _say(name: str, error: TransKDError) -> int:
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 2 if isinstance(error, ConfigError) else 1
