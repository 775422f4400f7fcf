"""What can be wrong with what a user gave us, said in one sentence: what, with which file, and the cure."""

from __future__ import annotations

import re
from typing import ClassVar

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class LungsightError(Exception):
    """A mistake in the input. ``str()`` is the one sentence a user reads.

    Every room raises a subclass; the command line prints the sentence and ends with ``exit_status``.
    """

    exit_status: ClassVar[int] = 3

    def __init__(self, subject: object, problem: str, hint: str) -> None:
        self.subject = printable(subject)
        self.problem = problem
        self.hint = hint
        super().__init__(subject, problem, hint)

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}; {self.hint}."


class UnreadableImageError(LungsightError):
    """A file, or a member of an archive, from which no single radiograph can be read."""

    exit_status = 1


class ManifestError(LungsightError):
    """A table of images that can't be used as it stands."""


class RecipeError(LungsightError):
    """A training recipe that doesn't validate."""


class PackageError(LungsightError):
    """A model package that is incomplete, altered, or of another schema."""


class CollectionError(LungsightError):
    """A folder that doesn't hold the collection it is said to hold."""


class DownloadError(LungsightError):
    """A download that ended without the file it promised."""


class SplitLeakageError(LungsightError):
    """A split with the same image, patient or study on both of its sides."""

    exit_status = 4


class MissingExtraError(LungsightError):
    """A command that needs a part of lungsight that isn't installed."""


def printable(subject: object) -> str:
    """``subject`` as one line that any terminal and any JSON file can hold: bytes that aren't UTF-8 become �, and
    so do control characters, which could move a terminal's cursor."""
    return _CONTROL.sub("�", str(subject).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
