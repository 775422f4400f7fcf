"""The radiograph: one image after reading, with what its file states."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lungsight.errors import printable


class View(StrEnum):
    """The direction of the X-ray beam. ``FRONTAL`` is PA or AP where the source doesn't state which."""

    PA = "PA"
    AP = "AP"
    AP_SUPINE = "AP supine"
    FRONTAL = "frontal"
    LATERAL = "lateral"
    OTHER = "other"

    @property
    def is_frontal(self) -> bool:
        """PA, AP, or one of them."""
        return self in (View.PA, View.AP, View.AP_SUPINE, View.FRONTAL)


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The identifiers by which an archive finds the image; None where the file has none.

    Attributes:
        patient_id: only if it was asked for.
    """

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    accession_number: str | None = None
    patient_id: str | None = field(default=None, repr=False)


UNIDENTIFIED = Identifiers()


class Placement(NamedTuple):
    """The pixel grid of an analysed image, and how it was made from the grid of its file.

    First ``mirrored`` left to right, then ``turned`` clockwise by degrees, then scaled to ``width`` × ``height``.
    """

    width: int
    height: int
    mirrored: bool
    turned: int


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """One image, ready to be analysed.

    Attributes:
        pixels: float32, shape [height, width], 0…1, bright where the body is dense. Read-only.
        file: where it came from; a member of a zip is ``archive.zip!/member.png``.
        sha256: of the file's bytes, in hexadecimal.
        modality: the DICOM Modality (``CR``, ``DX``, …); None if the file doesn't state it.
        body_part: the DICOM BodyPartExamined in capitals; None if the file doesn't state it.
        view: None if the file doesn't state it, or in words that aren't known.
        view_stated: these words.
        laterality: ``L``, ``R``, ``U`` (unpaired) or ``B``, from the header.
        age: in years.
        sex: ``M``, ``F`` or ``O``.
        patient: a key that tells patients apart, never a name.
        identifiers: of study, series and image.
        pixel_spacing: of a row and of a column, in millimetres.
        burned_in_annotation: whether the header states text in the pixels.
        bit_depth: bits per sample in the file.
        file_shape: height and width at full size, if the pixels were read at a reduced size; else None.
        mirrored: whether the file's pixels were mirrored left to right to correct them.
        turned: by how many degrees they were then turned clockwise: 0, 90, 180 or 270.
        warnings: sentences about what was assumed or repaired.
    """

    pixels: NDArray[np.float32]
    file: str
    sha256: str
    modality: str | None = None
    body_part: str | None = None
    view: View | None = None
    view_stated: str | None = None
    laterality: str | None = None
    age: float | None = None
    sex: str | None = None
    patient: str | None = None
    identifiers: Identifiers = UNIDENTIFIED
    pixel_spacing: tuple[float, float] | None = None
    burned_in_annotation: bool | None = None
    bit_depth: int = 8
    file_shape: tuple[int, int] | None = None
    mirrored: bool = False
    turned: int = 0
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.float32:
            raise TypeError(f"pixels must be float32 [height, width], not {self.pixels.dtype} {self.pixels.shape}")
        object.__setattr__(self, "file", printable(self.file))
        self.pixels.flags.writeable = False

    @property
    def height(self) -> int:
        """In pixels, of the image at full size and in the orientation of ``pixels``."""
        return int(self.pixels.shape[0]) if self.file_shape is None else self.file_shape[0]

    @property
    def width(self) -> int:
        """In pixels, of the image at full size and in the orientation of ``pixels``."""
        return int(self.pixels.shape[1]) if self.file_shape is None else self.file_shape[1]

    @property
    def placement(self) -> Placement:
        """Its pixel grid at full size."""
        return Placement(self.width, self.height, self.mirrored, self.turned)

    def placed(self, *, mirrored: bool = False, turned: int = 0) -> Radiograph:
        """A copy that is mirrored left to right and then turned clockwise by 0, 90, 180 or 270 degrees."""
        pixels = np.rot90(np.fliplr(self.pixels) if mirrored else self.pixels, -turned // 90)
        across = turned % 180 == 90
        spacing, shape = self.pixel_spacing, self.file_shape
        return replace(
            self,
            pixels=np.ascontiguousarray(pixels),
            pixel_spacing=spacing[::-1] if across and spacing else spacing,
            file_shape=shape[::-1] if across and shape else shape,
            mirrored=self.mirrored is not mirrored,
            turned=(turned + (-self.turned if mirrored else self.turned)) % 360,
        )
