"""A schema's complaints about values, said as the person who wrote them would: one line each, the key's path first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from transkd.errors import ConfigError, did_you_mean


def expect(caller: str, name: str, value: object, kinds: type[Any] | tuple[type[Any], ...], wanted: str) -> None:
    """Raise a ConfigError unless an argument is of one of some kinds.

    Args:
        caller: the function or class whose argument it is.
        name: the argument.
        value: what was given.
        kinds: what it has to be an instance of; a truth value is no whole number.
        wanted: what to give, for the message.
    """
    is_truth_for_number = isinstance(value, bool) and kinds is int
    if isinstance(value, kinds) and not is_truth_for_number:
        return
    given = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    raise ConfigError(f"{caller}: {name} is {given}; give {wanted}")


Context = Mapping[str, Any]

# By pydantic's names for what is wrong: https://docs.pydantic.dev/latest/errors/validation_errors/
_SAID: dict[str, Callable[[Context], str]] = {
    "bool": lambda _: "give true or false",
    "int": lambda _: "give a whole number",
    "float": lambda _: "give a number",
    "finite_number": lambda _: "give a number",
    "string": lambda _: "give text",
    "list": lambda _: "give a list",
    "tuple": lambda _: "give a list",
    "dict": lambda _: "this is a section, which takes keys of its own",
    "model": lambda _: "this is a section, which takes keys of its own",
    "greater_than": lambda c: f"give a number above {c['gt']:g}",
    "greater_than_equal": lambda c: f"give {c['ge']:g} or more",
    "less_than": lambda c: f"give a number below {c['lt']:g}",
    "less_than_equal": lambda c: f"give {c['le']:g} or less",
}
_KINDS_OF_TYPE = re.compile(r"_(type|parsing|from_float|unicode|attributes_type|parsing_size)$")


class Problem(NamedTuple):
    """One mistake: the path of its key, and what is wrong there."""

    path: str
    message: str

    def __str__(self) -> str:
        """Return the line that a person reads."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def touches(self, path: str) -> bool:
        """Return whether the mistake is at ``path``, above it or below it."""
        return path == self.path or path.startswith(f"{self.path}.") or self.path.startswith(f"{path}.")


def schema_problems(schema: type[BaseModel], values: Mapping[str, Any]) -> list[Problem]:
    """List all that a schema does not accept in ``values``.

    A field whose type is a union says in its ``description`` what it takes; that is what the message gives.
    """
    try:
        schema.model_validate(values)
    except ValidationError as error:
        found = [_problem(schema, values, dict(wrong)) for wrong in error.errors(include_url=False)]
        return list(dict.fromkeys(found))
    return []


def mistakes(problems: Iterable[object]) -> str:
    """Return one message that lists problems, a line each."""
    lines = [f"  {problem}" for problem in problems]
    head = "the config has a mistake" if len(lines) == 1 else f"the config has {len(lines)} mistakes"
    return "\n".join([f"{head}:", *lines])


def shown(value: object) -> str:
    """Return a value as one writes it in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list | tuple) else repr(value)


def as_clause(error: Exception) -> str:
    """Return an error's message as it reads after ``key: ``, in one line."""
    text = " ".join(str(error).split()).removesuffix(".")
    return text if text[:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def unknown_key(path: Sequence[str], known: Iterable[str]) -> Problem:
    """Return the problem of a key that does not exist, with the nearest one that does."""
    section = ".".join(path[:-1])
    hint = did_you_mean(path[-1], known)
    if section:
        hint = hint.replace("did you mean '", f"did you mean '{section}.").replace("known: ", f"known in {section}: ")
    return Problem(".".join(path), f"there is no such key; {hint}")


def _problem(schema: type[BaseModel], values: Mapping[str, Any], wrong: Mapping[str, Any]) -> Problem:
    kind, context = str(wrong["type"]), wrong.get("ctx", {})
    path, field, model = _place(schema, values, wrong["loc"])
    if kind == "extra_forbidden":
        return unknown_key(path, model.model_fields if model else ())
    name = ".".join(path)
    if kind == "missing":
        return Problem(name, "is missing")
    value = wrong["input"]
    if kind == "union_tag_invalid":
        hint = did_you_mean(context["tag"], _quoted(context["expected_tags"]))
        return Problem(f"{name}.{_quoted(context['discriminator'])[0]}", f"there is no such choice; {hint}")
    if kind == "union_tag_not_found":
        return Problem(f"{name}.{_quoted(context['discriminator'])[0]}", "is missing")
    if field is not None and field.description:
        value, message = _value_at(values, path), f"give {field.description}"
    elif kind == "literal_error":
        message = f"there is no such choice; {did_you_mean(str(value), _quoted(context['expected']))}"
    else:
        say = _SAID.get(kind) or _SAID.get(_KINDS_OF_TYPE.sub("", kind))
        message = say(context) if say else str(wrong["msg"]).removeprefix("Value error, ")
    return Problem(name, message if isinstance(value, Mapping) else f"{message} (it is {shown(value)})")


def _place(
    schema: type[BaseModel], values: Any, loc: Sequence[str | int]
) -> tuple[list[str], FieldInfo | None, type[BaseModel] | None]:
    """Return the path of an error without pydantic's names of union members, its field, and the section it is in.

    The path ends at a field with a description, which speaks for all that is in it.
    """
    path: list[str] = []
    field: FieldInfo | None = None
    model: type[BaseModel] | None = schema
    choices: list[type[BaseModel]] = []
    for number, part in enumerate(loc):
        is_tag = any(_is_tagged(choice, part) for choice in choices)
        is_key = isinstance(values, Mapping) and (part in values or (number == len(loc) - 1 and not is_tag))
        if not is_key and not isinstance(part, int):
            model = next((c for c in choices if _is_tagged(c, part)), model)
            continue
        path.append(str(part))
        values = values.get(part) if isinstance(values, Mapping) else None
        field = model.model_fields.get(str(part)) if model else None
        if field is None:
            continue
        if field.description:
            break
        choices = _sections(field)
        if number < len(loc) - 1:
            model = choices[0] if choices else None
    return path, field, model


def _sections(field: FieldInfo) -> list[type[BaseModel]]:
    kinds = (field.annotation, *get_args(field.annotation))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _is_tagged(section: type[BaseModel], tag: str | int) -> bool:
    return any(tag in get_args(field.annotation) for field in section.model_fields.values())


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _value_at(values: Any, path: Sequence[str]) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values
