"""Read what W&B logged offline: a LevelDB log (blocks of 32 KiB, records of a 7-byte header) of protobuf records."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER, FILE_HEADER = 32768, 7, 7
FULL, FIRST, LAST = 1, 2, 4


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a ``.wandb`` file."""
    data, place, held = path.read_bytes(), FILE_HEADER, b""
    assert data[:4] == b":W&B"
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        piece = data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        held = piece if kind in (FULL, FIRST) else held + piece
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(held)
            yield record


def finished_records(path: Path, seconds: float = 30) -> list[Record]:
    """Return all records once the last is there: W&B's own process writes them, and may be a little behind."""
    given_up = time.monotonic() + seconds
    while True:
        found = list(records(path))
        if any(record.WhichOneof("record_type") == "exit" for record in found) or time.monotonic() > given_up:
            return found
        time.sleep(0.1)


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


class OfflineRun:
    """One offline run: what it is called, its config, what it logged, its summary and its files."""

    def __init__(self, folder: Path) -> None:
        (path,) = folder.glob("*.wandb")
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.exit_code: int | None = None
        self.name = self.group = self.project = ""
        self.files = {p.relative_to(folder / "files").as_posix() for p in (folder / "files").rglob("*") if p.is_file()}
        for record in finished_records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.name, self.group, self.project = record.run.display_name, record.run.run_group, record.run.project
                self.config |= {_key(item): json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "config":
                self.config |= {_key(item): json.loads(item.value_json) for item in record.config.update}
            elif kind == "history":
                self.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
            elif kind == "summary":
                self.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
            elif kind == "exit":
                self.exit_code = record.exit.exit_code
