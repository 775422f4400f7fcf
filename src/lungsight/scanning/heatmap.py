"""Heatmaps as files: the positive evidence for the target class, pixel by pixel of the radiograph."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lungsight import RESEARCH_ONLY
from lungsight.scanning.detector import Detector
from lungsight.scanning.finding import Finding

FULL_SCALE = 65535


class HeatmapFolder:
    """A folder that takes one heatmap for each finding, under names that are unique and safe on any system."""

    def __init__(self, folder: Path, detector: Detector) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._detector = detector
        self._names: set[str] = set()

    def add(self, finding: Finding) -> Path | None:
        """Write the heatmap of ``finding``; None where there is none, because it was not judged."""
        if finding.evidence is None:
            return None
        path = self._folder / self._name_for(finding.file)
        write_heatmap(path, finding, self._detector)
        return path

    def _name_for(self, file: str) -> str:
        """The file's stem, made safe, and a digest of its whole name; the same file gets the same name next time."""
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(file).stem).strip("_")[:60] or "image"
        name = f"{stem}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"
        unique, count = name, 1
        while unique in self._names:  # names that aren't UTF-8 can read the same and be two files
            count += 1
            unique = f"{name}-{count}"
        self._names.add(unique)
        return f"{unique}.png"


def write_heatmap(path: Path, finding: Finding, detector: Detector) -> None:
    """Write a 16-bit greyscale PNG on the radiograph's own grid.

    A pixel is the evidence for the target class there, 0 where there is none or where it speaks against; linear, so
    that 65535 is the image's strongest. The PNG's text says how many logits that is.
    """
    radiograph = finding.radiograph
    if radiograph is None:
        raise ValueError(f"{finding.file} was not judged")
    evidence = np.maximum(detector.evidence_on(finding, radiograph.height, radiograph.width), 0)
    strongest = float(evidence.max())
    grey = np.rint(evidence * (FULL_SCALE / strongest)) if strongest > 0 else evidence
    text = PngInfo()
    for keyword, value in _text(finding, detector, strongest).items():
        text.add_itxt(keyword, value)
    partial = path.with_name(path.name + ".part")
    try:
        Image.fromarray(grey.astype(np.uint16)).save(partial, format="PNG", pnginfo=text, compress_level=1)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _text(finding: Finding, detector: Detector, strongest: float) -> dict[str, str]:
    return {
        "Title": f"Evidence for {detector.description.target}",
        "Source": finding.file,
        "Class": detector.description.target,
        "Logits per 65535": f"{strongest:.6g}",
        "Model": finding.model,
        "Software": "lungsight",
        "Disclaimer": RESEARCH_ONLY,
    }
