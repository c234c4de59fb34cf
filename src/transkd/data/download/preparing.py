"""From downloaded files to the folder that a dataset is read from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from transkd.data.convert import convert_nyuv2
from transkd.data.download.unpacking import unpack
from transkd.data.download.watching import Watcher

NYUV2_MAT, NYUV2_MAPPING, NYUV2_SPLITS = "nyu_depth_v2_labeled.mat", "classMapping40.mat", "splits.mat"


def unpacker(archive: str, wanted: re.Pattern[str]) -> Callable[[Path, Path, Watcher], None]:
    """Return what unpacks an archive of that name, from the start where it was interrupted.

    Args:
        archive: the file's name in the folder of the downloaded files.
        wanted: matches the names of the members to unpack; its group ``path`` is where they go.
    """

    def prepare(archives: Path, into: Path, watcher: Watcher) -> None:
        shutil.rmtree(into, ignore_errors=True)
        unpack(archives / archive, wanted, into, watcher)

    return prepare


def prepare_nyuv2(archives: Path, into: Path, watcher: Watcher) -> None:
    """Write NYUv2's scenes as PNGs; scenes that are there already are kept."""
    with watcher.items("writing scenes") as progress:
        convert_nyuv2(archives / NYUV2_MAT, archives / NYUV2_MAPPING, archives / NYUV2_SPLITS, into, progress=progress)
