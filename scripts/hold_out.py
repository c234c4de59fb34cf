"""Part CamVid's training split in two, so that choices need no look at the split that is reported.

    python scripts/hold_out.py data/camvid data/camvid_part

Frames of a sequence are alike, so the last fifth of each sequence is held out, not frames here and there. The files are
links into the first folder.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

KEPT = 0.8
KINDS = ("", "annot")


def main(source: Path, target: Path) -> None:
    """Link the frames and label files of ``source/train`` below ``target/train`` and ``target/val``."""
    if target.exists():
        sys.exit(f"{target} is there already; choose another folder")
    missing = [folder for folder in (source / f"train{kind}" for kind in KINDS) if not folder.is_dir()]
    if missing:
        sys.exit(f"{missing[0]}: there is no such folder; give CamVid's, as transkd-data action=download leaves it")
    sequences = defaultdict(list)
    for file in sorted((source / "train").iterdir()):
        sequences[file.stem.split("_")[0]].append(file.stem)
    if not sequences:
        sys.exit(f"{source}/train holds no frames")
    part_of = {
        stem: "train" if place < round(KEPT * len(stems)) else "val"
        for stems in sequences.values()
        for place, stem in enumerate(stems)
    }
    for kind in KINDS:
        for file in sorted((source / f"train{kind}").iterdir()):
            link = target / f"{part_of[file.stem]}{kind}" / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
    counts = [sum(part == name for part in part_of.values()) for name in ("train", "val")]
    print(f"{target}: {counts[0]} frames to train on, {counts[1]} held out, of {len(sequences)} sequences")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
