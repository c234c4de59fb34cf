"""A model's files: in a folder, or in a repository of the Hugging Face hub, through huggingface_hub's cache."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from torch import Tensor

from transkd.errors import WeightsError, first_line
from transkd.models.weights import read_state, shard_names

WEIGHTS_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""The names of a model's weights on the hub, in the order in which they are tried."""

LOG_IN = "log in (hf auth login) or set HF_TOKEN"
_REASONS: dict[type[Exception], str] = {  # the more special kinds first
    GatedRepoError: f"it is gated; ask for access on its page, then {LOG_IN}",
    RepositoryNotFoundError: f"there is no such repository, or it is private; check the name, or {LOG_IN}",
    RevisionNotFoundError: "there is no such revision",
    LocalEntryNotFoundError: f"it is not in the cache ({constants.HF_HUB_CACHE}), and ",
    EntryNotFoundError: "there is no such file in it",
}


class HubFileMissingError(WeightsError):
    """A repository exists, and the file is not in it."""


def hub_file(
    repo_id: str, filename: str, *, revision: str | None = None, local_files_only: bool = False, **options: Any
) -> Path:
    """Return a file of a hub repository, from huggingface_hub's cache or downloaded into it.

    The arguments are those of ``hf_hub_download``. Mirrors (``HF_ENDPOINT``), offline use (``HF_HUB_OFFLINE``), the
    cache's folder (``HF_HOME``) and tokens work as in any program that uses huggingface_hub.

    Raises:
        HubFileMissingError: the repository has no such file.
        WeightsError: it cannot be fetched for another reason. Either message names the file, the repository and the
            address to download it from by hand.
    """
    try:
        url = hf_hub_url(repo_id, filename, revision=revision, endpoint=options.get("endpoint"))
    except HFValidationError as error:
        raise WeightsError(
            f"'{repo_id}' is neither a path that exists nor an id of a Hugging Face repository, which has the form "
            "owner/name"
        ) from error
    offline = local_files_only or constants.HF_HUB_OFFLINE
    unknown = None if offline else _unknown_host(url)
    options |= {"revision": revision, "local_files_only": offline or unknown is not None}
    try:
        return Path(hf_hub_download(repo_id, filename, **options))
    except Exception as error:  # of huggingface_hub, its HTTP library or the disk
        kind = next((kind for kind in _REASONS if isinstance(error, kind)), None)
        reason = _REASONS[kind] if kind else f"the download failed ({type(error).__name__}: {first_line(error)})"
        if kind is LocalEntryNotFoundError:
            cause = error.__cause__ or error
            failure = f"no address for {unknown}" if unknown else f"{type(cause).__name__}: {first_line(cause)}"
            reason += "downloads are off (HF_HUB_OFFLINE)" if offline else f"the hub cannot be reached ({failure})"
        raise (HubFileMissingError if kind is EntryNotFoundError else WeightsError)(
            f"cannot get {filename} of the Hugging Face repository {repo_id}"
            f"{f' at revision {revision}' if revision else ''}: {reason}. "
            f"To give it by hand, download {url} elsewhere and pass the path of the file"
        ) from error


def _unknown_host(url: str) -> str | None:
    """Return the name of a host that has no address here: no network, which huggingface_hub tries 30 s to reach."""
    parts = urlsplit(url)
    if parts.hostname is None or {parts.scheme, "all"} & getproxies().keys():
        return None
    try:
        socket.getaddrinfo(parts.hostname, None)
    except OSError:
        return parts.hostname
    return None


def find_file(folder: Path | str, filename: str) -> Path | None:
    """Return a file of a model, None where it has none of that name.

    Args:
        folder: a folder as a ``Path``, or a repository of the hub as text: ``"owner/name"``, or with a branch, tag or
            commit, ``"owner/name@revision"``. A file of a repository is downloaded once.
        filename: its name.

    Raises:
        WeightsError: the repository cannot be reached.
    """
    if isinstance(folder, Path):
        path = folder / filename
        return path if path.is_file() else None
    repo_id, _, revision = folder.partition("@")
    try:
        return hub_file(repo_id, filename, revision=revision or None)
    except HubFileMissingError:
        return None


def read_weights(folder: Path | str, filenames: tuple[str, ...] = WEIGHTS_FILES) -> dict[str, Tensor]:
    """Return the state dict of a model: in one file or sharded, safetensors before pickles.

    Args:
        folder: as for :func:`find_file`.
        filenames: the names that the file may have, in the order in which they are tried.

    Raises:
        WeightsError: it has none of them, they cannot be fetched, or they are damaged.
    """
    unreachable: WeightsError | None = None
    for filename in filenames:
        try:
            path = find_file(folder, filename)
        except WeightsError as error:  # another name may be in the cache
            unreachable = unreachable or error
            continue
        if path is not None:
            for shard in shard_names(path) if filename.endswith(".json") else ():
                find_file(folder, shard)  # a repository fetches it
            return read_state(path)
    raise unreachable or WeightsError(f"{folder} holds no weights for PyTorch: none of {', '.join(filenames)}")
