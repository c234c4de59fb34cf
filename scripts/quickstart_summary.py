"""Compare the quickstart's three segmenters: one table, and one picture of the same scenes side by side."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

import transkd
from transkd.evaluation import latency_ms
from transkd.evaluation.pictures import scene_sheet

ROWS = (
    ("teacher", "quickstart_teacher-s{seed}", "model"),
    ("plain student", "quickstart-none-s{seed}", "model"),
    ("TransKD student", "quickstart-transkd_base-s{seed}", "student"),
)
SCENES, PANEL = 4, 208


def main() -> None:
    """Print the table and draw the scenes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, default=Path("data/quickstart"))
    arguments = parser.parse_args()

    segmenters = {}
    table = Table()
    for heading in ("", "backbone", "mIoU", "parameters", "GMAC", "ms per image"):
        table.add_column(heading, justify="left" if heading in ("", "backbone") else "right")
    for title, run, name in ROWS:
        folder = arguments.runs / run.format(seed=arguments.seed)
        results = json.loads((folder / "results.json").read_text())
        segmenters[title] = transkd.load_segmenter(folder / name)
        table.add_row(
            title,
            results["backbone"],
            f"{100 * results['miou']:.2f}",
            f"{results['params'] / 1e6:.2f} M",
            f"{results['gmacs']:.2f}",
            f"{latency_ms(segmenters[title], tuple(results['image_size'])):.1f}",
        )
    height, width = results["image_size"]
    protocol = results["protocol"]
    images = results["data"]["count"]
    console = Console()
    console.print(table)
    console.print(
        f"mIoU on the same {images} validation scenes at {height}x{width}, {protocol['resolution']} resolution; "
        f"both students had the same budget; ms: median of one image at a time on this machine.",
        highlight=False,
    )

    out = arguments.runs / f"quickstart-s{arguments.seed}"
    out.mkdir(parents=True, exist_ok=True)
    data = transkd.SceneDataModule("cityscapes", arguments.data, size=[height, width])
    scenes = []
    for index in range(0, len(data.val_dataset), max(1, len(data.val_dataset) // SCENES)):
        scene = data.val_dataset[index]
        maps = {"label": scene["label"].numpy()}
        for title, segmenter in segmenters.items():
            maps[title] = segmenter.predict(scene["image"][None])[0].numpy()
        scenes.append((scene["image"].permute(1, 2, 0).numpy(), maps))
    scene_sheet(scenes, data.classes.names, data.classes.palette, panel_width=PANEL).save(out / "scenes.png")
    console.print(f"pictures: {out / 'scenes.png'}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
