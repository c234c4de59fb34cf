"""Files of the Hugging Face hub, and of folders alike."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
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

    Mirrors (``HF_ENDPOINT``), offline use (``HF_HUB_OFFLINE``), the cache's folder (``HF_HOME``) and tokens work as in
    any program that uses huggingface_hub.

    Args:
        repo_id: ``"owner/name"``.
        filename: the file's path in the repository.
        revision: a branch, tag or commit; None for the main branch.
        cache_dir: where to keep it; None for huggingface_hub's own cache.
        token: an access token, True for the one that is stored, None for what the environment says.
        endpoint: address of the hub; None for what the environment says.
        force_download: fetch it again.
        local_files_only: take it from the cache only.

    Raises:
        HubFileMissingError: the repository has no such file.
        WeightsError: it cannot be fetched for another reason. Either message names the file, the repository and the
            address to download it from by hand.
    """
    try:
        url = hf_hub_url(repo_id, filename, revision=revision, endpoint=endpoint)
    except HFValidationError as error:
        raise WeightsError(
            f"'{repo_id}' is neither a path that exists nor an id of a Hugging Face repository, which has the form "
            "owner/name"
        ) from error
    offline = local_files_only or constants.HF_HUB_OFFLINE
    unknown_host = None if offline else _unknown_host(url)
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
                local_files_only=offline or unknown_host is not None,
            )
        )
    except Exception as error:  # of huggingface_hub, its HTTP library or the disk
        not_cached = isinstance(error, LocalEntryNotFoundError)
        missing = isinstance(error, EntryNotFoundError) and not not_cached
        at = f" at revision {revision}" if revision else ""
        reason = _why_not_cached(error, offline, unknown_host) if not_cached else _reason(error)
        raise (HubFileMissingError if missing else WeightsError)(
            f"cannot get {filename} of the Hugging Face repository {repo_id}{at}: {reason}. "
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


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (GatedRepoError, "it is gated; ask for access on its page, then log in (hf auth login) or set HF_TOKEN"),
    (
        RepositoryNotFoundError,
        "there is no such repository, or it is private; check the name, or log in (hf auth login, or HF_TOKEN)",
    ),
    (RevisionNotFoundError, "there is no such revision"),
    (EntryNotFoundError, "there is no such file in it"),
)


def _reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    if isinstance(error, HfHubHTTPError):
        return f"the hub answered: {first_line(error)}"
    return f"the download failed ({type(error).__name__}: {first_line(error)})"


def _why_not_cached(error: Exception, offline: bool, unknown_host: str | None) -> str:
    where = f"it is not in the cache ({constants.HF_HUB_CACHE})"
    if offline:
        return f"{where}, and downloads are off (HF_HUB_OFFLINE)"
    cause = error.__cause__ or error
    failure = f"no address for {unknown_host}" if unknown_host else f"{type(cause).__name__}: {first_line(cause)}"
    return f"{where}, and the hub cannot be reached ({failure})"


@dataclass(frozen=True)
class LocalFolder:
    """A folder with a model's files."""

    path: Path

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    def find(self, filename: str) -> Path | None:
        """Return a file's path, None where there is none."""
        path = self.path / filename
        return path if path.is_file() else None


@dataclass(frozen=True)
class HubRepository:
    """A repository of the Hugging Face hub with a model's files; each is downloaded once, into the hub's cache."""

    repo_id: str
    revision: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.repo_id

    def find(self, filename: str) -> Path | None:
        """Return a file's path in the cache, None where the repository has none.

        Raises:
            WeightsError: the repository cannot be reached.
        """
        try:
            return hub_file(self.repo_id, filename, revision=self.revision)
        except HubFileMissingError:
            return None


ModelFolder = LocalFolder | HubRepository


def read_weights(folder: ModelFolder, filenames: tuple[str, ...] = WEIGHTS_FILES) -> dict[str, Tensor]:
    """Return the state dict of a model's folder: in one file or sharded, safetensors before pickles.

    Args:
        folder: a folder or a repository of the hub.
        filenames: the names that the file may have, in the order in which they are tried.

    Raises:
        WeightsError: it has none of them, they cannot be fetched, or they are damaged.
    """
    unreachable: WeightsError | None = None
    for filename in filenames:
        try:
            path = folder.find(filename)
        except WeightsError as error:  # another name may be in the cache
            unreachable = unreachable or error
            continue
        if path is None:
            continue
        if filename.endswith(".json"):
            for shard in shard_names(path):
                folder.find(shard)  # a repository fetches it
        return read_state(path)
    raise unreachable or WeightsError(f"{folder.name} holds no weights for PyTorch: none of {', '.join(filenames)}")
