"""Files of a hub: what is fetched and cached, and the message where a file cannot be fetched."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import BROKEN, COMMIT, GATED, HubServer, serving
from huggingface_hub import constants

from transkd.errors import WeightsError
from transkd.models.hub import HubFileMissingError, hub_file

REPO, CONTENT = "acme/net", b"weights" * 1000
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with serving({f"{REPO}/model.safetensors": CONTENT, f"{REPO}/sub/config.json": b"{}"}) as server:
        yield server


@pytest.fixture(autouse=True)
def _online_and_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have turned downloads off; and huggingface_hub waits before it tries again."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.fixture
def fetch(hub: HubServer, tmp_path: Path):
    def fetched(repo: str = REPO, filename: str = "model.safetensors", **options: object) -> Path:
        return hub_file(repo, filename, **{"endpoint": hub.endpoint, "cache_dir": tmp_path, "token": False} | options)

    return fetched


def test_a_file_is_downloaded_once_and_is_there_without_the_hub(hub, fetch, tmp_path):
    path = fetch()
    assert path.read_bytes() == CONTENT
    assert tmp_path in path.parents
    assert COMMIT in path.parts
    downloads = [request for request in hub.requests if request.startswith("GET")]
    assert fetch() == path
    assert [request for request in hub.requests if request.startswith("GET")] == downloads
    assert fetch(filename="sub/config.json", revision=COMMIT).read_bytes() == b"{}"
    assert fetch(endpoint=NOWHERE) == path
    assert fetch(endpoint=NOWHERE, local_files_only=True) == path


CASES = {
    "repository": (
        {"repo": "acme/nothing"},
        "there is no such repository, or it is private; check the name, or log in",
    ),
    "file": ({"filename": "pytorch_model.bin"}, "there is no such file in it"),
    "revision": ({"revision": "v9"}, "there is no such revision"),
    "gated": ({"repo": GATED}, "it is gated; ask for access on its page, then log in (hf auth login) or set HF_TOKEN"),
    "server": ({"repo": BROKEN}, "500"),
    "network": ({"endpoint": NOWHERE}, "and the hub cannot be reached (ConnectError: "),
    "offline": ({"local_files_only": True}, "downloads are off (HF_HUB_OFFLINE)"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_fetched_is_one_message(hub, fetch, case):
    changes, reason = CASES[case]
    with pytest.raises(WeightsError) as caught:
        fetch(**changes)
    repo, filename = changes.get("repo", REPO), changes.get("filename", "model.safetensors")
    revision, endpoint = changes.get("revision", "main"), changes.get("endpoint", hub.endpoint)
    message = str(caught.value)
    assert message.startswith(f"cannot get {filename} of the Hugging Face repository {repo}")
    assert reason in message
    url = f"{endpoint}/{repo}/resolve/{revision}/{filename}"
    assert message.endswith(f"To give it by hand, download {url} elsewhere and pass the path of the file")
    assert "\n" not in message
    assert isinstance(caught.value, HubFileMissingError) == (case == "file")


def test_a_host_without_an_address_fails_at_once_unless_there_is_a_proxy(fetch, monkeypatch):
    def no_address(*_: object) -> None:
        raise socket.gaierror("Name or service not known")

    cached = fetch()
    monkeypatch.setattr("socket.getaddrinfo", no_address)
    assert fetch(endpoint="http://hub.example.invalid") == cached
    with pytest.raises(WeightsError, match=r"cannot be reached \(no address for hub\.example\.invalid\)"):
        fetch(endpoint="http://hub.example.invalid", filename="sub/config.json")
    monkeypatch.setenv("http_proxy", NOWHERE)
    with pytest.raises(WeightsError, match=r"the hub cannot be reached \((?!no address)"):
        fetch(endpoint="http://hub.example.invalid", filename="sub/config.json")


@pytest.mark.parametrize("name", ["no/such/folder", "a name"])
def test_what_can_be_no_repository(name):
    with pytest.raises(WeightsError, match=f"'{name}' is neither a path that exists nor an id of a Hugging Face repo"):
        hub_file(name, "config.json")
