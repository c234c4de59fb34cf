"""The table of the commands: what each takes, and what runs it.

A command is a schema, whose options are its config, its help and its reference page, and a function that is called
with the validated config. Both are named by strings and imported when they are needed, and modules of schemas import
neither torch nor Lightning, so that ``--help``, ``--version`` and ``--cfg job`` answer at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from transkd.errors import ConfigError

if TYPE_CHECKING:
    from transkd.options import Section


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        schema: ``module:Class``, the :class:`transkd.options.Section` of its options. The docstring of the class opens
            the command's help: its first line, then its examples.
        run: ``module:function``, called with the validated config; may return what a sweep's table shows.
        actions: schema of each choice of ``action``, for a command that does several things.
        added: config groups that it takes besides those of its schema, by ``+GROUP``, and what each is.
        plain: whether ``run`` takes the validated values in plain containers, as a run's folder keeps them.
        does_without: whether it is of use when it is called with no arguments.
    """

    schema: str
    run: str
    actions: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)
    plain: bool = False
    does_without: bool = False

    def schema_of(self, values: Mapping[str, Any]) -> type[Section]:
        """Return the schema of a composed config."""
        kind: type[Section] = resolve_name(self.actions.get(str(values.get("action")), self.schema))
        return kind

    def problems(self, values: Mapping[str, Any]) -> Sequence[object]:
        """List what is wrong with a composed config."""
        from transkd.options import find_problems

        return find_problems(self.schema_of(values), values)

    def execute(self, values: Mapping[str, Any]) -> Any:
        """Run the command on a composed config in plain containers, and return what it returns.

        Raises:
            TransKDError: for everything that a user can correct.
        """
        config = self.schema_of(values).validated(values)
        return resolve_name(self.run)(values if self.plain else config)


COMMANDS: dict[str, Command] = {
    "transkd-train": Command(
        "transkd.training.config:TrainConfig",
        "transkd.cli.train:run_train",
        added={
            "experiment": "A whole recipe, whose keys can all be changed.",
            "debug": "A small run that finds mistakes.",
            "sweep": "What is compared, with -m: docs/sweeps.md.",
        },
        plain=True,
    ),
    "transkd-eval": Command("transkd.cli.eval.config:EvalConfig", "transkd.cli.eval.run:run_eval"),
    "transkd-predict": Command("transkd.cli.predict.config:PredictConfig", "transkd.cli.predict.run:run_predict"),
    "transkd-export": Command("transkd.cli.export:ExportConfig", "transkd.cli.export:run_export"),
    "transkd-profile": Command(
        "transkd.cli.profile:ProfileConfig", "transkd.cli.profile:run_profile", does_without=True
    ),
    "transkd-data": Command(
        "transkd.cli.data:DataCommand",
        "transkd.cli.data:run_action",
        actions={
            "download": "transkd.cli.data:DownloadAction",
            "check": "transkd.cli.data:CheckAction",
            "classes": "transkd.cli.data:ClassesAction",
            "nyuv2": "transkd.cli.data:NyuAction",
            "synth": "transkd.cli.data:SynthAction",
        },
    ),
    "transkd-report": Command("transkd.cli.report:ReportConfig", "transkd.cli.report:run_report", does_without=True),
    "transkd-doctor": Command("transkd.cli.doctor:DoctorConfig", "transkd.cli.doctor:run_doctor", does_without=True),
}


def config_folder() -> Path:
    """Return the folder of the config groups: inside an installed wheel, or at the top of a checkout.

    Raises:
        ConfigError: where there is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parents[1] / "conf"):
        if (folder / "experiment").is_dir():
            return folder
    raise ConfigError(f"the config groups are missing beside {package}: install transkd again")
