"""What methods are called in tables and plots: as short as tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transkd.reporting.ready import ready_methods
from transkd.reporting.recipes import architecture, frozen, method_options, shown
from transkd.reporting.runs import PLAIN, Run

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
