"""Which images and patients a model has seen, so that a test can tell whether it is one."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class TrainedImage:
    """One image the model was trained or tuned on.

    Attributes:
        sha256: of the image file's bytes, in hexadecimal.
        patient: sha256 of ``source/patient``: it tells whether a patient was seen without saying who.
        source: the collection or hospital.
        split: ``train`` or ``validation``.
        perceptual_hash: 64 hexadecimal digits by which the same image is known again though its file is another;
            empty where nobody computed it. It shows no patient.
    """

    sha256: str
    patient: str
    source: str
    split: str
    perceptual_hash: str = ""

    @classmethod
    def of(cls, sha256: str, *, source: str, patient: str, split: str, perceptual_hash: str = "") -> Self:
        """An image whose patient key is still in the clear."""
        return cls(sha256, patient_digest(source, patient), source, split, perceptual_hash)


def patient_digest(source: str, patient: str) -> str:
    """What ``TrainedImage.patient`` holds for the patient of a source."""
    return hashlib.sha256(f"{source}/{patient}".encode()).hexdigest()


COLUMNS = tuple(field.name for field in fields(TrainedImage))
#: What packages held before they had perceptual hashes.
_OLDER_COLUMNS = COLUMNS[:-1]
_HASH = re.compile(r"(?:[0-9a-f]{64})?")


def to_csv(images: Iterable[TrainedImage]) -> bytes:
    """The table ``trained_on.csv``."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(image) for image in images)
    return text.getvalue().encode()


def from_csv(table: bytes) -> tuple[TrainedImage, ...]:
    """The images of a ``trained_on.csv``. Raises ValueError where it isn't such a table."""
    rows = csv.reader(io.StringIO(table.decode(), newline=""))
    columns = tuple(next(rows, ()))
    if columns not in (COLUMNS, _OLDER_COLUMNS):
        raise ValueError(f"the columns must be {', '.join(COLUMNS)}")
    images = []
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"line {rows.line_num} has {len(row)} values instead of {len(columns)}")
        image = TrainedImage(*row)
        if not _HASH.fullmatch(image.perceptual_hash):
            raise ValueError(f"line {rows.line_num}: perceptual_hash isn't 64 hexadecimal digits")
        images.append(image)
    return tuple(images)
