"""What ``transkd-doctor`` does."""

from __future__ import annotations

from collections.abc import Callable

from transkd.cli.doctor_machine import machine_section
from transkd.cli.doctor_packages import packages_section, python_section
from transkd.cli.doctor_report import Report, Section
from transkd.cli.doctor_settings import settings_section
from transkd.cli.doctor_text import as_json, as_markdown, as_text, wants_colours
from transkd.cli.doctor_torch import devices_section, driver_gpus, libraries_section, modules_to_try, try_out
from transkd.cli.progress import passing_line

PASTE = "\nFor a bug report: transkd-doctor format=markdown"


def run_doctor(form: str, *, trials: bool) -> int:
    """Look at everything, and print it.

    Args:
        form: ``text``, ``markdown`` or ``json``.
        trials: import the libraries and compute on every device too.

    Returns:
        The exit code: 1 if something is missing or broken that transkd needs.
    """
    with passing_line() as say:
        report = examine(say, trials=trials)
    if form == "json":
        print(as_json(report))
    elif form == "markdown":
        print(as_markdown(report))
    else:
        print(as_text(report, colours=wants_colours()) + PASTE)
    return report.code


def examine(say: Callable[[str], None], *, trials: bool) -> Report:
    """Return what there is to say.

    Args:
        say: is told what is being done.
        trials: import the libraries and compute on every device too.
    """
    say("looking around")
    sections = [python_section(), packages_section(), machine_section(), settings_section()]
    if trials:
        sections += _tried(say)
    return Report(tuple(section for section in sections if section.facts or section.troubles))


def _tried(say: Callable[[str], None]) -> list[Section]:
    gpus = driver_gpus()
    trial = try_out(modules_to_try(), say)
    return [libraries_section(trial), devices_section(trial, gpus)]
