"""A report as people read it, as they paste it, and as programs read it."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from transkd.cli.doctor_report import Report

NO_NAMES = ("root", "user", "runner", "ubuntu", "admin")
"""Accounts that say nothing of anybody."""
PUBLIC = ("/dev/shm",)
_PATH = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:\\|~?/)[^\s'\"`|,;:()]+")
_LAST_PART = re.compile(r"[^/\\]*$")
RED, YELLOW, BOLD = "31", "33", "1"


def as_text(report: Report, *, colours: bool) -> str:
    """Return the report for a terminal."""
    width = max(len(name) for section in report.sections for name, _ in section.facts) + 2
    paint = _painter(colours)
    lines: list[str] = []
    for section in report.sections:
        lines += [paint(section.title, BOLD), *(f"  {name:<{width}}{value}" for name, value in section.facts), ""]
    if not report.troubles:
        return "\n".join([*lines, "Nothing is missing, and nothing is broken."])
    lines.append(paint("What to do", BOLD))
    for trouble in report.troubles:
        word = paint("broken", RED) if trouble.broken else paint("note", YELLOW)
        lines += [f"  {word}: {trouble.what}", f"    -> {trouble.remedy}"]
    return "\n".join([*lines, "", _verdict(report)])


def as_markdown(report: Report) -> str:
    """Return the report for a bug report: tables without folders and names of people."""
    lines = ["### transkd-doctor", ""]
    for section in report.sections:
        rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in section.facts]
        lines += [f"| {section.title} | |", "| --- | --- |", *rows, ""]
    for trouble in report.troubles:
        kind = "**broken**" if trouble.broken else "note"
        lines.append(f"- {kind}: {anonymous(trouble.what)}. {anonymous(trouble.remedy)}")
    return "\n".join([*lines, *([""] if report.troubles else []), _verdict(report)])


def as_json(report: Report) -> str:
    """Return the report for programs, without folders and names of people."""
    return json.dumps(_anonymous_all(report.as_json()), indent=2, ensure_ascii=False)


def anonymous(text: str) -> str:
    """Return text with the last part of each path only, and with no user's name."""
    home = str(Path.home())
    text = text.replace(home, "~") if len(home) > 1 else text  # its name may have spaces, where the pattern stops
    shown = _PATH.sub(lambda found: found[0] if found[0] in PUBLIC else f"…/{_LAST_PART.findall(found[0])[0]}", text)
    name = _user()
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "USER", shown) if name else shown


def wants_colours() -> bool:
    """Return whether standard output is a terminal whose owner has nothing against colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _verdict(report: Report) -> str:
    broken = sum(trouble.broken for trouble in report.troubles)
    if broken > 1:
        return f"{broken} things that transkd needs are missing or broken."
    return f"{'One thing' if broken else 'Nothing'} that transkd needs is missing or broken."


def _painter(colours: bool) -> Callable[[str, str], str]:
    return (lambda text, code: f"\x1b[{code}m{text}\x1b[0m") if colours else (lambda text, _: text)


def _cell(text: str) -> str:
    return anonymous(text).replace("|", "\\|").replace("\n", " ")


def _anonymous_all(value: object) -> object:
    if isinstance(value, dict):
        return {key: _anonymous_all(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_anonymous_all(inner) for inner in value]
    return anonymous(value) if isinstance(value, str) else value


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in containers
        return ""
    return "" if name.lower() in NO_NAMES else name
