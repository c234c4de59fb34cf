"""Options, each declared once: type, default and help, from which configs, ``--help``, the reference and checks follow.

A :class:`Section` is a typed group of options. Hydra composes its defaults (:func:`defaults`), ``--help`` and the
reference pages print what it declares (:func:`declared`), and :func:`find_problems` checks a composed config at once.
"""

from __future__ import annotations

import inspect
import numbers
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache, reduce
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic.fields import FieldInfo

from transkd.errors import ConfigError, did_you_mean

REQUIRED = "???"
"""The default of an option that the user has to give, as Hydra writes it."""

SMALLEST_SIDE = 32
"""The shortest side of an image, in pixels, that a segmenter takes: the stride of its deepest stage."""

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=SMALLEST_SIDE)]
Size = Annotated[
    Side | tuple[Side, Side] | Literal["native"],
    Field(title=f"a short side in pixels (512), [height, width] ([512, 1024]), {SMALLEST_SIDE} or more, or native"),
]


def option(default: Any, help: str, *, heading: str = "", give: str = "", **constraints: Any) -> Any:
    """Declare an option of a :class:`Section`.

    Args:
        default: its default, :data:`REQUIRED`, or an interpolation such as ``"${data.batch_size}"``.
        help: what it does.
        heading: the heading of ``--help`` that it stands under; empty for the one of the option before it.
        give: what values it takes, for messages; needed where the type is a union.
        **constraints: of pydantic's ``Field``: ``ge``, ``gt``, ``le``, ``lt``, ``min_length``, …
    """
    extra = {"default": default, "heading": heading}
    if give:
        constraints["title"] = give
    if isinstance(default, str) and (default == REQUIRED or "${" in default):
        return Field(description=help, json_schema_extra=extra, **constraints)
    return Field(default_factory=lambda: deepcopy(default), description=help, json_schema_extra=extra, **constraints)


def group(choice: str | None, help: str, *, heading: str = "", **constraints: Any) -> Any:
    """Declare a config group: a folder of ``conf/``, of which one choice is composed.

    Args:
        choice: the choice by default; None for none, :data:`REQUIRED` where the user has to choose.
        help: what it is.
        heading: as for :func:`option`.
        **constraints: of pydantic's ``Field``, such as ``discriminator``.
    """
    if choice is None:  # a group without a choice is not in the composed config
        constraints["default"] = None
    return Field(description=help, json_schema_extra={"group": choice, "heading": heading}, **constraints)


def nested(help: str, *, heading: str = "") -> Any:
    """Declare a section within a :class:`Section`, whose defaults are its own; arguments as for :func:`option`."""
    return Field(description=help, json_schema_extra={"heading": heading})


def listed(value: object) -> object:
    """Return a list of one value, and an empty one of null: what comes before an option's list is checked."""
    return [] if value is None else value if isinstance(value, list) else [value]


class Problem(NamedTuple):
    """One mistake: the path of its key, and what is wrong there."""

    path: str
    message: str

    def __str__(self) -> str:
        """Return the line that a person reads."""
        return f"{self.path}: {self.message}" if self.path else self.message

    def touches(self, path: str) -> bool:
        """Return whether the mistake is at ``path``, above it or below it."""
        return not path or path == self.path or self.path.startswith(f"{path}.") or path.startswith(f"{self.path}.")


class Section(BaseModel):
    """A group of options: unknown keys are errors, values are fixed once read, and a number will do for text."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    def problems(self) -> Iterator[Problem]:
        """Yield what no type can say: names that do not exist, values that contradict each other.

        Called once all values of this section are of the right types; paths are relative to the section.
        """
        yield from ()

    @classmethod
    def validated(cls, values: Mapping[str, Any]) -> Self:
        """Return the section that plain containers describe.

        Raises:
            ConfigError: listing all that :func:`find_problems` finds.
        """
        if problems := find_problems(cls, values):
            raise ConfigError(mistakes(problems, "in the config"))
        return cls.model_validate(values)


class OpenSection(Section):
    """A section that takes any further option, which :meth:`problems` judges; ``dict`` of it holds them all."""

    model_config = ConfigDict(extra="allow")

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of an option, or ``default`` where there is none of that name."""
        return dict(self).get(key, default)


class Declared(NamedTuple):
    """What a section declares of one key, such as ``data.batch_size``; the default of a config group is its choice."""

    path: str
    default: Any
    help: str
    heading: str
    is_group: bool
    kind: Any


def declared(schema: type[Section], prefix: str = "", heading: str = "") -> Iterator[Declared]:
    """Yield all that a section declares, in order; sections within it follow with their own keys."""
    for name, field in schema.model_fields.items():
        extra = _extra(field)
        heading = extra.get("heading") or heading
        path = f"{prefix}{name}"
        sections = _sections(field.annotation)
        if "group" in extra:
            yield Declared(path, extra["group"], field.description or "", heading, True, field.annotation)
        elif "default" in extra:
            yield Declared(path, extra["default"], field.description or "", heading, False, field.annotation)
            continue
        if len(sections) == 1:
            yield from declared(sections[0], f"{path}.", heading)


def defaults(schema: type[Section]) -> dict[str, Any]:
    """Return the defaults of a section's own keys, for Hydra; config groups are left to the defaults list."""
    values: dict[str, Any] = {}
    for name, field in schema.model_fields.items():
        extra, sections = _extra(field), _sections(field.annotation)
        if "group" not in extra:
            values[name] = deepcopy(extra["default"]) if "default" in extra else defaults(sections[0])
    return values


def groups(schema: type[Section]) -> dict[str, str | None]:
    """Return the config groups that a section declares, with the choice by default."""
    extras = {name: _extra(field) for name, field in schema.model_fields.items()}
    return {name: extra["group"] for name, extra in extras.items() if "group" in extra}


def find_problems(schema: type[Section], values: Mapping[str, Any]) -> list[Problem]:
    """List every key that is unknown or missing, every value of a wrong type, and what :meth:`Section.problems` yields.

    Args:
        schema: what is declared.
        values: plain containers, as ``OmegaConf.to_container(config, resolve=True)`` gives them.
    """
    found = _schema_problems(schema, values)
    return found + list(_own_problems(schema, values, found, ""))


def signature_problems(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    path: str = "",
    *,
    given: Collection[str] = (),
    beside: type[BaseModel] | None = None,
) -> list[Problem]:
    """List the options that a function or class does not take, or not with such values.

    Types are meant strictly: text is no number, and true is none. A list will do for a tuple.

    Args:
        function: its parameters are the options; their annotations say what values they take.
        options: what was given.
        path: of the options, before each problem's own.
        given: parameters that the caller fills in itself.
        beside: further options that stand beside the function's own.
    """
    schema = _signature_schema(function, tuple(given), beside)
    as_lists: dict[str, list[Problem]] = {}
    as_tuples: dict[str, list[Problem]] = {}
    for found, sequence in ((as_lists, list), (as_tuples, tuple)):
        for problem in _schema_problems(schema, _plain(options, sequence)):
            found.setdefault(problem.path.partition(".")[0], []).append(problem)
    # What is deeper inside is what is wrong where a list will do, or a tuple.
    both = [(as_lists[key], as_tuples[key]) for key in as_lists if key in as_tuples]
    wrong = [max(pair, key=lambda problems: len(problems[0].path)) for pair in both]
    return [Problem(f"{path}.{at}".strip("."), message) for problems in wrong for at, message in problems]


def mistakes(problems: Iterable[object], where: str) -> str:
    """Return one message that lists problems, each once, a line each.

    Args:
        problems: one or more.
        where: they are, such as ``"in the config"``.
    """
    lines = dict.fromkeys(f"  {problem}" for problem in problems)
    count = "is a mistake" if len(lines) == 1 else f"are {len(lines)} mistakes"
    return "\n".join([f"there {count} {where}:", *lines])


def shown(value: object) -> str:
    """Return a value as one writes it in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list | tuple) else repr(value)


def as_clause(error: Exception) -> str:
    """Return an error's message as it reads after ``key: ``, in one line."""
    text = " ".join(str(error).split()).removesuffix(".")
    return text if text[:2].isupper() else f"{text[:1].lower()}{text[1:]}"


# By pydantic's names for what is wrong: https://docs.pydantic.dev/latest/errors/validation_errors/
_WANTED = {
    "bool": "true or false",
    "int": "a whole number",
    **dict.fromkeys(("float", "finite_number"), "a number"),
    "string": "text",
    **dict.fromkeys(("list", "tuple", "sequence_str"), "a list"),
    **dict.fromkeys(("dict", "model"), "a section with keys of its own"),
    "literal_error": "{expected}",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "{le:g} or less",
}
_KINDS_OF_TYPE = re.compile(r"_(type|parsing|from_float|unicode|attributes_type|parsing_size)$")


def _schema_problems(schema: type[BaseModel], values: Mapping[str, Any]) -> list[Problem]:
    try:
        schema.model_validate(values)
    except ValidationError as error:
        places: dict[str, list[tuple[FieldInfo | None, dict[str, Any]]]] = {}
        found: list[Problem] = []
        for wrong in error.errors(include_url=False):
            path, field, model = _place(schema, values, wrong["loc"])
            if wrong["type"] == "extra_forbidden":
                known = model.model_fields if model else ()
                hint = did_you_mean(path[-1], known) if known else "it takes none"
                found.append(Problem(".".join(path), f"there is no such key; {hint}"))
            else:
                places.setdefault(".".join(path), []).append((field, dict(wrong)))
        return found + [_problem(values, path, [w for _, w in wrong], wrong[0][0]) for path, wrong in places.items()]
    return []


def _own_problems(
    schema: type[Section], values: Mapping[str, Any], wrong: Sequence[Problem], path: str
) -> Iterator[Problem]:
    """Yield the problems that sections tell themselves, innermost first, of those whose values have the right types."""
    found: list[Problem] = []
    for name, field in schema.model_fields.items():
        for kind in _sections(field.annotation):
            below = f"{path}{name}"
            if isinstance(values.get(name), Mapping) and not any(p.touches(below) for p in wrong):
                found += _own_problems(kind, values[name], wrong, f"{below}.")
    yield from found
    if not any(problem.touches(path.removesuffix(".")) for problem in [*wrong, *found]):
        try:
            section = schema.model_validate(values)
        except ValidationError:
            return  # another member of a union
        yield from (Problem(f"{path}{own.path}".removesuffix("."), own.message) for own in section.problems())


@cache
def _signature_schema(
    function: Callable[..., Any], given: Collection[str], beside: type[BaseModel] | None
) -> type[BaseModel]:
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    except (NameError, TypeError):  # a type that only type checkers know, or no function
        hints = {}
    fields: dict[str, Any] = {}
    extra = "forbid"
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = "allow"
        elif name not in given and parameter.kind is not parameter.VAR_POSITIONAL:
            fields[name] = (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
    config = {"extra": extra, "strict": True, "arbitrary_types_allowed": True, "protected_namespaces": ()}
    base: Any = type("Options", (beside or BaseModel,), {"model_config": config, "__module__": __name__})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an option may be called as something that pydantic's models have
        model: type[BaseModel]
        try:
            model = create_model("Options", __base__=base, **fields)
        except PydanticUserError:  # an annotation that says nothing of values
            untyped: dict[str, Any] = {name: (Any, default) for name, (_, default) in fields.items()}
            model = create_model("Options", __base__=base, **untyped)
        return model


def _plain(value: Any, sequence: Callable[[Iterable[Any]], Any]) -> Any:
    """Return a value with lists and tuples as one of them, and numpy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {key: _plain(item, sequence) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return sequence(_plain(item, sequence) for item in value)
    if isinstance(value, int | float) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _problem(values: Any, path: str, wrongs: Sequence[Mapping[str, Any]], field: FieldInfo | None) -> Problem:
    """Return what is wrong at one place, which of a union is wrong with each of its members."""
    wrong, kind, context = wrongs[0], str(wrongs[0]["type"]), wrongs[0].get("ctx", {})
    given = reduce(_at, path.split("."), values)
    if kind == "missing" and given is None:
        return Problem(path, "is missing")
    if kind.startswith("union_tag"):
        hint = did_you_mean(context["tag"], _quoted(context["expected_tags"])) if "tag" in context else ""
        message = f"there is no such choice; {hint}" if hint else "is missing"
        return Problem(f"{path}.{_quoted(context['discriminator'])[0]}", message)
    value = wrong["input"]
    wanted = [want for w in wrongs if (want := _wanted(w))]
    if field is not None and field.title:
        value, message = given, f"give {field.title}"
    elif kind == "literal_error" and isinstance(value, str) and len(wrongs) == 1:
        message = f"there is no such choice; {did_you_mean(value, _quoted(context['expected']))}"
    elif wanted:
        *most, last = dict.fromkeys(wanted)
        message = f"give {', '.join(most)} or {last}" if most else f"give {last}"
    else:
        message = str(wrong["msg"]).removeprefix("Value error, ")
    return Problem(path, message if isinstance(value, Mapping) else f"{message} (it is {shown(value)})")


def _wanted(wrong: Mapping[str, Any]) -> str | None:
    """Return what to give in place of a wrong value, as far as a config can hold it."""
    kind, context = _KINDS_OF_TYPE.sub("", wrong["type"]), wrong.get("ctx", {})
    if context.get("class") == "Sequence":
        return "a list"
    return _WANTED[kind].format(**context).replace("'", "") if kind in _WANTED else None


def _place(
    schema: type[BaseModel], values: Any, loc: Sequence[str | int]
) -> tuple[list[str], FieldInfo | None, type[BaseModel] | None]:
    """Return the path of an error without pydantic's names of union members, its field, and the section it is in.

    The path ends at a field that says what to give, which speaks for all that is in it.
    """
    path: list[str] = []
    field: FieldInfo | None = None
    model: type[BaseModel] | None = schema
    choices: Sequence[type[Section]] = ()
    for number, part in enumerate(loc):
        tagged = [
            choice
            for choice in choices
            if any(part in get_args(option.annotation) for option in choice.model_fields.values())
        ]
        is_key = isinstance(values, Mapping) and (part in values or (number == len(loc) - 1 and not tagged))
        if not is_key and not isinstance(part, int):
            model = tagged[0] if tagged else model
            continue
        if isinstance(part, int) and isinstance(values, Mapping):
            continue  # one in the place of a list of them
        path.append(str(part))
        values = _at(values, part)
        field = model.model_fields.get(str(part)) if model else None
        if field is None:
            continue
        if field.title:
            break
        choices = _sections(field.annotation)
        if number < len(loc) - 1:
            model = choices[0] if choices else None
    return path, field, model


def _sections(kind: Any) -> list[type[Section]]:
    """Return the sections that a type is made of: as itself, a member of a union, or what a list or mapping holds."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return [kind]
    return [section for part in get_args(kind) for section in _sections(part)]


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _at(values: Any, key: str | int) -> Any:
    if isinstance(values, list | tuple) and str(key).isdigit() and int(key) < len(values):
        return values[int(key)]
    return values.get(key) if isinstance(values, Mapping) else None
