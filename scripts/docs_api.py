"""The page of the public API: signatures and docstrings, read off the source without importing it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

TOP = Path(__file__).resolve().parents[1]
SUBPACKAGES = ("models", "distillation", "data", "evaluation", "training", "export", "reporting")
WIDTH = 100
API_HEAD = """# Public API

Names of `import transkd`, and below them further names of its subpackages. Heavy libraries are imported when a name is
first used. Shapes: `B` images, `K` classes, `H`, `W` height and width, `C_i` channels and `s_i` stride of stage `i`.
Errors that users can cause are subclasses of [`TransKDError`](errors.md).
"""
ERRORS = "transkd.errors"
HOOKS = re.compile(r"(on|configure)_\w+|setup|(load_)?state_dict|(training|validation|test)_step|train|extra_repr")
"""What Lightning or torch calls, not a person."""


def api_page() -> str:
    """Return docs/reference/api.md."""
    package = griffe.load("transkd", search_paths=[TOP / "src"], docstring_parser="google", allow_inspection=False)
    seen: set[str] = set()
    parts = [API_HEAD, "## transkd"]
    parts += _members(package, [name for name in package.exports if not name.startswith("__")], seen)
    for subpackage in SUBPACKAGES:
        module = package[subpackage]
        losses = [name for name, inner in module.modules.items() if any(_is_loss(inner, of) for of in inner.members)]
        names = [name for name in [*module.exports, *losses] if _resolved(module[name]).path not in seen]
        if names:
            parts += [f"## transkd.{subpackage}", _text(module), *_members(module, names, seen)]
    errors = package["errors"]
    parts += [f"## {ERRORS}", _text(errors)]
    parts += _members(errors, [name for name in errors.members if name[0] != "_" and not errors[name].is_alias], seen)
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)) + "\n"


def fenced(text: str, language: str) -> str:
    """Return text as a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def _resolved(item: griffe.Object | griffe.Alias) -> griffe.Object:
    found = item.final_target if isinstance(item, griffe.Alias) else item
    assert isinstance(found, griffe.Object)
    return found


def _members(module: griffe.Module, names: list[str], seen: set[str]) -> Iterator[str]:
    for name in names:
        item = _resolved(module[name])
        if item.path in seen:
            continue
        seen.add(item.path)
        if isinstance(item, griffe.Module):
            yield from _members(item, [inner for inner in item.members if _is_loss(item, inner)], seen)
        else:
            yield from _described(f"{module.path}.{name}", item)


def _is_loss(module: griffe.Module, name: str) -> bool:
    item = module.members[name]
    return isinstance(item, griffe.Class) and _is_registered(item)


def _is_registered(item: griffe.Class) -> bool:
    return any("register_loss" in str(found.value) for found in item.decorators)


def _described(path: str, item: griffe.Object) -> Iterator[str]:
    where = Path("../..") / Path(str(item.filepath)).relative_to(TOP)
    yield f"### {path.rpartition('.')[2]}"
    yield fenced(_signature(path, item), "python")
    yield f"{_text(item)}\n\n[source]({where.as_posix()})"
    if isinstance(item, griffe.Class) and not _is_registered(item):
        for name, method in item.members.items():
            if isinstance(method, griffe.Function) and _is_public(name, method):
                yield f"#### {item.name}.{name}"
                yield fenced(_signature(f"{item.name}.{name}", method), "python")
                yield _text(method)


def _is_public(name: str, method: griffe.Function) -> bool:
    overridden = any("override" in str(found.value) for found in method.decorators)
    return not name.startswith("_") and not HOOKS.fullmatch(name) and method.docstring is not None and not overridden


def _signature(path: str, item: griffe.Object) -> str:
    if isinstance(item, griffe.Attribute):
        kind = f": {item.annotation}" if item.annotation else ""
        value = f" = {item.value}" if item.value and len(str(item.value)) < WIDTH else ""
        return f"{path}{kind}{value}"
    if isinstance(item, griffe.Class):
        bases = ", ".join(str(base) for base in item.bases)
        parameters = [parameter for parameter in item.parameters if parameter.name != "self"]
        registered = "".join(f"@{found.value}\n" for found in item.decorators if "register_loss" in str(found.value))
        return f"{registered}class {_call(path, parameters)}" + (f"  # bases: {bases}" if bases else "")
    assert isinstance(item, griffe.Function)
    parameters = [parameter for parameter in item.parameters if parameter.name not in ("self", "cls")]
    returns = f" -> {item.returns}" if item.returns is not None else ""
    return _call(path, parameters, returns)


def _call(path: str, parameters: list[griffe.Parameter], after: str = "") -> str:
    written = list(_written(parameters))
    line = f"{path}({', '.join(written)}){after}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{path}(", *(f"    {parameter}," for parameter in written), f"){after}"])


def _written(parameters: list[griffe.Parameter]) -> Iterator[str]:
    starred = False
    for parameter in parameters:
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(
            parameter.kind.value if parameter.kind else "", ""
        )
        if parameter.kind is griffe.ParameterKind.keyword_only and not starred:
            yield "*"
        starred = starred or parameter.kind is griffe.ParameterKind.keyword_only or stars == "*"
        kind = f": {parameter.annotation}" if parameter.annotation is not None else ""
        equals = " = " if kind else "="
        yield f"{stars}{parameter.name}{kind}" + (
            f"{equals}{parameter.default}" if parameter.default is not None and not stars else ""
        )


def _text(item: griffe.Object) -> str:
    if item.docstring is None:
        return ""
    return "\n\n".join(filter(None, map(_section, item.docstring.parse("google"))))


def _section(section: griffe.DocstringSection) -> str:
    value = section.value
    match section.kind.value:
        case "text":
            return _prose(value)
        case "parameters" | "other parameters":
            return "**Arguments**\n\n" + _list((entry.name, entry.description) for entry in value)
        case "attributes":
            return "**Attributes**\n\n" + _list((entry.name, entry.description) for entry in value)
        case "raises":
            return "**Raises**\n\n" + _list((str(entry.annotation), entry.description) for entry in value)
        case "returns" | "yields":
            heading = section.kind.value.capitalize()
            return f"**{heading}**\n\n" + " ".join(_prose(_whole(entry)) for entry in value)
        case "examples":
            return "**Example**\n\n" + "\n\n".join(
                fenced(text, "python") if kind.value == "examples" else _prose(text) for kind, text in value
            )
        case "admonition" if section.title == "Example":
            return "**Example**\n\n" + fenced(value.description, "pycon" if ">>>" in value.description else "python")
        case "admonition":
            return f"**{section.title}** {_prose(value.description)}"
        case kind:
            raise ValueError(f"a docstring has a section of kind {kind}, which the reference cannot write")


def _whole(entry: griffe.DocstringNamedElement) -> str:
    """Undo what griffe takes for a name or a type before a colon in the first line of Returns."""
    return f"{entry.name}: {entry.description}" if entry.name else entry.description


def _list(entries: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"- `{name}`: {_prose(text)}".replace("\n", "\n  ") for name, text in entries)


def _escaped(text: str) -> str:
    return re.sub(r"(?<![*\s])\*(?!\*)|(?<!\*)\*(?![*\s])|\$", r"\\\g<0>", text).replace("<", "&lt;")


def _prose(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`]+)`", lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    text = text.replace("``", "`")
    return "".join(part if part.startswith("`") else _escaped(part) for part in re.split(r"(`[^`]*`)", text))
