"""The classes of a folder of one's own: their names, and what masks hold for them."""

from __future__ import annotations

from dataclasses import dataclass

from transkd.data.classes import IGNORE_INDEX, ClassSet
from transkd.data.colour_masks import Colour, MaskKind, MaskReader
from transkd.data.datasets.voc2012 import voc_colours
from transkd.data.labels import lookup_table


@dataclass(frozen=True)
class ClassTable:
    """What a class file says.

    Attributes:
        names: one a class, in order.
        ids: the id in mask files, one a class.
        colours: one a class, None where the file gives none.
        ignored_ids: ids of pixels to be left out.
        ignored_colours: colours of pixels to be left out.
        custom_ignore: whether the file leaves open what is ignored, so that 255 is, as is the custom.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    colours: tuple[Colour | None, ...]
    ignored_ids: tuple[int, ...]
    ignored_colours: tuple[Colour, ...]
    custom_ignore: bool

    def class_set(self) -> ClassSet:
        """Give the classes; one without a colour gets one of VOC's that no other class has."""
        taken = set(self.colours)
        free = (colour for colour in voc_colours(2 * 256)[1:] if colour not in taken)
        return ClassSet(self.names, tuple(colour or next(free) for colour in self.colours))

    def reader(self, kind: MaskKind) -> MaskReader:
        """Make the reader of the masks."""
        known = {file_id: index for index, file_id in enumerate(self.ids)}
        ignored = dict.fromkeys((*self.ignored_ids, *([IGNORE_INDEX] if self.custom_ignore else [])), IGNORE_INDEX)
        coloured = [(colour, index) for index, colour in enumerate(self.colours) if colour is not None]
        coloured += [(colour, IGNORE_INDEX) for colour in self.ignored_colours]
        return MaskReader(
            lookup_table(ignored | known),
            tuple(coloured),
            self.names,
            kind,
            self.custom_ignore and IGNORE_INDEX not in self.ids,
        )
