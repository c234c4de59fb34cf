"""Folders of this machine and repositories of the hub, as places that hold files by name."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.weights import read_shards, read_state, shard_names


class HubFileMissingError(WeightsError):
    """A repository exists, and the file is not in it."""


def hub_file(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """Return a file of a hub repository, from huggingface_hub's cache or downloaded into it.

    Mirrors (``HF_ENDPOINT``), offline use (``HF_HUB_OFFLINE``), the cache's place (``HF_HOME``) and tokens work as in
    any program that uses huggingface_hub.

    Args:
        repo_id: ``"owner/name"``.
        filename: the file's path in the repository.
        revision: a branch, tag or commit; None for the main branch.
        cache_dir: where to keep it; None for huggingface_hub's own cache.
        token: an access token, True for the one that is stored, None for what the environment says.
        endpoint: address of the hub; None for what the environment says.
        force_download: fetch it again.
        local_files_only: take it from the cache or not at all.

    Raises:
        HubFileMissingError: the repository has no such file.
        WeightsError: it cannot be had for another reason. Either message says which file of which repository was
            looked for, and how to give it by hand.
    """
    url = _url(repo_id, filename, revision, endpoint)
    unknown_host = None if local_files_only or constants.HF_HUB_OFFLINE else _unknown_host(url)
    try:
        return Path(
            hf_hub_download(
                repo_id,
                filename,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                endpoint=endpoint,
                force_download=force_download,
                local_files_only=local_files_only or unknown_host is not None,
            )
        )
    except Exception as error:  # of huggingface_hub, its HTTP library or the disk
        kind = HubFileMissingError if _is_missing_file(error) else WeightsError
        at = f" at revision {revision}" if revision else ""
        reason = _reason(error, local_files_only, unknown_host)
        raise kind(
            f"cannot get {filename} of the Hugging Face repository {repo_id}{at}: {reason}. "
            f"To give it by hand, download {url} elsewhere and pass the path of the file"
        ) from error


def _url(repo_id: str, filename: str, revision: str | None, endpoint: str | None) -> str:
    try:
        return hf_hub_url(repo_id, filename, revision=revision, endpoint=endpoint)
    except HFValidationError as error:
        raise WeightsError(
            f"'{repo_id}' is neither a path that exists nor an id of a Hugging Face repository, which has the form "
            "owner/name"
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


def _is_missing_file(error: Exception) -> bool:
    return isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)


def _reason(error: Exception, local_files_only: bool, unknown_host: str | None) -> str:
    if isinstance(error, GatedRepoError):
        return (
            "it is gated; ask for access on its page, then log in (hf auth login) or set HF_TOKEN to a token of yours"
        )
    if isinstance(error, RepositoryNotFoundError):
        return "there is no such repository, or it is private; check the name, or log in (hf auth login, or HF_TOKEN)"
    if isinstance(error, RevisionNotFoundError):
        return "there is no such revision"
    if _is_missing_file(error):
        return "there is no such file in it"
    if isinstance(error, LocalEntryNotFoundError):
        return _why_not_looked_up(error, local_files_only, unknown_host)
    if isinstance(error, HfHubHTTPError):
        return f"the hub answered: {_first_line(error)}"
    return f"the download failed ({type(error).__name__}: {_first_line(error)})"


def _why_not_looked_up(error: Exception, local_files_only: bool, unknown_host: str | None) -> str:
    if local_files_only or constants.HF_HUB_OFFLINE or isinstance(error.__cause__, OfflineModeIsEnabled):
        return f"it is not in the cache ({constants.HF_HUB_CACHE}), and downloads are off (HF_HUB_OFFLINE)"
    cause = error.__cause__ or error
    failure = f"no address for {unknown_host}" if unknown_host else f"{type(cause).__name__}: {_first_line(cause)}"
    return f"it is not in the cache ({constants.HF_HUB_CACHE}), and the hub cannot be reached ({failure})"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


WEIGHTS_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


class Place(Protocol):
    """Somewhere that holds files by name."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def find(self, filename: str) -> Path | None:
        """Return where a file lies on this machine, None where the place has none of that name.

        Raises:
            WeightsError: the place cannot be asked.
        """
        ...


@dataclass(frozen=True)
class Folder:
    """A folder of this machine."""

    path: Path

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def find(self, filename: str) -> Path | None:
        """Return the file, None where there is none."""
        path = self.path / filename
        return path if path.is_file() else None


@dataclass(frozen=True)
class Repository:
    """A repository of the Hugging Face hub; its files are downloaded once, into the hub's cache."""

    repo_id: str

    @property
    def name(self) -> str:
        """Its id."""
        return self.repo_id

    def find(self, filename: str) -> Path | None:
        """Return the file in the cache, None where the repository has none; raise where it cannot be reached."""
        try:
            return hub_file(self.repo_id, filename)
        except HubFileMissingError:
            return None


def read_weights(place: Place) -> dict[str, Tensor]:
    """Return the tensors of a place's weights, in one file or sharded, safetensors before pickles.

    Raises:
        WeightsError: it has none, they cannot be reached, or they are damaged.
    """
    unreachable: WeightsError | None = None
    for filename in WEIGHTS_FILES:
        try:
            path = place.find(filename)
        except WeightsError as error:
            unreachable = unreachable or error
            continue
        if path is not None:
            return _read_sharded(place, path) if filename.endswith(".json") else read_state(path)
    raise unreachable or WeightsError(
        f"{place.name} has a config.json but no weights for PyTorch: none of {', '.join(WEIGHTS_FILES)}"
    )


def _read_sharded(place: Place, index: Path) -> dict[str, Tensor]:
    shards = {name: place.find(name) for name in shard_names(index)}
    missing = [name for name, path in shards.items() if path is None]
    if missing:
        raise WeightsError(
            f"{place.name} lacks {', '.join(missing)}, of the files that {index.name} names; download the rest of it"
        )
    return read_shards(index, {name: path for name, path in shards.items() if path is not None})
