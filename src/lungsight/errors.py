"""Errors in what a user gives to lungsight. Each is one sentence: the file, the problem and a hint.

The tree, with the exit status of the command line:

    LungsightError                    3
    ├── UnreadableImageError          1   no single radiograph can be read from a file
    ├── ManifestError                 3   a table of images
    ├── TableError                    3   the file of such a table (datasets/text_tables.py)
    ├── RecipeError                   3   a training recipe
    ├── PackageError                  3   a model package
    ├── CollectionError               3   the folder of a public collection
    ├── DownloadError                 3   a download
    ├── SplitLeakageError             4   the same image, patient or study on both sides of a split
    ├── MissingExtraError             3   a part of lungsight that isn't installed
    ├── PredictionsError              3   a table of predictions (evaluation/testset/predictions_csv.py)
    ├── WorseError                    3   an adaptation that is worse (adaptation/package.py)
    └── SavedEvaluationError          3   the folder of an evaluation (evaluation/saved.py)
"""

from __future__ import annotations

import re
from typing import ClassVar

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class LungsightError(Exception):
    """A mistake in the input. ``str()`` is the sentence that a user reads.

    The command line prints it and ends with ``exit_status``.

    Args:
        subject: the file or the option that is wrong.
        problem: what is wrong with it, without a full stop.
        hint: what the user can do, without a full stop.
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
    """A table of images that can't be used."""


class RecipeError(LungsightError):
    """A training recipe that isn't valid."""


class PackageError(LungsightError):
    """A model package that is incomplete, altered or of another schema."""


class CollectionError(LungsightError):
    """A folder that doesn't hold the collection that was named."""


class DownloadError(LungsightError):
    """A download that ended without its file."""


class SplitLeakageError(LungsightError):
    """A split with the same image, patient or study on both sides."""

    exit_status = 4


class MissingExtraError(LungsightError):
    """A command that needs a part of lungsight that isn't installed."""


def printable(subject: object) -> str:
    """``subject`` as one line that any terminal and any JSON file can hold.

    Bytes that aren't UTF-8 become �, and so do control characters, which could move a terminal's cursor.
    """
    return _CONTROL.sub("�", str(subject).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
