"""What ``transkd-data`` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import Progress

from transkd.data.synth import write_scenes
from transkd.data.synth.scene import LARGEST, SMALLEST
from transkd.errors import ConfigError
from transkd.training.problems import Problem, mistakes, schema_problems

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]


class SynthAction(BaseModel):
    """The config of ``action=synth``."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    action: Literal["synth"]
    root: str
    train: Count
    val: Count
    size: Annotated[
        tuple[Side, Side], Field(description=f"[height, width] in pixels, {SMALLEST} to {LARGEST} each ([128, 256])")
    ]
    seed: Count
    workers: Count | None
    overwrite: bool


def action_problems(values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, and every value that does not fit."""
    return schema_problems(SynthAction, values)


def run_action(values: Mapping[str, Any]) -> None:
    """Draw synthetic scenes as a config says.

    Raises:
        ConfigError: keys or values that do not fit.
        DataError: a folder that holds other things.
    """
    problems = action_problems(values)
    if problems:
        raise ConfigError(mistakes(problems))
    action = SynthAction.model_validate(dict(values))
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
