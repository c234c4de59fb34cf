"""A notebook with its outputs as a page of Markdown, and its pictures as files."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


@dataclass
class NotebookPage:
    """A page and the pictures that it shows.

    Attributes:
        text: the page.
        pictures: file name -> content.
    """

    text: str = ""
    pictures: dict[str, bytes] = field(default_factory=dict)


def notebook_page(path: Path, rewritten: Callable[[str], str] = str) -> NotebookPage:
    """Return the page of a notebook: text, code, and what the code gave when the notebook was saved.

    Args:
        path: the notebook.
        rewritten: gives the text of a cell as the page needs it, such as with other links.

    Raises:
        ValueError: a cell's output is an error.
    """
    page = NotebookPage()
    notebook = json.loads(path.read_text(encoding="utf-8"))
    parts: list[str] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(rewritten(source))
        elif cell["cell_type"] == "code" and source:
            parts.append(_fenced(source, "bash" if source.startswith("%%bash") else "python"))
            parts += _outputs(cell.get("outputs", []), path, page)
    title, _, rest = parts[0].partition("\n")
    note = f"*A notebook: [{path.name}]({path.name}) runs in Jupyter, after `pip install -e .` in a checkout.*"
    page.text = "\n\n".join([title, note, rest.strip(), *parts[1:]]) + "\n"
    return page


def _outputs(outputs: list[dict[str, Any]], path: Path, page: NotebookPage) -> Iterator[str]:
    printed = ""
    for output in outputs:
        if output["output_type"] == "stream":
            printed += "".join(output["text"])
            continue
        if output["output_type"] == "error":
            raise ValueError(f"{path.name} was saved with an error: {output['ename']}: {output['evalue']}")
        if printed.strip():
            yield _shown(printed)
            printed = ""
        yield from _data(output["data"], path, page)
    if printed.strip():
        yield _shown(printed)


def _data(data: dict[str, Any], path: Path, page: NotebookPage) -> Iterator[str]:
    """Yield the best form of one result: a picture, Markdown, or plain text."""
    for kind, ending in PICTURES.items():
        if kind in data:
            name = f"{path.stem}-{len(page.pictures) + 1}.{ending}"
            content = "".join(data[kind])
            page.pictures[name] = content.encode() if ending == "svg" else base64.b64decode(content)
            yield f"![what the cell above draws]({name})"
            return
    if "text/markdown" in data:
        yield "".join(data["text/markdown"])
    elif "".join(data.get("text/plain", "")).strip():
        yield _shown("".join(data["text/plain"]))


def _shown(text: str) -> str:
    lines = ANSI.sub("", text).strip("\n").split("\n")
    return _fenced("\n".join(line.rpartition("\r")[2].rstrip() for line in lines), "text")


def _fenced(text: str, language: str) -> str:
    fence = "```" if "```" not in text else "`````"
    return f"{fence}{language}\n{text}\n{fence}"
