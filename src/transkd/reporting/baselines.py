"""What gains are over: the plain student of a network, or a method that was named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from transkd.errors import ConfigError, did_you_mean
from transkd.reporting.methods import Method, Network

PLAIN = "the plain student"


def find_baselines(methods: Sequence[Method], title: str) -> dict[Network, Method]:
    """Return the method of each network that gains are over; none for a network without one.

    Args:
        methods: of one table.
        title: of the method, ``*`` and ``?`` match anything; empty for the plain student.

    Raises:
        ConfigError: two methods of a network are of that title.
    """
    if not title:
        return {method.student: method for method in methods if method.kind == "plain"}
    found: dict[Network, Method] = {}
    for method in methods:
        if method.kind == "teacher" or not (method.title == title or fnmatchcase(method.title, title)):
            continue
        other = found.setdefault(method.student, method)
        if other is not method:
            raise ConfigError(f"baseline={title} is {other.title} and {method.title} of one network: name one of them")
    return found


def check_baseline(title: str, tables: Iterable[Sequence[Method]]) -> None:
    """Raise a ConfigError where a title is given that no method of any table has."""
    methods = [method for table in tables for method in table]
    if title and not any(find_baselines([method], title) for method in methods):
        titles = {method.title for method in methods if method.kind != "teacher"}
        raise ConfigError(f"baseline={title}: no method has this title; {did_you_mean(title, titles)}")


def named(baselines: Mapping[Network, Method]) -> str:
    """Return what gains are over, as it reads in a sentence."""
    titles = dict.fromkeys(PLAIN if method.kind == "plain" else method.title for method in baselines.values())
    return " / ".join(titles) or PLAIN
