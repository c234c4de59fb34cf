"""Runs of one method: the same network taught in the same way, told apart by seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transkd.errors import ConfigError
from transkd.reporting.recipes import (
    architecture,
    comparison_facts,
    differing_settings,
    frozen,
    method_options,
    recipe_facts,
)
from transkd.reporting.runs import Run
from transkd.reporting.teachers import Teachers
from transkd.reporting.titles import method_titles, teacher_titles

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
