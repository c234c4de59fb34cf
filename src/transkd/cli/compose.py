"""A command's config, composed by Hydra from its schema and ``conf/``.

A command has no YAML file: what its schema declares is stored in Hydra's ConfigStore, and so is what the choices of a
group begin with (``defaults: [base]``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from transkd.cli.commands import COMMANDS, config_folder
from transkd.options import REQUIRED, Section, defaults, groups

QUIET = [{"override hydra/job_logging": "none"}, {"override hydra/hydra_logging": "none"}]
BACKBONE = re.compile(r"[A-Za-z]\w*(\.\w+)*")
"""The form of a backbone's name; one of timm's may have a tag: ``convnext_tiny.fb_in22k_ft_in1k``."""
FOLDERS = {
    "run": {"dir": "."},
    "sweep": {"dir": "runs/multirun/${now:%Y-%m-%d_%H-%M-%S-%f}", "subdir": "${hydra.job.num}"},
    "output_subdir": None,
}


def register(name: str) -> str:
    """Store the config of a command in Hydra's ConfigStore, and return the name of its primary config: ``"train"``."""
    command = COMMANDS[name]
    store = ConfigStore.instance()
    schema: type[Section] = resolve_name(command.schema)
    if command.actions or groups(schema):
        from transkd.training.config import GROUPS

        for choice, section in GROUPS.items():
            group, _, name_of_choice = choice.rpartition("/")
            store.store(name_of_choice, defaults(section), group=group)
    for action, named in command.actions.items():
        kind: type[Section] = resolve_name(named)
        chosen = _chosen(kind, "/")
        store.store(action, {"defaults": [*chosen, "_self_"], **defaults(kind)}, group="action", package="_global_")
    node = {"defaults": [*_chosen(schema), "_self_", *QUIET], **defaults(schema), "hydra": FOLDERS}
    primary = name.removeprefix("transkd-")
    store.store(primary, node)
    return primary


def _chosen(schema: type[Section], root: str = "") -> list[dict[str, str | None]]:
    """Return the defaults list's choices; one that the user has to make is missing from the composed config."""
    return [{f"{root}{group}": None if choice == REQUIRED else choice} for group, choice in groups(schema).items()]


def register_backbones(overrides: Sequence[str]) -> None:
    """Let ``student=NAME`` and ``teacher=NAME`` take any backbone; one without a file in ``conf/`` is like ``timm``.

    A name is one of timm's, or, where modules are imported, maybe a custom one.
    """
    imports = any(override.lstrip("+").startswith("imports=") for override in overrides)
    for override in overrides:
        group, _, names = override.lstrip("+").partition("=")
        for name in names.split(",") if group in ("student", "teacher") else ():
            known = (config_folder() / group / f"{name}.yaml").is_file() or not BACKBONE.fullmatch(name)
            if not known and (imports or _is_of_timm(name)):
                ConfigStore.instance().store(name, {"defaults": ["timm"], "backbone": name}, group=group)


def _is_of_timm(name: str) -> bool:
    import timm

    return bool(timm.is_model(name))


@contextmanager
def composing(name: str, config_dir: str | None = None) -> Iterator[str]:
    """Let ``hydra.compose`` find the configs of a command and of a custom folder; gives the primary one's name."""
    folders = create_config_search_path(str(config_folder()))
    if config_dir is not None:
        folders.prepend("command-line", f"file://{Path(config_dir).resolve()}", SearchPathQuery(provider="schema"))
    version.setbase("1.3")
    GlobalHydra.instance().clear()
    Hydra.create_main_hydra2(name, folders)
    try:
        yield register(name)
    finally:
        GlobalHydra.instance().clear()
