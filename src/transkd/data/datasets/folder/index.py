"""Files found by what a list may call them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from transkd.data.datasets.folder.matching import Match
from transkd.data.datasets.folder.places import Place
from transkd.errors import DataError


class FileIndex:
    """The files of one folder, by name, by path below the folder or by path below the root, with suffix or without.

    Args:
        root: the dataset's folder.
        folder: the files' folder.
        files: key -> path (see :class:`Match`).
    """

    def __init__(self, root: Path, folder: Path, files: Mapping[str, str]) -> None:
        below = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
        self._prefix = "" if below == "." else f"{below}/"
        self._by_key = files

    def find(self, entry: str) -> str | None:
        """Return the file that an entry names.

        Raises:
            DataError: if it may name several.
        """
        for name in (entry, entry.removeprefix(self._prefix)):
            path = self._by_key.get(name) or self._by_path.get(name)
            if path is not None:
                return path
        found = self._by_name.get(entry)
        if isinstance(found, tuple):
            raise DataError(f"'{entry}' may be {found[0]} or {found[1]}: write the path in the list.")
        return found

    @cached_property
    def _by_path(self) -> dict[str, str]:
        """By path below the folder: with suffix, and without it but with what an option takes off the key."""
        named = {}
        for key, path in self._by_key.items():
            directory = key[: key.rfind("/") + 1]
            name = os.path.basename(path)  # noqa: PTH119
            named[directory + name] = path
            named[directory + name[: name.rfind(".")]] = path
        return named

    @cached_property
    def _by_name(self) -> dict[str, str | tuple[str, str]]:
        """By the last part alone; two files where there are several of a name."""
        named: dict[str, str | tuple[str, str]] = {}
        for path in self._by_key.values():
            last = os.path.basename(path)  # noqa: PTH119
            for name in (last, last[: last.rfind(".")]):
                other = named.setdefault(name, path)
                if isinstance(other, str) and other != path:
                    named[name] = (other, path)
        return named


class PlaceIndex:
    """The images and masks of several places.

    Args:
        root: the dataset's folder.
        matches: what each place holds.
        beside: another folder that entries may be relative to.
    """

    def __init__(self, root: Path, matches: Iterable[tuple[Place, Match]], *, beside: Path) -> None:
        self.names: dict[str, str] = {}
        self._folders = (root, beside)
        self._mask_of: dict[str, str] = {}
        self._images: list[FileIndex] = []
        self._masks: list[FileIndex] = []
        for place, found in matches:
            self.names |= {path: key for key, path in found.images.items()}
            self._mask_of |= {found.images[key]: found.masks[key] for key in found.keys}
            self._images.append(FileIndex(root, place.images, found.images))
            self._masks.append(FileIndex(root, place.masks, found.masks))

    def is_image(self, entry: str) -> bool:
        """Tell whether an entry names one of the images, whose files need not be asked for."""
        return any(index.find(entry.replace("\\", "/").removeprefix("./")) is not None for index in self._images)

    def image(self, entry: str) -> str | None:
        """Return the image that an entry names, None where there is none.

        Raises:
            DataError: if it may name several.
        """
        return self._find(self._images, entry)

    def mask(self, entry: str | None, image: str) -> str | None:
        """Return the mask that an entry names; without an entry, the one that is called like the image.

        Raises:
            DataError: if it may name several.
        """
        return self._mask_of.get(image) if entry is None else self._find(self._masks, entry)

    def _find(self, indices: Iterable[FileIndex], entry: str) -> str | None:
        name = entry.replace("\\", "/").removeprefix("./")
        found = {path: None for index in indices if (path := index.find(name)) is not None}
        if len(found) > 1:
            first, second, *_ = found
            raise DataError(f"'{entry}' may be {first} or {second}: write the path in the list.")
        if found:
            return next(iter(found))
        return next((path for path in self._paths(name) if os.path.isfile(path)), None)  # noqa: PTH113

    def _paths(self, name: str) -> Iterator[str]:
        """Give the paths that a name may be: below each folder, or from the top, which some lists call the root."""
        for entry in dict.fromkeys((name, name.lstrip("/"))):
            for folder in self._folders:
                yield os.path.normpath(os.path.join(folder, entry))  # noqa: PTH118
