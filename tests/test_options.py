"""An option is declared once: its default, help and checks follow from the declaration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from transkd.errors import ConfigError
from transkd.options import (
    REQUIRED,
    OpenSection,
    Positive,
    Problem,
    Section,
    declared,
    defaults,
    find_problems,
    group,
    groups,
    nested,
    option,
    signature_problems,
)


class Inner(Section):
    size: Positive = option(8, "A size.")
    mode: Literal["fast", "slow"] = option("fast", "A mode.")


class Open(OpenSection):
    known: int = option(1, "A known one.")

    def problems(self) -> Iterator[Problem]:
        if self.get("wrong") is not None:
            yield Problem("wrong", "is wrong")


class Other(Section):
    kind: Literal["other"] = option("other", "The kind.")


class One(Section):
    kind: Literal["one"] = option("one", "The kind.")
    count: int = option(1, "A count.")


class Whole(Section):
    """A config."""

    inner: Inner = group("small", "The inner one.", heading="Groups")
    kind: One | Other = group("one", "A union.", discriminator="kind")
    name: str = option(REQUIRED, "A name.", heading="Own")
    tags: list[str] = option([], "Tags.")
    share: int | Literal["all"] = option("all", "A share.", give="a whole number or all")
    further: Open = nested("Further ones.")

    def problems(self) -> Iterator[Problem]:
        if self.name == "taken":
            yield Problem("name", "is taken")


VALUES: dict[str, Any] = {
    "inner": {"size": 8, "mode": "fast"},
    "kind": {"kind": "one", "count": 1},
    "name": "x",
    "further": {"known": 2, "more": [1]},
}


def test_defaults_groups_and_help_follow_from_the_declaration() -> None:
    assert defaults(Whole) == {"name": REQUIRED, "tags": [], "share": "all", "further": {"known": 1}}
    assert defaults(Whole)["tags"] is not defaults(Whole)["tags"]
    assert groups(Whole) == {"inner": "small", "kind": "one"}
    assert [(one.path, one.default, one.help, one.heading, one.is_group) for one in declared(Whole)] == [
        ("inner", "small", "The inner one.", "Groups", True),
        ("inner.size", 8, "A size.", "Groups", False),
        ("inner.mode", "fast", "A mode.", "Groups", False),
        ("kind", "one", "A union.", "Groups", True),
        ("name", REQUIRED, "A name.", "Own", False),
        ("tags", [], "Tags.", "Own", False),
        ("share", "all", "A share.", "Own", False),
        ("further.known", 1, "A known one.", "Own", False),
    ]


def test_a_right_config_is_read() -> None:
    whole = Whole.validated(VALUES)
    assert (whole.inner.size, whole.share, whole.tags) == (8, "all", [])
    assert dict(whole.further) == {"known": 2, "more": [1]}
    assert (whole.further.get("more"), whole.further.get("less", 3)) == ([1], 3)


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"nam": 1}, ["nam: there is no such key; did you mean 'name'?"]),
        ({"inner": {"size": 0}}, ["inner.size: give 1 or more (it is 0)"]),
        ({"inner": {"mode": "fasst"}}, ["inner.mode: there is no such choice; did you mean 'fast'? (it is 'fasst')"]),
        ({"inner": 3}, ["inner: give a section with keys of its own (it is 3)"]),
        ({"kind": {"kind": "oen"}}, ["kind.kind: there is no such choice; did you mean 'one'?"]),
        ({"kind": {"kind": "one", "count": "many"}}, ["kind.count: give a whole number (it is 'many')"]),
        ({"share": "half"}, ["share: give a whole number or all (it is 'half')"]),
        ({"tags": [1, {}]}, ["tags.1: give text"]),
        ({"further": {"wrong": 1}}, ["further.wrong: is wrong"]),
        ({"name": "taken"}, ["name: is taken"]),
        ({"name": "taken", "inner": {"size": None}}, ["inner.size: give a whole number (it is null)"]),
        (
            {"further": {"wrong": 1}, "share": 0.5},
            ["share: give a whole number or all (it is 0.5)", "further.wrong: is wrong"],
        ),
    ],
)
def test_every_mistake_is_listed(change: dict[str, Any], lines: list[str]) -> None:
    assert [str(problem) for problem in find_problems(Whole, {**VALUES, **change})] == lines
    with pytest.raises(ConfigError) as caught:
        Whole.validated({**VALUES, **change})
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == lines


def typed(
    given: object,
    *,
    rate: Annotated[float, Field(gt=0)] = 1.0,
    pair: tuple[int, int] = (1, 2),
    several: Sequence[int] = (),
    many: int | list[int] | None = None,
    flag: bool = False,
    needed: str,
) -> None:
    del given, rate, pair, several, many, flag, needed


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"rate": 2, "pair": [3, 4], "several": [1], "many": [1]}, []),
        ({"rat": 1}, ["rat: there is no such key; did you mean 'rate'?"]),
        ({"given": 1}, ["given: there is no such key; known: flag, many, needed, pair, rate, several"]),
        ({"rate": "1"}, ["rate: give a number (it is '1')"]),
        ({"rate": True}, ["rate: give a number (it is true)"]),
        ({"rate": 0}, ["rate: give a number above 0 (it is 0)"]),
        ({"pair": [1]}, ["pair.1: is missing"]),
        ({"several": "12"}, ["several: give a list (it is '12')"]),
        ({"many": "1"}, ["many: give a whole number or a list (it is '1')"]),
        ({"flag": 1}, ["flag: give true or false (it is 1)"]),
        ({"needed": None}, ["needed: give text (it is null)"]),
    ],
)
def test_options_follow_from_a_signature(options: dict[str, Any], lines: list[str]) -> None:
    options = {"needed": "x", **options}
    assert [str(problem) for problem in signature_problems(typed, options, given=("given",))] == lines
    assert [str(problem) for problem in signature_problems(typed, options, "a.b", given=("given",))] == [
        f"a.b.{line}" for line in lines
    ]


def test_an_option_without_default_is_needed_and_keywords_take_anything() -> None:
    assert [str(problem) for problem in signature_problems(typed, {}, given=("given",))] == ["needed: is missing"]
    assert signature_problems(lambda **options: options, {"any": 1}) == []
