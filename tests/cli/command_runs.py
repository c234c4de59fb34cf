"""What a command left behind, and the arguments of a run of one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from transkd.models.exported import ExportedModel


@dataclass(frozen=True)
class Outcome:
    """What a command left on the screen, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The error's lines below its heading."""
        return [line.removeprefix("  ") for line in self.err.splitlines()[1:]]

    def refused(self, name: str = "transkd-train", code: int = 2) -> str:
        """Check that the command ended with one message for a person; return it."""
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err}"
        assert self.err.removeprefix("\n").startswith(f"{name}: "), self.err  # after ^C, a line of its own
        assert self.err.count(f"{name}: ") == 1, self.err
        for inner in ("Traceback", "pydantic", "OmegaConf", "hydra", "HYDRA", "Errors have occurred", "full_key"):
            assert inner not in self.err, self.err
        return self.err


Command = Callable[..., Outcome]


def tiny_run(root: Path, *, workers: int = 0) -> list[str]:
    """Return arguments of a run of one step on the scenes in ``root``."""
    return [
        f"data.root={root}",
        f"data.workers={workers}",
        "data.batch_size=2",
        "data.val_batch_size=2",
        "data.size=[32,64]",
        "augment=none",
        "pictures=0",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=1",
        "trainer.limit_val_batches=1",
        "trainer.num_sanity_val_steps=0",
    ]


class ClassIds(ExportedModel):
    """What an exported file of class ids is to a command, without the export."""

    def __init__(self, predict: Callable[[Tensor], Tensor], file: Path, **metadata: Any) -> None:
        file.touch()
        super().__init__(file, {"result": "classes", "input": "uint8", **metadata})
        self.ids_of = predict

    def run(self, images: Tensor) -> Tensor:
        """Return the class ids of images."""
        return self.ids_of(images)
