"""What a download did, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DownloadReport:
    """What a download did.

    Attributes:
        root: the dataset's folder.
        title: what people call the dataset.
        scenes: how many scenes each split has.
        downloaded: whether this call brought it; False where it was there.
        archives: where the downloaded files are kept; None where they are not.
        page: where the dataset is described, with its terms of use.
        note: what people should know.
    """

    root: Path
    title: str
    scenes: Mapping[str, int]
    downloaded: bool
    archives: Path | None
    page: str
    note: str

    def __str__(self) -> str:
        """Say it in a few lines."""
        scenes = ", ".join(f"{count} {split}" for split, count in self.scenes.items())
        if not self.downloaded:
            return f"{self.root} already holds {self.title} ({scenes} scenes): nothing to do"
        lines = [f"{self.root} holds {self.title}: {scenes} scenes", f"described, with its terms of use: {self.page}"]
        lines += [f"the downloaded files are kept in {self.archives}"] if self.archives else []
        lines += [f"note: {self.note}"] if self.note else []
        return "\n".join(lines)
