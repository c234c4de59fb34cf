"""Pictures of scenes: image, label and predictions side by side, in the dataset's colours, with a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from transkd.evaluation.legend import BACKGROUND, INK, MARGIN, font, legend_strip

Pixels = npt.NDArray[np.uint8]
Palette = Sequence[tuple[int, int, int]]

TITLE_HEIGHT = 22
NOT_LABELLED, IGNORED = "not labelled", (0, 0, 0)


def colourise(classes: npt.NDArray[np.integer], palette: Palette) -> Pixels:
    """Return class ids (H, W) as colours (H, W, 3); ids without a colour (ignored pixels) are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    colours: Pixels = table[np.clip(classes, 0, 255).astype(np.uint8)]
    return colours


def scene_picture(
    image: Pixels,
    classes: Mapping[str, npt.NDArray[np.integer]],
    class_names: Sequence[str],
    palette: Palette,
    *,
    panel_width: int = 384,
) -> Image.Image:
    """Lay a scene's image and class maps side by side, each under its title, above a legend.

    Args:
        image: (H, W, 3) RGB.
        classes: title -> class ids (h, w), e.g. label, teacher, student; resized nearest to the panel.
        class_names: name of each class id.
        palette: colour of each class id.
        panel_width: width of each panel in pixels.

    Returns:
        The picture; its legend names the classes that occur in any of the maps, and ignored pixels where there are.
    """
    height = max(1, round(panel_width * image.shape[0] / image.shape[1]))
    size = (panel_width, height)
    panels = {"image": Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)}
    for title, ids in classes.items():
        panels[title] = Image.fromarray(colourise(ids, palette)).resize(size, Image.Resampling.NEAREST)

    width = MARGIN + len(panels) * (panel_width + MARGIN)
    seen = sorted({int(i) for ids in classes.values() for i in np.unique(ids)})
    entries = {class_names[i]: palette[i] for i in seen if i < len(class_names)}
    if seen and seen[-1] >= len(class_names):
        entries[NOT_LABELLED] = IGNORED
    legend = legend_strip(list(entries), list(entries.values()), width)
    canvas = Image.new("RGB", (width, TITLE_HEIGHT + height + MARGIN + legend.height), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for column, (title, panel) in enumerate(panels.items()):
        left = MARGIN + column * (panel_width + MARGIN)
        pen.text((left, 4), title, fill=INK, font=font())
        canvas.paste(panel, (left, TITLE_HEIGHT))
    canvas.paste(legend, (0, TITLE_HEIGHT + height + MARGIN))
    return canvas
