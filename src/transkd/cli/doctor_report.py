"""What ``transkd-doctor`` finds: facts in sections, and troubles with what to do about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Trouble(NamedTuple):
    """Something to do something about.

    Attributes:
        what: is wrong, in a line.
        remedy: what to do.
        broken: whether transkd needs it; else it is worth knowing.
    """

    what: str
    remedy: str
    broken: bool = False


@dataclass
class Section:
    """Facts of one kind: name and value, in the order they are told."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def add(self, name: str, value: object) -> None:
        """Add a fact."""
        self.facts.append((name, str(value)))

    def warn(self, what: str, remedy: str, *, broken: bool = False) -> None:
        """Add a trouble."""
        self.troubles.append(Trouble(what, remedy, broken))


@dataclass(frozen=True)
class Report:
    """All that was found."""

    sections: tuple[Section, ...]

    @property
    def troubles(self) -> list[Trouble]:
        """Every trouble, what is broken first."""
        found: Iterable[Trouble] = (trouble for section in self.sections for trouble in section.troubles)
        return sorted(dict.fromkeys(found), key=lambda trouble: not trouble.broken)

    @property
    def code(self) -> int:
        """The exit code: 1 if something is broken that transkd needs."""
        return int(any(trouble.broken for trouble in self.troubles))

    def as_json(self) -> dict[str, Any]:
        """Return the report in plain containers."""
        return {
            "sections": {section.title: dict(section.facts) for section in self.sections},
            "troubles": [trouble._asdict() for trouble in self.troubles],
        }
