"""A Markdown extension that writes equations, `$…$` and `$$…$$` as GitHub reads them, as MathML: no script, no font."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor

INLINE = r"(?<![\\$\w])\$(?![\s$])((?:[^$\\\n]|\\.|\n(?!\n))+?)(?<![\s\\])\$(?![\w$])"
WITH_SIGNS = rf"(\(?){INLINE}([,.;:)]*)"
"""An equation and the punctuation that touches it: no line ends between them."""
DISPLAY = re.compile(r"^([ \t]*)\$\$(?!\$)(.+?)\$\$[ \t]*$", re.MULTILINE | re.DOTALL)
LEFT_OVER = re.compile(r">\s*(\\[A-Za-z]+|&)(?=<)")


def mathml(latex: str, display: bool = False) -> str:
    """Return an equation as MathML.

    Raises:
        ValueError: it has something that the converter does not know.
    """
    known = latex.strip().replace("{aligned}", "{align*}")
    written = convert(known, display="block" if display else "inline")
    unknown = LEFT_OVER.search(written)
    if unknown:
        raise ValueError(f"{unknown[1]} in the equation {latex.strip()!r} cannot be written as MathML")
    return written


def equation_problems(text: str) -> Iterator[str]:
    """Yield what is wrong with the equations of a page whose code was taken away."""
    for found in [*DISPLAY.finditer(text), *re.finditer(INLINE, DISPLAY.sub("", text))]:
        try:
            mathml(found[found.re.groups])
        except Exception as error:  # the converter has errors of its own for what is not LaTeX
            yield str(error) or f"{type(error).__name__} in the equation {found[0]!r}"


class _Inline(InlineProcessor):
    def handleMatch(  # type: ignore[override]  # noqa: N802
        self, m: re.Match[str], data: str
    ) -> tuple[str | Element, int, int]:
        before, latex, after = m.groups()
        equation = mathml(latex)
        if before or after:
            equation = f'<span style="white-space: nowrap">{before}{equation}{after}</span>'
        return self.md.htmlStash.store(equation), m.start(0), m.end(0)


class _Display(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return DISPLAY.sub(self._stored, "\n".join(lines)).split("\n")

    def _stored(self, found: re.Match[str]) -> str:
        return f"{found[1]}{self.md.htmlStash.store(mathml(found[2], display=True))}"


class MathMLExtension(Extension):
    """Equations in a page; `\\$` is a dollar."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Register after code (fences are away by then), before emphasis."""
        md.ESCAPED_CHARS = [*md.ESCAPED_CHARS, "$"]
        md.preprocessors.register(_Display(md), "mathml_display", 20)
        md.inlinePatterns.register(_Inline(WITH_SIGNS, md), "mathml", 185)


def makeExtension(**options: object) -> MathMLExtension:  # noqa: N802
    """Return the extension, as Markdown asks for it."""
    return MathMLExtension(**options)
