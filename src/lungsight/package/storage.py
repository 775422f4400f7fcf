"""The bytes of a package, in a folder or a zip. Nothing is ever unpacked to disk."""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from lungsight.errors import PackageError, printable

DESCRIPTION = "package.json"
NETWORK = "network.onnx"
WEIGHTS = "weights.safetensors"
MODEL_CARD = "MODEL_CARD.md"
REFERENCE = "reference.safetensors"
TRAINED_ON = "trained_on.csv"
#: Packages written before December 2026 hold it. Nothing reads it.
METADATA = "metadata.json"
EVIDENCE = "evidence.json"
LUNG_FIELDS = "lung_fields.onnx"
GATE = "gate.onnx"
FAMILIARITY = "familiarity.safetensors"

#: What every package holds beside ``package.json``, which names each file with its sha256.
PARTS = (NETWORK, WEIGHTS, MODEL_CARD, REFERENCE, TRAINED_ON)
#: Three more, each of which takes part in what is said of an image; ``package.json`` describes those that are there.
ACTING_PARTS = (LUNG_FIELDS, GATE, FAMILIARITY)
#: What it may hold besides.
OPTIONAL_PARTS = (METADATA, EVIDENCE, *ACTING_PARTS)
#: What is written about a model and may be replaced without making it another one.
PAPERS = (MODEL_CARD, EVIDENCE)

#: No chest X-ray network is near this; what is larger is a mistake or an attack on the memory.
MAX_BYTES = 4 * 1024**3

_COPY_AGAIN = "copy the package again from where it was made"


class Storage(ABC):
    """The files of a package by their names. Every error is a PackageError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def names(self) -> frozenset[str]:
        """Names of all files, those included that don't belong there."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of one file."""

    def _checked_size(self, name: str, size: int) -> None:
        if size > MAX_BYTES:
            raise PackageError(self.path, f"{printable(name)} is larger than 4 GiB", _COPY_AGAIN)


class FolderStorage(Storage):
    """A package as a plain folder."""

    def names(self) -> frozenset[str]:
        """As in :class:`Storage`."""
        return frozenset(entry.name + ("/" if entry.is_dir() else "") for entry in self.path.iterdir())

    def read(self, name: str) -> bytes:
        """As in :class:`Storage`."""
        file = self.path / name
        try:
            self._checked_size(name, file.stat().st_size)
            return file.read_bytes()
        except OSError as error:
            raise PackageError(self.path, f"{name} can't be read ({error.strerror})", _COPY_AGAIN) from error


class ZipStorage(Storage):
    """A package as a zip, its files at the top or in one folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            with zipfile.ZipFile(path) as archive:
                members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
                repeated = len(members) != sum(not info.is_dir() for info in archive.infolist())
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise PackageError(path, "neither a folder nor a readable zip", "give a model package") from error
        if repeated:
            raise PackageError(path, "the zip holds two files of the same name", "zip the package's folder again")
        self._members = {self._inside(name): info for name, info in members.items()}
        root = self._root()
        self._members = {name.removeprefix(root): info for name, info in self._members.items()}

    def names(self) -> frozenset[str]:
        """As in :class:`Storage`."""
        return frozenset(self._members)

    def read(self, name: str) -> bytes:
        """As in :class:`Storage`."""
        info = self._members[name]
        self._checked_size(name, info.file_size)
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(info)
        except RuntimeError as error:  # zipfile's way to say that a password is needed
            raise PackageError(self.path, "the zip is encrypted", "zip it without a password") from error
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise PackageError(self.path, f"{name} in the zip is damaged", _COPY_AGAIN) from error

    def _inside(self, name: str) -> str:
        if name.startswith(("/", "\\")) or ":" in name or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise PackageError(self.path, f"the zip's member {printable(name)} points outside it", "don't use it")
        return name

    def _root(self) -> str:
        """The one folder that ``zip -r model.zip model/`` puts before every name, or nothing."""
        tops = {name.partition("/")[0] for name in self._members if "/" in name}
        nested = all("/" in name for name in self._members)
        return f"{tops.pop()}/" if nested and len(tops) == 1 else ""


class MemoryStorage(Storage):
    """A package whose files were read elsewhere; ``path`` is where."""

    def __init__(self, path: Path, contents: Mapping[str, bytes]) -> None:
        super().__init__(path)
        self._contents = contents

    def names(self) -> frozenset[str]:
        """As in :class:`Storage`."""
        return frozenset(self._contents)

    def read(self, name: str) -> bytes:
        """As in :class:`Storage`."""
        return self._contents[name]


def storage_at(path: Path) -> Storage:
    """The storage at ``path``. Raises PackageError if it is neither a folder nor a zip."""
    try:
        if path.is_dir():
            return FolderStorage(path)
        if not path.exists():
            raise PackageError(path, "there is no such model package", "give the path of its folder or zip")
    except OSError as error:
        raise PackageError(path, f"can't be looked at ({error.strerror})", "give a readable path") from error
    return ZipStorage(path)
