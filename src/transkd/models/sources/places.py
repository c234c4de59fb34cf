"""Folders of this machine and repositories of the hub, as places that hold files by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.hub import HubFileMissingError, hub_file
from transkd.models.sources.tensors import read_shards, read_state, shard_names

WEIGHTS_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


class Place(Protocol):
    """Somewhere that holds files by name."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def find(self, filename: str) -> Path | None:
        """Return where a file lies on this machine, None where the place has none of that name.

        Raises:
            WeightsError: the place cannot be asked.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """A folder of this machine."""

    path: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def find(self, filename: str) -> Path | None:
        """Return the file, None where there is none."""
        path = self.path / filename
        return path if path.is_file() else None


@dataclass(frozen=True)
class Repository:
    """A repository of the Hugging Face hub; its files are downloaded once, into the hub's cache."""

    repo_id: str

    @property
    def name(self) -> str:
        """Its id."""
        return self.repo_id

    def find(self, filename: str) -> Path | None:
        """Return the file in the cache, None where the repository has none; raise where it cannot be reached."""
        try:
            return hub_file(self.repo_id, filename)
        except HubFileMissingError:
            return None


def read_weights(place: Place) -> dict[str, Tensor]:
    """Return the tensors of a place's weights, in one file or sharded, safetensors before pickles.

    Raises:
        WeightsError: it has none, they cannot be reached, or they are damaged.
    """
    unreachable: WeightsError | None = None
    for filename in WEIGHTS_FILES:
        try:
            path = place.find(filename)
        except WeightsError as error:
            unreachable = unreachable or error
            continue
        if path is not None:
            return _read_sharded(place, path) if filename.endswith(".json") else read_state(path)
    raise unreachable or WeightsError(
        f"{place.name} has a config.json but no weights for PyTorch: none of {', '.join(WEIGHTS_FILES)}"
    )


def _read_sharded(place: Place, index: Path) -> dict[str, Tensor]:
    shards = {name: place.find(name) for name in shard_names(index)}
    missing = [name for name, path in shards.items() if path is None]
    if missing:
        raise WeightsError(
            f"{place.name} lacks {', '.join(missing)}, of the files that {index.name} names; download the rest of it"
        )
    return read_shards(index, {name: path for name, path in shards.items() if path is not None})
