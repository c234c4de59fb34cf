"""Methods: the runs of one network, distillation and teacher with different seeds; their titles, and baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from transkd.errors import ConfigError
from transkd.runs.finished import PLAIN, Run, architecture, comparison_facts, method_options, recipe_facts
from transkd.runs.recipe import frozen, shown

PACKAGE = Path(__file__).resolve().parents[1]
CONF = PACKAGE / "conf", PACKAGE.parents[1] / "conf"
"""In an installed wheel, and in a checkout."""
PLAIN_TITLE, PLAIN_STUDENT = "plain student", "the plain student"
Kind = Literal["teacher", "plain", "distilled"]
ORDER: tuple[Kind, ...] = ("teacher", "plain", "distilled")
Network = tuple[str, str | None, int | None]
"""Backbone, head and the head's width."""


@dataclass(frozen=True)
class Method:
    """What a row of a table is made of.

    Attributes:
        title: what the row is called.
        kind: teacher, plain student or distilled student.
        runs: one run for each seed, ascending.
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

    @property
    def mious(self) -> dict[int, float]:
        """Seed -> mean IoU."""
        return {run.seed: run.miou for run in self.runs}


def group_by_method(
    students: Sequence[Run], teachers: Sequence[Run], teacher_of: Mapping[Path, Run]
) -> tuple[Method, ...]:
    """Sort the runs of one table into methods: teachers first, then plain students, then the others, the best first.

    Raises:
        ConfigError: runs of the same method and seed with different results: their mean would not be over seeds.
    """
    by_method, by_recipe = defaultdict(list), defaultdict(list)
    for run in students:
        by_method[_identity(run, teacher_of)].append(run)
    for run in teachers:
        by_recipe[_trained_as(run)].append(run)
    titles = method_titles([runs[0] for runs in by_method.values()], teacher_of)
    backbones = [runs[0].results.backbone for runs in by_recipe.values()]
    for backbone, runs in zip(backbones, by_recipe.values(), strict=True):
        titles.append(f"teacher {backbone}" + f" ({runs[0].name})" * (backbones.count(backbone) > 1))
    methods = []
    for number, (title, runs) in enumerate(zip(titles, [*by_method.values(), *by_recipe.values()], strict=True)):
        kind: Kind = "teacher" if number >= len(by_method) else "plain" if runs[0].is_plain else "distilled"
        by_seed: dict[int, Run] = {}
        for run in sorted(runs, key=lambda run: run.seed):
            kept = by_seed.setdefault(run.seed, run)
            scores = [(one.results.miou, one.results.pixel_accuracy, one.results.per_class) for one in (kept, run)]
            if scores[0] != scores[1]:
                raise ConfigError(
                    f"{title}, seed {run.seed} has different results, so that a mean would not be over seeds: mIoU "
                    f"{100 * kept.miou:.2f} in {kept.folder} and {100 * run.miou:.2f} in {run.folder}; leave one of "
                    f"them out, such as by exclude=folder:{run.folder}"
                )
        repeats = tuple(run for run in runs if by_seed[run.seed] is not run)
        teaching = [teacher_of[run.folder] for run in by_seed.values() if run.folder in teacher_of]
        teachers_of_it = tuple({run.folder: run for run in teaching}.values())
        methods.append(Method(title, kind, tuple(by_seed.values()), repeats, architecture(runs[0]), teachers_of_it))

    def position(method: Method) -> tuple[object, ...]:
        mean = sum(run.miou for run in method.runs) / len(method.runs)
        return ORDER.index(method.kind), str(method.student), -mean, method.title

    return tuple(sorted(methods, key=position))


def _identity(run: Run, teacher_of: Mapping[Path, Run]) -> str:
    """Return what makes a run's method, its teacher whatever the teacher's seed."""
    teacher = teacher_of.get(run.folder)
    taught_by = None if run.is_plain else str(run.teacher_weights) if teacher is None else _trained_as(teacher)
    return frozen([architecture(run), method_options(run), taught_by])


def _trained_as(run: Run) -> str:
    return frozen([architecture(run), method_options(run), recipe_facts(run), str(run.teacher_weights)])


def teachers_that_compare(teachers: Sequence[Run], students: Sequence[Run]) -> tuple[Run, ...]:
    """Return the teachers that have the students' own network and recipe, and so are students in the table too."""
    facts = {frozen([architecture(run), comparison_facts(run)]) for run in students}
    return tuple(run for run in teachers if frozen([architecture(run), comparison_facts(run)]) in facts)


@cache
def configured_methods() -> Mapping[str, tuple[str, ...]]:
    """Return the methods of ``conf/distillation``: name -> losses, those of the methods that it extends first."""
    files = [file for conf in CONF for file in sorted(conf.glob("distillation/*.yaml"))]
    return {file.stem: tuple(dict.fromkeys(_losses(file))) for file in files}


def _losses(file: Path) -> Iterator[str]:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    for base in values.get("defaults", ()):
        if base != "_self_":
            yield from _losses(file.with_name(f"{base}.yaml"))
    yield from values.get("losses", {})


def method_name(run: Run) -> str:
    """Return the name of a run's method with losses added or removed: ``weight selection + transkd_ea + kd - csf``.

    A name that is neither that of a file in ``conf/distillation`` nor a loss's is the user's, and stands as it is.
    """
    name, losses = " ".join(run.results.distillation.split()), run.losses
    if run.is_plain:
        return PLAIN_TITLE
    expected = () if name == PLAIN else configured_methods().get(name, (name,) if name in losses else None)
    if expected is None:
        return name
    parts = ["weight selection"] * run.starts_from_teacher + [name] * (name != PLAIN)
    parts += [loss for loss in losses if loss not in expected]
    return " + ".join(parts) + "".join(f" - {loss}" for loss in expected if loss not in losses)


def method_titles(runs: Sequence[Run], teacher_of: Mapping[Path, Run]) -> list[str]:
    """Return a title for a run of each method: its name, and what of options, network and teacher distinguishes it."""
    teachers = [teacher_of.get(run.folder) for run in runs]
    taught_by = [
        {} if run.is_plain else {"from": f"{one.results.backbone} ({one.name})" if one else run.teacher_weights}
        for run, one in zip(runs, teachers, strict=True)
    ]
    titles = _distinguished([method_name(run) for run in runs], [method_options(run) for run in runs])
    titles = _distinguished(titles, taught_by)
    backbones, *heads = zip(*(architecture(run) for run in runs), strict=True)
    networks = backbones if len(set(backbones)) > 1 else [""] * len(runs)
    networks = _distinguished(
        networks, [{"head": head, "head_width": width} for head, width in zip(*heads, strict=True)]
    )
    return [", ".join(filter(None, both)) for both in zip(networks, titles, strict=True)]


def _distinguished(titles: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add to titles that several methods have the facts in which these differ, such as ``csf.weight 0.5``."""
    found = list(titles)
    for title in dict.fromkeys(titles):
        alike = [index for index, other in enumerate(titles) if other == title]
        keys = dict.fromkeys(key for index in alike for key in facts[index])
        differ = [key for key in keys if len({frozen(facts[index].get(key)) for index in alike}) > 1]
        for index in alike:
            own = facts[index]
            texts = [f"{key.removeprefix('losses.')} {shown(own[key])}" for key in differ if key in own]
            found[index] = ", ".join(filter(None, (title, *texts)))
    return found


def find_baselines(methods: Sequence[Method], title: str) -> dict[Network, Method]:
    """Return the method of each network that gains are over; none for a network without one.

    Its ``title`` may hold ``*`` and ``?``, which match anything, and is empty for the plain student.

    Raises:
        ConfigError: two methods of a network have that title.
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
