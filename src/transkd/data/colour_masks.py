"""From masks of ids, palette or RGB colours to class ids, for custom folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.data.labels import UNKNOWN_ID, UnknownIdsError, to_class_ids
from transkd.data.reading import read_mask
from transkd.errors import DataError, first_few

Colour = tuple[int, int, int]
MaskKind = Literal["auto", "ids", "colours"]
_IDS_ADVICE = (
    "Name them in classes.yaml, as classes ('road: 1', where the ids do not start at 0) or below 'ignore'; "
    "data.options.masks_hold=colours reads greys as colours."
)
_SHIFTS = np.array([16, 8, 0], np.uint32)
_CODE = np.left_shift(np.uint32(1), _SHIFTS)
_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)


@dataclass(frozen=True, eq=False)
class MaskReader:
    """Reads masks of ids or colours, whichever a file holds.

    A palette or grey file may mean its ids or its colours. With ``kind="auto"`` it is read by whichever is
    complete, and refused where both are and they disagree.

    Attributes:
        lookup: (256,) uint8, from ids to class ids.
        colours: (colour, class id or ignore id), for as many classes as have a colour.
        names: what the class ids are called.
        kind: "ids", "colours" or "auto".
        default_ignore: whether 255 is ignored only by default, not because the class file lists it.
    """

    lookup: npt.NDArray[np.uint8]
    colours: tuple[tuple[Colour, int], ...]
    names: tuple[str, ...]
    kind: MaskKind = "auto"
    default_ignore: bool = False

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """Read one mask, or raise a DataError that names it, also where it is unclear what the mask means."""
        pixels, palette = read_mask(path)
        may_be_ids = self.kind == "ids" or (self.kind == "auto" and not self.colours)
        if pixels.ndim == 3 and may_be_ids and (pixels == pixels[:, :, :1]).all():
            pixels = np.ascontiguousarray(pixels[:, :, 0])  # ids, each written three times
        if pixels.ndim == 3:
            if may_be_ids:
                reason = (
                    "data.options.masks_hold=ids; leave that out to read colours"
                    if self.colours
                    else ("no class has a colour; write them into classes.yaml, one a line: 'road: [128, 64, 128]'")
                )
                raise DataError(f"{path}: an RGB picture, but {reason}.")
            return self._checked(decode_colours(pixels, self.colours), pixels, path)
        shades = _GREYS if palette is None else palette  # (256, 3), the colours of the ids
        by_colour = decode_colours(shades, self.colours) if self.colours else np.full(256, UNKNOWN_ID, np.uint8)
        used = np.flatnonzero(Image.fromarray(pixels).histogram())
        if self._means_colours(used, by_colour, path, has_palette=palette is not None):
            unknown = UNKNOWN_ID in by_colour[used]
            return self._checked(np.take(by_colour, pixels), shades[pixels] if unknown else shades, path)
        if self.default_ignore and len(self.names) <= 2 and 255 in used and set(used.tolist()) <= {0, 255}:
            last = self.names[-1]
            raise DataError(
                f"{path}: this mask holds only 0 and 255. If 255 is the class {last}, say so in classes.yaml "
                f"('{last}: 255', and 0 for the other); if those pixels are to be ignored, add 'ignore: [255]'."
            )
        return to_class_ids(pixels, self.lookup, path, _IDS_ADVICE)

    def _means_colours(
        self, used: npt.NDArray[np.intp], by_colour: npt.NDArray[np.uint8], path: Path, *, has_palette: bool
    ) -> bool:
        """Return whether a mask of the ids ``used`` is to be read by their colours."""
        if self.kind != "auto" or not self.colours:
            return self.kind == "colours"
        ids, coloured = self.lookup[used], by_colour[used]
        ids_fit, colours_fit = UNKNOWN_ID not in ids, UNKNOWN_ID not in coloured
        if ids_fit != colours_fit:
            return colours_fit
        if not ids_fit:
            return has_palette
        if np.array_equal(ids, coloured):
            return False
        if self.default_ignore and 255 in used:
            return True
        listed = first_few(used.tolist(), 8)
        raise DataError(
            f"{path}: this mask means one thing by its ids ({listed}) and another by their colours, "
            "and both are among the classes: set data.options.masks_hold=ids or data.options.masks_hold=colours."
        )

    def _checked(self, ids: npt.NDArray[np.uint8], pixels: npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
        """Return the class ids of (H, W, 3) colours, or raise an UnknownIdsError for those of no class."""
        unknown = ids == UNKNOWN_ID
        if not unknown.any():
            return ids
        codes, counts = np.unique(pixels[unknown] @ _CODE, return_counts=True)
        found = ((codes[:, None] >> _SHIFTS) & 255).tolist()
        order = np.argsort(-counts, kind="stable")[:5].tolist()
        palette = np.array([known for known, _ in self.colours], np.int64).reshape(-1, 3)
        listed = []
        for i in order:
            nearest = f", nearest is {self._named(((palette - found[i]) ** 2).sum(1).argmin())}" if len(palette) else ""
            listed.append(f"{found[i]} ({counts[i]} pixels{nearest})")
        more = f"; and {len(found) - len(order)} more colours" if len(found) > len(order) else ""
        hint = ""
        if len(found) - len(order) > 20:
            hint = " So many colours come from a mask that was resized smoothly or saved lossily."
        if self.kind == "auto" and all(len(set(colour)) == 1 for colour in found):
            hint += " All of them are grey: if they are ids, set data.options.masks_hold=ids."
        raise UnknownIdsError(
            f"{path}: colours of no class: {'; '.join(listed)}{more}.{hint} "
            "Add them to classes.yaml, as classes or below 'ignore'.",
            [str(found[i]) for i in order],
        )

    def _named(self, place: int) -> str:
        colour, class_id = self.colours[place]
        return f"{self.names[class_id] if class_id < len(self.names) else 'ignore'} {list(colour)}"


def decode_colours(pixels: npt.NDArray[np.uint8], colours: Sequence[tuple[Colour, int]]) -> npt.NDArray[np.uint8]:
    """Map RGB (..., 3) to class ids (...) uint8, ``UNKNOWN_ID`` where a colour is none of these."""
    ids: npt.NDArray[np.uint8] = np.take(_colour_table(tuple(colours)), pixels @ _CODE)
    return ids


@lru_cache(maxsize=4)
def _colour_table(colours: tuple[tuple[Colour, int], ...]) -> npt.NDArray[np.uint8]:
    """Return class ids by 24-bit colour: 16 MiB, of which a mask's few colours touch a few cache lines."""
    table = np.full(1 << 24, UNKNOWN_ID, np.uint8)
    for colour, class_id in colours:
        table[int(np.array(colour, np.uint32) @ _CODE)] = class_id
    return table
