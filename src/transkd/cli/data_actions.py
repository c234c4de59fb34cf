"""What ``transkd-data`` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import Progress

from transkd.data.synth import write_scenes
from transkd.errors import ConfigError


class SynthAction(BaseModel):
    """The config of ``action=synth``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["synth"]
    root: str
    train: int
    val: int
    size: tuple[int, int]
    seed: Annotated[int, Field(ge=0)]
    workers: int | None
    overwrite: bool


def run_action(values: Mapping[str, Any]) -> None:
    """Draw synthetic scenes as a config says.

    Raises:
        ConfigError: keys or values that do not fit.
        DataError: a folder that holds other things.
    """
    try:
        action = SynthAction.model_validate(dict(values))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, p['loc']))}: {p['msg']} (it is {p['input']!r})" for p in error.errors()]
        raise ConfigError("\n".join(["the config does not fit:", *lines])) from None
    console = Console()
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("drawing scenes", total=action.train + action.val)
        report = write_scenes(
            action.root,
            train=action.train,
            val=action.val,
            seed=action.seed,
            size=action.size,
            workers=action.workers,
            overwrite=action.overwrite,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(str(report), highlight=False, soft_wrap=True)
