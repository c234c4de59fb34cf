"""Keys of the data that ``transkd-eval`` does not read, told where a user sets them: what to set instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from transkd.cli.arguments import split_arguments
from transkd.options import Problem

# What says the same for training -> what says it here.
OF_TRAINING = {"data.batch_size": "batch_size", "data.train_split": "split"}
TWICE = {"data.val_split": "split", "data.val_batch_size": "batch_size", "data.workers": "workers"}


def named_keys(arguments: Sequence[str]) -> set[str]:
    """Return the keys that a command line sets, such as ``data.size``."""
    _, overrides = split_arguments(arguments)
    return {override.lstrip("+~").partition("=")[0] for override in overrides}


def ignored_problems(values: Mapping[str, Any], named: Collection[str]) -> Iterator[Problem]:
    """Yield the keys that a user sets to no effect.

    Args:
        values: the composed config.
        named: the keys that the user set.
    """
    data, protocol = values["data"], values["protocol"]
    if "data.label_size" in named:
        yield Problem(
            "data.label_size", f"is for training; here the protocol says it: protocol.label_size={data['label_size']}"
        )
    if "data.size" in named and protocol["size"] is not None:
        yield Problem(
            "data.size",
            f"the protocol has an input size of its own ({_set(protocol['size'])}): protocol.size={_set(data['size'])}",
        )
    for key, instead in OF_TRAINING.items():
        if key in named:
            yield Problem(key, f"is for training; here it is {instead}={_set(data[key.partition('.')[2]])}")
    for key, instead in TWICE.items():
        if key in named and instead in named:
            yield Problem(key, f"{instead} says the same and counts; leave out one of the two")


def _set(value: object) -> str:
    """Return a value as one writes it on a command line."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
