"""Runs of one method: the same network taught in the same way, told apart by seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from transkd.errors import ConfigError, did_you_mean
from transkd.reporting.collect import Teachers
from transkd.runs.finished import (
    PLAIN,
    Run,
    architecture,
    comparison_facts,
    differing_settings,
    method_options,
    recipe_facts,
)
from transkd.runs.recipe import frozen, shown

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = PACKAGE / "conf" / "distillation", PACKAGE.parents[1] / "conf" / "distillation"
"""In an installed wheel, and in a checkout."""


@cache
def ready_methods() -> Mapping[str, tuple[str, ...]]:
    """Return the name of each ready method and its losses, those of the methods that it is made from first."""
    files = [file for folder in FOLDERS for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: tuple(dict.fromkeys(_losses(file))) for file in files}


def _losses(file: Path) -> Iterator[str]:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    for base in values.get("defaults", ()):
        if base != "_self_":
            yield from _losses(file.with_name(f"{base}.yaml"))
    yield from values.get("losses", {})


PLAIN_TITLE = "plain student"
SELECTED = "weight selection"
LOSSES = "losses."


def method_name(run: Run) -> str:
    """Return what a run calls its method, and the losses that were combined with what that name stands for.

    ``transkd_ea`` with ``kd`` added is ``transkd_ea + kd``, and without ``csf`` it is ``transkd_ea - csf``. A name that
    is neither that of a file in ``conf/distillation`` nor a loss's is the user's own, and says all that it has to. A
    start from the teacher's weights comes first: ``weight selection + kd``.
    """
    name, losses = " ".join(run.results.distillation.split()), run.losses
    if run.is_plain:
        return PLAIN_TITLE
    start = [SELECTED] if run.starts_from_teacher else []
    own = () if name == PLAIN else ready_methods().get(name, (name,) if name in losses else None)
    if own is None:
        return name
    added = [loss for loss in losses if loss not in own]
    gone = "".join(f" - {loss}" for loss in own if loss not in losses)
    return " + ".join([*start, *([] if name == PLAIN else [name]), *added]) + gone


def method_titles(runs: Sequence[Run], teachers: Mapping[Path, Run]) -> list[str]:
    """Return a title for each method: its name, and as much of options, network and teacher as tells it apart.

    Args:
        runs: one of each method.
        teachers: a student's folder -> the run that taught it.
    """
    titles = [method_name(run) for run in runs]
    titles = _told_apart(titles, runs, lambda alike: _option_texts([method_options(run) for run in alike]))
    titles = _told_apart(titles, runs, lambda alike: _when_different([_teacher_text(run, teachers) for run in alike]))
    networks = _when_different([architecture(run)[0] for run in runs])
    networks = _told_apart(networks, runs, lambda alike: _option_texts([_head_facts(run) for run in alike]))
    networks = [network.removeprefix(", ") for network in networks]
    return [f"{network}, {title}" if network else title for network, title in zip(networks, titles, strict=True)]


def teacher_titles(runs: Sequence[Run]) -> list[str]:
    """Return a title for each teacher: its network, and its run's name where several have that."""
    backbones = [run.results.backbone for run in runs]
    return [
        f"teacher {run.results.backbone}" + (f" ({run.name})" if backbones.count(run.results.backbone) > 1 else "")
        for run in runs
    ]


def _head_facts(run: Run) -> dict[str, Any]:
    _, head, width = architecture(run)
    return {"head": head, "head_width": width}


def _teacher_text(run: Run, teachers: Mapping[Path, Run]) -> str:
    teacher = teachers.get(run.folder)
    if teacher is None:
        return "" if run.is_plain else f"from {run.teacher_weights}"
    return f"from {teacher.results.backbone} ({teacher.name})"


def _told_apart(titles: Sequence[str], runs: Sequence[Run], texts_of: Callable[[list[Run]], list[str]]) -> list[str]:
    found = list(titles)
    for title in dict.fromkeys(titles):
        places = [place for place, other in enumerate(titles) if other == title]
        if len(places) > 1:
            for place, text in zip(places, texts_of([runs[place] for place in places]), strict=True):
                found[place] = f"{title}, {text}" if text else title
    return found


def _when_different(texts: Sequence[str]) -> list[str]:
    return list(texts) if len(set(texts)) > 1 else [""] * len(texts)


def _option_texts(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each one's options in which not all are alike, such as ``csf.weight 0.5``; what is not set is not said."""
    keys = dict.fromkeys(key for one in options for key in one)
    differ = [key for key in keys if len({frozen(one.get(key)) for one in options}) > 1]
    return [
        ", ".join(f"{key.removeprefix(LOSSES)} {shown(one[key])}" for key in differ if key in one) for one in options
    ]


Network = tuple[str, str | None, int | None]
"""Backbone, head and the head's width."""
Kind = Literal["teacher", "plain", "distilled"]
MOST_KEYS = 4
ORDER: tuple[Kind, ...] = ("teacher", "plain", "distilled")


@dataclass(frozen=True)
class Method:
    """What a row of a table is made of.

    Attributes:
        title: what the row is called.
        kind: teacher, plain student or distilled student.
        runs: one run a seed, by seed.
        repeats: further runs of a seed with equal results, which count once.
        student: the network, so that a method finds its plain student.
        teachers: the runs that taught it.
    """

    title: str
    kind: Kind
    runs: tuple[Run, ...]
    repeats: tuple[Run, ...]
    student: Network
    teachers: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its seeds, ascending."""
        return tuple(run.seed for run in self.runs)


def methods_of(students: Sequence[Run], taught_by: Teachers, teachers: Sequence[Run]) -> tuple[Method, ...]:
    """Sort the runs of one table into methods: teachers first, then plain students, then the others, the best first.

    Args:
        students: runs that compare with each other.
        taught_by: which run taught which student.
        teachers: the teachers to show.

    Raises:
        ConfigError: runs of the same method and seed with different results, of which a mean would be none over seeds.
    """
    by_method: dict[str, list[Run]] = defaultdict(list)
    for run in students:
        by_method[_identity(run, taught_by.of)].append(run)
    titles = method_titles([runs[0] for runs in by_method.values()], taught_by.of)
    groups = [("plain" if runs[0].is_plain else "distilled", runs) for runs in by_method.values()]
    methods = [_method(title, kind, runs, taught_by.of) for title, (kind, runs) in zip(titles, groups, strict=True)]
    methods += _teacher_methods(teachers, taught_by.of)
    clashes = [line for method, lines in methods for line in lines]
    if clashes:
        raise ConfigError(
            "runs of the same method and seed have different results, so that a mean would not be over seeds:\n"
            + "\n".join(f"  {line}" for line in clashes)
            + "\nleave one of each out, such as by exclude=folder:"
            + clashes[0].rsplit(" and ", 1)[1].split(" ")[0]
        )
    return tuple(sorted((m for m, _ in methods), key=_place))


def _place(method: Method) -> tuple[object, ...]:
    """Return what methods are sorted by: role, network, then the best first."""
    mean = sum(run.miou for run in method.runs) / len(method.runs)
    return ORDER.index(method.kind), str(method.student), -mean, method.title


def _teacher_methods(teachers: Sequence[Run], of: Mapping[Path, Run]) -> list[tuple[Method, list[str]]]:
    by_recipe: dict[str, list[Run]] = defaultdict(list)
    for run in teachers:
        by_recipe[_recipe_of(run)].append(run)
    titles = teacher_titles([runs[0] for runs in by_recipe.values()])
    return [_method(title, "teacher", runs, of) for title, runs in zip(titles, by_recipe.values(), strict=True)]


def _method(title: str, kind: str, runs: Sequence[Run], of: Mapping[Path, Run]) -> tuple[Method, list[str]]:
    by_seed: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        by_seed[run.seed].append(run)
    clashes = [
        f"{title}, seed {seed}: {first.folder} (mIoU {100 * first.miou:.2f}) and {other.folder} "
        f"(mIoU {100 * other.miou:.2f})"
        for seed, (first, *others) in sorted(by_seed.items())
        for other in others
        if _scores(first) != _scores(other)
    ]
    kept = tuple(by_seed[seed][0] for seed in sorted(by_seed))
    repeats = tuple(run for seed in sorted(by_seed) for run in by_seed[seed][1:])
    taught = {of[run.folder].folder: of[run.folder] for run in kept if run.folder in of}
    found: Kind = next(name for name in ORDER if name == kind)
    return Method(title, found, kept, repeats, architecture(runs[0]), tuple(taught.values())), clashes


def _scores(run: Run) -> tuple[object, ...]:
    return run.results.miou, run.results.pixel_accuracy, run.results.per_class


def _identity(run: Run, of: Mapping[Path, Run]) -> str:
    return frozen([architecture(run), method_options(run), None if run.is_plain else _teacher_identity(run, of)])


def _teacher_identity(run: Run, of: Mapping[Path, Run]) -> str:
    """Return what taught a run, whatever its seed; what its config names where the teacher's run is not known."""
    teacher = of.get(run.folder)
    return str(run.teacher_weights) if teacher is None else _recipe_of(teacher)


def _recipe_of(run: Run) -> str:
    return frozen([architecture(run), method_options(run), recipe_facts(run), str(run.teacher_weights)])


def same_names(runs: Iterable[Run]) -> list[str]:
    """Return a sentence for each name that several runs have, which says whether they are the same."""
    by_name: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_name[run.name].append(run)
    return [_same_name(name, alike) for name, alike in by_name.items() if len(alike) > 1]


def _same_name(name: str, runs: Sequence[Run]) -> str:
    keys = differing_settings(runs)
    more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
    if keys:
        said = f"they differ in {', '.join(keys[:MOST_KEYS])}{more}"
    elif all(_scores(run) == _scores(runs[0]) for run in runs):
        said = "they have the same settings and scores"
    else:
        said = "they have the same settings and other scores"
    return f"{len(runs)} runs are called {name}: {', '.join(str(run.folder) for run in runs)}; {said}."


def also_students(teachers: Sequence[Run], students: Sequence[Run]) -> tuple[Run, ...]:
    """Return the teachers that have the students' own network and recipe, and so compare with them."""
    facts = {frozen([architecture(run), comparison_facts(run)]) for run in students}
    return tuple(run for run in teachers if frozen([architecture(run), comparison_facts(run)]) in facts)


PLAIN_STUDENT = "the plain student"


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
    titles = dict.fromkeys(PLAIN_STUDENT if method.kind == "plain" else method.title for method in baselines.values())
    return " / ".join(titles) or PLAIN_STUDENT
