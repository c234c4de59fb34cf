"""``metrics.csv``: every logged value of a run in one file that a resumed run goes on with."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

FLUSH_ROWS = 50


class MetricsCSV(Logger):
    """Write one row a logged step; a value that was not logged then is empty.

    Args:
        path: the file. One that exists is gone on with: :meth:`rewind` drops what came after a step.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._rows: list[dict[str, str]] = []
        self._unsaved = 0
        if self.path.exists():
            with self.path.open(newline="") as file:
                self._rows = list(csv.DictReader(file))

    @property
    def name(self) -> str:
        """The logger's name."""
        return "csv"

    @property
    def version(self) -> str:
        """The version, which a run's folder has only one of."""
        return ""

    @property
    def rows(self) -> list[dict[str, str]]:
        """All rows so far, each a mapping from column to text."""
        return self._rows

    def rewind(self, step: int) -> None:
        """Drop the rows of ``step`` and after: a run resumed there writes them again."""
        self._rows = [row for row in self._rows if int(row["step"]) < step]

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's ``config.yaml`` says it all."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row, or to the last row if it is of the same step."""
        values = {name: _text(value) for name, value in metrics.items()}
        last = self._rows[-1] if self._rows else None
        if last is not None and last["step"] == str(step) and not values.keys() & (last.keys() - {"epoch"}):
            last.update(values)
        else:
            self._rows.append({"step": str(step), **values})
        self._unsaved += 1
        if self._unsaved >= FLUSH_ROWS:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the file, whole and at once."""
        columns = dict.fromkeys(["epoch", "step"])
        for row in self._rows:
            columns.update(dict.fromkeys(row))
        partial = self.path.with_name(f".{self.path.name}.partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(columns), restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        partial.replace(self.path)
        self._unsaved = 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self._rows:
            self.save()


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
