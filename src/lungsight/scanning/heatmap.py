"""Heatmaps and overlays as files."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path, PurePosixPath
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngInfo

from lungsight import RESEARCH_ONLY
from lungsight._files import atomic_write, output_folder
from lungsight.inference.finding import Finding
from lungsight.inference.lung_overlap import grid_of
from lungsight.rendering import thumbnail, with_evidence, with_outline

FULL_SCALE = 65535

#: Bytes of a PNG before its second chunk: the signature and IHDR.
_HEADER = 33


class _Folder:
    """A folder with one picture per analysed finding, under names that are unique and safe on any system.

    Safe to call from several threads.
    """

    def __init__(self, folder: Path, target: str) -> None:
        """Make the folder.

        Args:
            folder: where the pictures are written.
            target: the model's target class.

        Raises:
            LungsightError: it can't be made.
        """
        self._folder, self._target = output_folder(folder, "pictures"), target

    def add(self, finding: Finding) -> Path | None:
        """Write the picture of a finding that holds its image; None if it wasn't analysed. Raises LungsightError."""
        if finding.map is None or finding.radiograph is None:
            return None
        path = self._folder / f"{_name_for(finding.file, finding.radiograph.sha256)}.png"
        self._write(path, finding)
        return path

    def _write(self, path: Path, finding: Finding) -> None:
        raise NotImplementedError


class HeatmapFolder(_Folder):
    """Takes the 16-bit heatmaps of findings."""

    def _write(self, path: Path, finding: Finding) -> None:
        write_heatmap(path, finding, self._target)


class OverlayFolder(_Folder):
    """Takes small copies of the images under their evidence in colour."""

    def _write(self, path: Path, finding: Finding) -> None:
        write_overlay(path, finding, self._target)


def _name_for(file: str, sha256: str) -> str:
    """The file's stem, made safe, and a digest of its whole name and content.

    Names that aren't UTF-8 can read the same and be two files.
    """
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(file).stem).strip("_")[:60] or "image"
    digest = hashlib.sha256("\0".join((file, sha256)).encode()).hexdigest()
    return f"{stem}-{digest[:8]}"


def write_heatmap(path: Path, finding: Finding, target: str) -> None:
    """Write a 16-bit grey PNG on the image's own pixels.

    A pixel is the evidence for the target there, 0 where there is none or where it speaks against; linear, so that
    65535 is the image's strongest. The PNG's text says how many logits that is.

    Args:
        path: of the PNG.
        finding: of an image that was analysed.
        target: the model's target class.
    """
    evidence = finding.heatmap()  # our own copy, and large: it is changed in place
    np.maximum(evidence, 0, out=evidence)
    strongest = float(evidence.max())
    if strongest > 0:
        evidence *= FULL_SCALE / strongest
        evidence += 0.5
    text = _text(finding, target) | {"Logits per 65535": f"{strongest:.6g}"}
    _save(path, evidence.astype(np.uint16), text)


def write_overlay(path: Path, finding: Finding, target: str) -> None:
    """Write an 8-bit RGB PNG, at most 1,024 pixels a side: the image under its evidence for the target.

    Red speaks for the target; yellow is the outline of the lungs. The strongest colour is the image's strongest
    evidence; the PNG's text says how many logits that is.

    Args:
        path: of the PNG.
        finding: of an image that was analysed; it holds its pixels.
        target: the model's target class.
    """
    if finding.radiograph is None or finding.map is None:
        raise ValueError(f"{finding.file} was not analysed, or its pixels were not kept")
    grey = thumbnail(finding.radiograph)
    strongest = float(np.abs(finding.map.values).max())
    drawn = with_evidence(grey, finding.map.on(*grid_of(grey.height, grey.width)), strongest)
    if finding.outline is not None:
        drawn = with_outline(drawn, finding.outline)
    _save(path, np.asarray(drawn), _text(finding, target) | {"Logits at full colour": f"{strongest:.6g}"})


def _save(path: Path, pixels: NDArray[np.uint16 | np.uint8], text: dict[str, str]) -> None:
    """Write a PNG: grey [height, width] or RGB [height, width, 3].

    A map by its differences along the row, an image by those between rows: a third to half of the time that Pillow
    takes, which tries every kind of difference on every row, and fewer bytes.
    """
    from imagecodecs import PNG, png_encode  # nothing else of a scan needs it before a file does

    stated = PngInfo()
    for keyword, value in text.items():
        stated.add_itxt(keyword, value)
    differences = PNG.FILTER.SUB if pixels.ndim == 2 else PNG.FILTER.UP
    encoded = png_encode(pixels, level=1, filter=differences)
    with atomic_write(path) as file:
        file.write(encoded[:_HEADER])
        for kind, content, *_ in stated.chunks:
            file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc32(kind + content)))
        file.write(encoded[_HEADER:])


def _text(finding: Finding, target: str) -> dict[str, str]:
    placement = finding.placement
    done = ["mirrored"] * bool(placement and placement.mirrored)
    done += [f"turned clockwise by {placement.turned} degrees"] if placement and placement.turned else []
    return {
        "Title": f"Evidence for {target}",
        "Source": finding.file,
        "Placement": "the image as it was analysed" + (": " + ", then ".join(done) if done else ""),
        "Class": target,
        "Model": finding.model,
        "Software": "lungsight",
        "Disclaimer": RESEARCH_ONLY,
    }
