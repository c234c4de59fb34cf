"""From masks of ids, palette or RGB colours to class ids, for people's own files."""

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
from transkd.data.mask_files import Mask, read_mask
from transkd.errors import DataError

Colour = tuple[int, int, int]
MaskKind = Literal["auto", "ids", "colours"]
_IDS_ADVICE = (
    "Name them in classes.yaml, as classes ('road: 1', where the ids do not start at 0) or below 'ignore'; "
    "data.options.masks_hold=colours reads greys as colours."
)
_SHIFTS = np.array([16, 8, 0], np.uint32)
_CODE = np.left_shift(np.uint32(1), _SHIFTS)


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
        default_ignore: whether 255 is ignored only by default, not because the class file says so.
    """

    lookup: npt.NDArray[np.uint8]
    colours: tuple[tuple[Colour, int], ...]
    names: tuple[str, ...]
    kind: MaskKind = "auto"
    default_ignore: bool = False

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """Read one mask.

        Raises:
            DataError: if the file cannot be read, its ids or colours are not among the classes', or it is
                unclear which of the two it means; names it.
        """
        mask = read_mask(path)
        may_be_ids = self.kind == "ids" or (self.kind == "auto" and not self.colours)
        if mask.pixels.ndim == 3 and may_be_ids and (mask.pixels == mask.pixels[:, :, :1]).all():
            mask = Mask(np.ascontiguousarray(mask.pixels[:, :, 0]))  # ids, each written three times
        if mask.pixels.ndim == 3:
            return self._from_colours(mask.pixels, path)
        used = np.flatnonzero(Image.fromarray(mask.pixels).histogram())
        greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
        shades = greys if mask.palette is None else mask.palette  # (256, 3), the colours of the ids
        known = dict(self.colours)
        by_colour = np.array([known.get(_colour(shade), UNKNOWN_ID) for shade in shades], np.uint8)
        if not self._means_colours(self.lookup[used], by_colour[used], used, mask, path):
            self._refuse_black_and_white(used, path)
            return to_class_ids(mask.pixels, self.lookup, path, _IDS_ADVICE)
        ids = np.take(by_colour, mask.pixels)
        unknown = ids == UNKNOWN_ID
        if unknown.any():
            raise self._unknown_colours(shades[mask.pixels], unknown, path)
        return ids

    def _from_colours(self, pixels: npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
        if self.kind == "ids":
            raise DataError(f"{path}: an RGB picture, but data.options.masks_hold=ids; leave that out to read colours.")
        if not self.colours:
            raise DataError(
                f"{path}: an RGB picture, but no class has a colour; write them into classes.yaml, "
                "one a line: 'road: [128, 64, 128]'."
            )
        decoded = decode_colours(pixels, self.colours)
        unknown = decoded == UNKNOWN_ID
        if unknown.any():
            raise self._unknown_colours(pixels, unknown, path)
        return decoded

    def _means_colours(
        self,
        ids: npt.NDArray[np.uint8],
        coloured: npt.NDArray[np.uint8],
        used: npt.NDArray[np.intp],
        mask: Mask,
        path: Path,
    ) -> bool:
        """Return whether a mask of the ids ``used`` is to be read by their colours; both readings are given."""
        if self.kind != "auto" or not self.colours:
            return self.kind == "colours"
        ids_fit, colours_fit = UNKNOWN_ID not in ids, UNKNOWN_ID not in coloured
        if ids_fit != colours_fit:
            return colours_fit
        if not ids_fit:
            return mask.palette is not None
        if np.array_equal(ids, coloured):
            return False
        if self.default_ignore and 255 in used:
            return True
        listed = ", ".join(map(str, used[:8].tolist())) + (", ..." if len(used) > 8 else "")
        raise DataError(
            f"{path}: this mask means one thing by its ids ({listed}) and another by their colours, "
            "and both are among the classes: set data.options.masks_hold=ids or data.options.masks_hold=colours."
        )

    def _refuse_black_and_white(self, used: npt.NDArray[np.intp], path: Path) -> None:
        """Refuse 0 and 255 alone where 255 may mean the second class as well as "ignore"."""
        if self.default_ignore and len(self.names) <= 2 and 255 in used and set(used.tolist()) <= {0, 255}:
            last = self.names[-1]
            raise DataError(
                f"{path}: this mask holds only 0 and 255. If 255 is the class {last}, say so in classes.yaml "
                f"('{last}: 255', and 0 for the other); if those pixels are to be ignored, add 'ignore: [255]'."
            )

    def _unknown_colours(
        self, pixels: npt.NDArray[np.uint8], unknown: npt.NDArray[np.bool_], path: Path
    ) -> UnknownIdsError:
        codes, counts = np.unique(pixels[unknown] @ _CODE, return_counts=True)
        found = ((codes[:, None] >> _SHIFTS) & 255).astype(np.uint8)
        order = np.argsort(-counts, kind="stable")[:5]
        listed = "; ".join(
            f"{_shown(_colour(found[i]))} ({counts[i]} pixels, {self._nearest(found[i])})" for i in order
        )
        rest = len(found) - len(order)
        more = f"; and {rest} more colours" if rest else ""
        smooth = " So many colours come from a mask that was resized smoothly or saved lossily." if rest > 20 else ""
        if self.kind == "auto" and (found == found[:, :1]).all():
            smooth += " All of them are grey: if they are ids, set data.options.masks_hold=ids."
        return UnknownIdsError(
            f"{path}: colours of no class: {listed}{more}.{smooth} "
            "Add them to classes.yaml, as classes or below 'ignore'.",
            [_shown(_colour(found[i])) for i in order],
        )

    def _nearest(self, colour: npt.NDArray[np.uint8]) -> str:
        palette = np.array([known for known, _ in self.colours], np.int64)
        place = int(((palette - colour.astype(np.int64)) ** 2).sum(1).argmin())
        known, class_id = self.colours[place]
        name = self.names[class_id] if class_id < len(self.names) else "ignore"
        return f"nearest is {name} {_shown(known)}"


def decode_colours(pixels: npt.NDArray[np.uint8], colours: Sequence[tuple[Colour, int]]) -> npt.NDArray[np.uint8]:
    """Map colours to class ids.

    Args:
        pixels: (H, W, 3) RGB.
        colours: (colour, class id), each colour once.

    Returns:
        (H, W) uint8; ``UNKNOWN_ID`` where a colour is none of these.
    """
    ids: npt.NDArray[np.uint8] = np.take(_colour_table(tuple(colours)), pixels @ _CODE)
    return ids


@lru_cache(maxsize=4)
def _colour_table(colours: tuple[tuple[Colour, int], ...]) -> npt.NDArray[np.uint8]:
    """Return class ids by 24-bit colour: 16 MiB, of which a mask's few colours touch a few cache lines."""
    table = np.full(1 << 24, UNKNOWN_ID, np.uint8)
    for colour, class_id in colours:
        table[int(np.array(colour, np.uint32) @ _CODE)] = class_id
    return table


def _colour(shade: npt.NDArray[np.uint8]) -> Colour:
    red, green, blue = shade.tolist()
    return red, green, blue


def _shown(colour: Colour) -> str:
    return f"[{', '.join(map(str, colour))}]"
