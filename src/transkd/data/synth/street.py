"""The street's cross-section: which strip of ground lies where, and what kind of place it is."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .canvas import Colour
from .palette import asphalt, grass, paving


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the road, outwards from the kerb; widths in metres.

    Attributes:
        verge: strip of grass between road and pavement.
        pavement: the pavement.
        yard: grass or soil between pavement and buildings.
        parking: whether cars stand along the kerb.
    """

    verge: float
    pavement: float
    yard: float
    parking: bool

    @property
    def total(self) -> float:
        """Distance from the kerb to the building line."""
        return self.verge + self.pavement + self.yard


@dataclass(frozen=True, slots=True)
class Street:
    """A straight or slightly bent street, ``x`` = 0 in the road's middle.

    Attributes:
        kind: ``"city"``, ``"suburb"``, ``"avenue"`` or ``"outskirts"``.
        lane: width of a lane.
        lanes: lanes a direction.
        left: x of the left kerb (negative).
        right: x of the right kerb.
        sides: what lies beyond the left and the right kerb.
        crossing: z from and to of a cross street, if any.
        zebra: z of a zebra crossing, if any.
        tracks: whether tram rails lie in the road.
        end: z where the street's view ends.
        autumn: whether leaves have turned.
    """

    kind: str
    lane: float
    lanes: int
    left: float
    right: float
    sides: tuple[Side, Side]
    crossing: tuple[float, float] | None
    zebra: float | None
    tracks: bool
    end: float
    autumn: bool
    road: Colour
    pavement: Colour
    grass: Colour

    def kerb(self, side: int) -> float:
        """Return x of the kerb on ``side`` (-1 left, 1 right)."""
        return self.left if side < 0 else self.right

    def strip(self, side: int) -> Side:
        """Return what lies beyond the kerb on ``side`` (-1 left, 1 right)."""
        return self.sides[0] if side < 0 else self.sides[1]

    def building_line(self, side: int) -> float:
        """Return x of the building line on ``side`` (-1 left, 1 right)."""
        return self.kerb(side) + side * self.strip(side).total

    def clear_of_crossing(self, z: float, margin: float = 1.0) -> bool:
        """Return whether ``z`` is not in the cross street."""
        return self.crossing is None or not self.crossing[0] - margin < z < self.crossing[1] + margin


def _side(dice: Random, kind: str) -> Side:
    parking = dice.random() < {"city": 0.6, "suburb": 0.5, "avenue": 0.4, "outskirts": 0.15}[kind]
    if kind == "city":
        return Side(0.0, dice.uniform(1.8, 5.0), 0.0, parking)
    if kind == "suburb":
        return Side(dice.choice((0.0, 0.0, 1.5)), dice.uniform(1.3, 2.4), dice.uniform(2.0, 7.0), parking)
    if kind == "avenue":
        return Side(dice.uniform(0.0, 3.0), dice.uniform(2.5, 5.0), dice.choice((0.0, 0.0, 4.0)), parking)
    return Side(dice.uniform(0.5, 4.0), dice.choice((0.0, 1.8)), dice.uniform(2.0, 8.0), parking)


def sample_street(dice: Random) -> Street:
    """Return a random street."""
    kind = dice.choices(("city", "suburb", "avenue", "outskirts"), (0.42, 0.24, 0.2, 0.14))[0]
    lane = dice.uniform(2.9, 3.5)
    lanes = 2 if kind == "avenue" or dice.random() < 0.15 else 1
    sides = (_side(dice, kind), _side(dice, kind))
    left = -lane * lanes - (2.1 if sides[0].parking else 0.2)
    right = lane * lanes + (2.1 if sides[1].parking else 0.2)
    crossing = None
    if dice.random() < 0.45:
        start = dice.uniform(14.0, 55.0)
        crossing = (start, start + dice.uniform(6.5, 12.0))
    zebra = crossing[0] - 4.0 if crossing and dice.random() < 0.6 else None
    if zebra is None and dice.random() < 0.12:
        zebra = dice.uniform(9.0, 35.0)
    return Street(
        kind=kind,
        lane=lane,
        lanes=lanes,
        left=left,
        right=right,
        sides=sides,
        crossing=crossing,
        zebra=zebra,
        tracks=dice.random() < {"city": 0.25, "avenue": 0.3}.get(kind, 0.0),
        end=dice.uniform(70.0, 190.0),
        autumn=dice.random() < 0.3,
        road=asphalt(dice),
        pavement=paving(dice),
        grass=grass(dice),
    )
