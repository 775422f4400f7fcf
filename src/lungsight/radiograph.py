"""The radiograph: one image after reading, with what its file states."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.errors import printable

Floats = NDArray[np.float32]
LevelArray = NDArray[np.uint16]


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


class SpacingPlane(StrEnum):
    """Where a spacing holds: in the ``PATIENT`` by a calibration, at the ``DETECTOR`` behind, or on a ``FILM``."""

    PATIENT = "patient"
    DETECTOR = "detector"
    FILM = "film"


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """How levels become grey: black at the window's lower edge and below, white at the upper edge and above.

    Attributes:
        name: as the header calls it; empty if it has no name.
        center: in levels.
        width: in levels, above 0.
        curve: grey 0…1 at points that are evenly spread over the width; None for a straight line.
    """

    name: str
    center: float
    width: float
    curve: Floats | None = None

    def shown(self, levels: NDArray[Any]) -> Floats:
        """The grey of each level, float32 in 0…1, of the same shape."""
        at = np.clip((levels - self.center) / self.width + 0.5, 0, 1)
        if self.curve is not None:
            at = np.interp(at, np.linspace(0, 1, len(self.curve)), self.curve)
        return np.asarray(at, dtype=np.float32)

    def mapped(self, per_level: float, at_zero: float) -> Window:
        """The same window for levels n with ``at_zero + per_level * n`` for what it was made for."""
        curve = self.curve if per_level > 0 or self.curve is None else np.asarray(1 - self.curve[::-1])
        return replace(
            self, center=(self.center - at_zero) / per_level, width=self.width / abs(per_level), curve=curve
        )


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """An image before a window cuts off what is too dark or too bright: for viewers.

    Attributes:
        values: uint16 [height, width], on the grid of ``Radiograph.pixels``; a larger level is denser. Read-only.
        windows: at least one. The first gives ``Radiograph.pixels``, and so shows what a model sees.
        padded: whether level 0 is padding around the image, which is black whatever the window.
        at_zero: the number in the file (after the modality LUT) of level 0 …
        per_level: … and what each level adds to it; negative if a smaller number is denser.
    """

    values: LevelArray
    windows: tuple[Window, ...]
    padded: bool = False
    at_zero: float = 0.0
    per_level: float = 1.0

    def __post_init__(self) -> None:
        self.values.flags.writeable = False

    @property
    def highest(self) -> int:
        """The largest level of the image."""
        return int(self.values.max())

    def shown(self, window: Window | None = None) -> Floats:
        """The image through a window (default: the first), float32 [height, width] in 0…1."""
        grey = (window or self.windows[0]).shown(np.arange(self.highest + 1))
        if self.padded:
            grey[0] = 0
        return np.asarray(grey[self.values])

    def negative(self) -> Levels:
        """Black for white. Padding becomes as bright as the densest level."""
        top = self.highest
        return Levels(
            np.asarray(top - self.values, dtype=np.uint16),
            tuple(window.mapped(-1.0, top) for window in self.windows),
            at_zero=self.at_zero + self.per_level * top,
            per_level=-self.per_level,
        )

    def placed(self, mirrored: bool, turned: int) -> Levels:
        """Mirrored left to right and then turned clockwise, as :meth:`Radiograph.placed`."""
        return replace(self, values=_placed(self.values, mirrored, turned))

    def resized(self, width: int, height: int) -> Levels:
        """On another grid over the whole image."""
        drawn = Image.fromarray(self.values.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        return replace(self, values=np.rint(np.clip(np.asarray(drawn), 0, self.highest)).astype(np.uint16))


def _placed(grid: NDArray[Any], mirrored: bool, turned: int) -> NDArray[Any]:
    return np.ascontiguousarray(np.rot90(np.fliplr(grid) if mirrored else grid, -turned // 90))


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
        pixel_spacing: of a row and of a column, in millimetres; None if the file states none of the image.
        spacing_plane: where ``pixel_spacing`` holds; None without one.
        burned_in_annotation: whether the header states text in the pixels.
        bit_depth: bits per sample in the file.
        file_shape: height and width at full size, if the pixels were read at a reduced size; else None.
        mirrored: whether the file's pixels were mirrored left to right to correct them.
        turned: by how many degrees they were then turned clockwise: 0, 90, 180 or 270.
        levels: what a viewer shows, on the grid of ``pixels``; None unless they were asked for when it was read.
        header: the DICOM header without its pixels (pydicom's Dataset), if it was asked for; else None.
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
    spacing_plane: SpacingPlane | None = None
    burned_in_annotation: bool | None = None
    bit_depth: int = 8
    file_shape: tuple[int, int] | None = None
    mirrored: bool = False
    turned: int = 0
    levels: Levels | None = None
    header: Any = field(default=None, repr=False)
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
        across = turned % 180 == 90
        spacing, shape = self.pixel_spacing, self.file_shape
        return replace(
            self,
            pixels=_placed(self.pixels, mirrored, turned),
            levels=None if self.levels is None else self.levels.placed(mirrored, turned),
            pixel_spacing=spacing[::-1] if across and spacing else spacing,
            file_shape=shape[::-1] if across and shape else shape,
            mirrored=self.mirrored is not mirrored,
            turned=(turned + (-self.turned if mirrored else self.turned)) % 360,
        )

    def negative(self) -> Radiograph:
        """A copy with black for white."""
        levels = None if self.levels is None else self.levels.negative()
        return replace(self, pixels=np.asarray(1 - self.pixels, dtype=np.float32), levels=levels)

    def as_analysed(self, placement: Placement, *, inverted: bool) -> Radiograph:
        """A copy in the orientation of an image with this placement, as its finding states both."""
        mirrored = placement.mirrored is not self.mirrored
        turned = (placement.turned + (self.turned if mirrored else -self.turned)) % 360
        placed = self.placed(mirrored=mirrored, turned=turned) if mirrored or turned else self
        return placed.negative() if inverted else placed
