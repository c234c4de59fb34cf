"""A report's tables in LaTeX, with booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from transkd.reporting import cells
from transkd.reporting.build import Table
from transkd.reporting.cells import Cells

TEXTS = ("method", "reading")
SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
}


def latex(table: Table, confidence: float, ending: str = "") -> str:
    """Return the tables of scores and of costs; a document needs the package booktabs for them.

    Args:
        table: what they say.
        confidence: of the intervals.
        ending: of their labels, where there are several tables.
    """
    caption = f" ({table.title})" if table.title else ""
    parts = (
        (
            f"Mean IoU over seeds and gain over {table.baseline}{caption}.",
            "scores",
            cells.scores(table.rows, confidence),
        ),
        (f"What networks and trainings cost{caption}.", "costs", cells.costs(table.rows)),
    )
    floats = [_float(text, f"{label}{ending}", table, content) for text, label, content in parts]
    return "% \\usepackage{booktabs}\n" + "\n".join(floats)


def escape(text: str) -> str:
    """Return text with what LaTeX reads as commands written out."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def _float(caption: str, label: str, table: Table, content: Cells) -> str:
    columns = "".join("l" if head in TEXTS else "r" for head in content.heads)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line(content.heads),
        r"\midrule",
    ]
    for place, row in enumerate(content.rows):
        if place and table.rows[place].method.kind != table.rows[place - 1].method.kind:
            lines.append(r"\midrule")
        lines.append(_line(row))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _line(texts: Sequence[str]) -> str:
    return f"{' & '.join(escape(text) for text in texts)} \\\\"
