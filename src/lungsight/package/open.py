"""Open a package and read what it holds, each file checked against its sha256 first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lungsight.components.classifier import Network
from lungsight.errors import PackageError
from lungsight.package import trained_on
from lungsight.package.components import ComponentFiles, UnusableComponentError
from lungsight.package.description import SCHEMA_VERSION, PackageDescription
from lungsight.package.stated_grade import StatedGrade, stated_grade
from lungsight.package.storage import (
    ACTING_PARTS,
    DESCRIPTION,
    EVIDENCE,
    MODEL_CARD,
    OPTIONAL_PARTS,
    PARTS,
    REFERENCE,
    TRAINED_ON,
    WEIGHTS,
    Storage,
    storage_at,
)
from lungsight.package.trained_on import TrainedImage
from lungsight.package.verify import verify_components, verify_one

T = TypeVar("T")


_MAKE_AGAIN = "export the model again with `lungsight train`"
_COPY_AGAIN = "copy the package again from where it was made"


class ModelPackage(ComponentFiles):
    """A model package that has been opened: its description is valid and every file is there.

    Attributes:
        path: the folder or zip.
        description: the content of ``package.json``.
        id: the model's name and twelve digits (:attr:`PackageDescription.model_id`): two packages with the same id
            give the same findings, whatever is written about them.
        sha256: of ``package.json``, which states that of every other file: packages with the same one are the same.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.path = storage.path
        if DESCRIPTION not in storage.names():
            raise PackageError(self.path, f"holds no {DESCRIPTION}", "give the path of a model package")
        super().__init__(_description(self.path, storage.read(DESCRIPTION)), self._checked)
        self._check_names()
        self.id = self.description.model_id
        self.sha256 = hashlib.sha256(storage.read(DESCRIPTION)).hexdigest()

    @classmethod
    def open(cls, path: Path | str) -> ModelPackage:
        """Open the folder or zip at ``path``. Raises PackageError."""
        return cls(storage_at(Path(path)))

    def contents(self) -> dict[str, bytes]:
        """All its files by name, for a :class:`MemoryStorage` elsewhere. Raises PackageError if one was altered."""
        return {DESCRIPTION: self._storage.read(DESCRIPTION)} | {
            name: self.read(name) for name in self.description.files
        }

    @property
    def model_card(self) -> str:
        """Markdown. Raises PackageError if it was altered."""
        return self.read(MODEL_CARD).decode("utf-8", "replace")

    @cached_property
    def verdict(self) -> StatedGrade | None:
        """What its evidence report concludes; None if there is none. Raises PackageError if it was altered."""
        if EVIDENCE not in self.description.files:
            return None
        try:
            return stated_grade(json.loads(self.read(EVIDENCE)))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    @cached_property
    def trained_on(self) -> tuple[TrainedImage, ...]:
        """The images the model was trained and tuned on. Raises PackageError."""
        try:
            return trained_on.from_csv(self.read(TRAINED_ON))
        except ValueError as error:
            raise PackageError(self.path, f"{TRAINED_ON} isn't readable ({error})", _MAKE_AGAIN) from error

    def verify(self) -> None:
        """Check every file's sha256, and that the networks work and give the reference outputs.

        Raises:
            PackageError: one sentence with the first thing that is wrong.
        """
        for name in self.description.files:
            self.read(name)
        verify_components(self, self.path, self.read(WEIGHTS), self.read(REFERENCE))
        _ = self.trained_on

    def verify_loaded(self, network: Network) -> None:
        """Check that a network of this package gives the first of its reference outputs. Raises PackageError."""
        verify_one(self.path, self.description, self.read(REFERENCE), network)

    def _checked(self, name: str) -> bytes:
        content = self._storage.read(name)
        if hashlib.sha256(content).hexdigest() != self.description.files[name]:
            raise PackageError(self.path, f"{name} was altered since the package was made", _COPY_AGAIN)
        return content

    def _load(self, name: str, load: Callable[[bytes], T]) -> T:
        try:
            return super()._load(name, load)
        except UnusableComponentError as error:
            raise PackageError(self.path, str(error), _MAKE_AGAIN) from error

    def _check_names(self) -> None:
        found = self._storage.names() - {DESCRIPTION}
        missing = sorted((set(PARTS) | set(self.description.files)) - found)
        if missing:
            raise PackageError(self.path, f"lacks {', '.join(missing)}", _COPY_AGAIN)
        extra = sorted(found - set(self.description.files))
        if extra:
            raise PackageError(
                self.path, f"also holds {', '.join(extra)}, which {DESCRIPTION} doesn't name", "take it out"
            )
        if foreign := sorted(set(self.description.files) - set(PARTS) - set(OPTIONAL_PARTS)):
            raise PackageError(self.path, f"names {', '.join(foreign)}, no part of a package", _MAKE_AGAIN)
        described, signed = self.description.described_parts, set(ACTING_PARTS) & set(self.description.files)
        if silent := sorted(signed - described):
            raise PackageError(self.path, f"holds {silent[0]} and doesn't describe it", _MAKE_AGAIN)
        if unheld := sorted(described - signed):
            raise PackageError(self.path, f"describes {unheld[0]} and doesn't hold it", _MAKE_AGAIN)
        if unsigned := sorted(set(PARTS) - set(self.description.files)):
            raise PackageError(self.path, f"gives no sha256 for {', '.join(unsigned)}", _MAKE_AGAIN)


def _description(path: Path, content: bytes) -> PackageDescription:
    try:
        stated = json.loads(content)
    except ValueError as error:
        raise PackageError(path, f"{DESCRIPTION} isn't JSON", _COPY_AGAIN) from error
    version = stated.get("schema_version") if isinstance(stated, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise PackageError(
            path, f"its schema is {version} and this lungsight reads {SCHEMA_VERSION}", "install a newer lungsight"
        )
    try:
        return PackageDescription.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise PackageError(path, f"{DESCRIPTION}, {where}: {first['msg']}", _MAKE_AGAIN) from error
