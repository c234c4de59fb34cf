"""What servers answer, and what goes wrong on the way to them, as one message or as a reason to try again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit, urlunsplit

import requests

from transkd.errors import DataError

TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for more of an answer."""

_PASSING = (408, 425, 429, 500, 502, 503, 504)
_MIRROR = "or give a mirror with url=URL"


class TryAgain(Exception):  # noqa: N818 - it is no error
    """Something that may pass.

    Args:
        reason: what went wrong.
        after: seconds after which the server wants to be asked again.
        likely: whether it passes soon as a rule; a machine without a network stays without one.
    """

    def __init__(self, reason: str, after: float = 0.0, *, likely: bool = True) -> None:
        super().__init__(reason)
        self.after = after
        self.likely = likely


@dataclass(frozen=True)
class Offer:
    """What a server is about to send.

    Attributes:
        start: the byte it begins with.
        total: the bytes of the whole file; None where the server does not say.
        validator: what tells this file from a changed one at the same address; None where the server gives nothing.
    """

    start: int
    total: int | None
    validator: str | None


def open_session() -> requests.Session:
    """Make a session, which takes proxies and certificates from the environment."""
    session = requests.Session()
    # Compressed transfers have other lengths than the file, and cannot be gone on with.
    session.headers.update({"User-Agent": f"transkd/{version('transkd')}", "Accept-Encoding": "identity"})
    return session


def is_address(url: str) -> bool:
    """Return whether a text is an address of the web."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def plain(url: str) -> str:
    """Return an address without passwords and keys, to be shown and stored."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_offer(response: requests.Response, url: str) -> Offer:
    """Read what an answer offers.

    Raises:
        DataError: if it is none that will ever help.
        TryAgain: if it may be another one soon.
    """
    status = response.status_code
    if status == 206:
        return _part(response)
    if status in _PASSING:
        raise TryAgain(f"{plain(url)}: the server says {status} {response.reason}", _retry_after(response))
    if status != 200:
        advice = {401: "it wants an account", 403: "it does not allow this", 404: "the file is not there (any more)"}
        raise DataError(
            f"{plain(url)}: the server says {status} {response.reason}"
            f"{f': {advice[status]}' if status in advice else ''}; try again later, {_MIRROR}"
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise DataError(
            f"{plain(url)}: the answer is a web page, not the file: something on the way wants a login or a "
            f"confirmation; open the address in a browser, {_MIRROR}"
        )
    length = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    total = int(length) if length.isdigit() and not encoded else None
    return Offer(0, total, None if encoded else _validator(response))


def explained(error: requests.RequestException, url: str) -> DataError | TryAgain:
    """Turn an error of the way to a server into a message, or into a reason to try again."""
    text = str(error)
    host = urlsplit(url).hostname
    if isinstance(error, requests.exceptions.ProxyError):
        return TryAgain(f"the proxy that the environment names for {host} does not answer (HTTPS_PROXY, HTTP_PROXY)")
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
        return DataError(
            f"{plain(url)}: the server's certificate cannot be verified. Where a proxy signs connections with "
            f"certificates of its own, name their file with REQUESTS_CA_BUNDLE=FILE, {_MIRROR}"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return TryAgain(f"{host} does not answer")
    if isinstance(error, requests.exceptions.ConnectionError):
        if re.search(r"resol|getaddrinfo|Name or service", text):
            return TryAgain(f"there is no network, or no server {host}", likely=False)
        return TryAgain(f"{host} does not take connections" if "Failed to establish" in text else _LOST.format(host))
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return TryAgain(_LOST.format(host))
    return DataError(f"{plain(url)}: cannot be asked for ({text})")


_LOST = "the connection to {} was lost"


def _part(response: requests.Response) -> Offer:
    described = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", described.strip())
    if match is None:
        return Offer(-1, None, None)
    return Offer(int(match[1]), None if match[2] == "*" else int(match[2]), _validator(response))


def _validator(response: requests.Response) -> str | None:
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # weak tags do not promise the same bytes (RFC 9110, 8.8.1)
        return str(tag)
    return response.headers.get("Last-Modified")


def _retry_after(response: requests.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), 120.0) if seconds.isdigit() else 0.0
