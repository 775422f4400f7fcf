"""Scanning from Python.

>>> scanner = Scanner("package")                           # doctest: +SKIP
>>> scanner.scan("image.dcm").decision
'no_pneumonia'
>>> for finding in scanner.scan_many(["wards/", "study.zip"]):
...     print(finding.file, finding.decision, finding.probabilities)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungsight._cores import cores
from lungsight.components.runtime import AUTO
from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding
from lungsight.package import ModelPackage, find_package
from lungsight.package.bundled import DEFAULT
from lungsight.radiograph import Radiograph
from lungsight.reading import ImageFile
from lungsight.reading.remote import RemoteFile, is_url
from lungsight.scanning.scan import BATCH_SIZE, scan, scan_found, scan_radiograph

Image = Path | str | ImageFile | RemoteFile | Radiograph | NDArray[np.float32]


class Scanner:
    """A model, ready to scan X-rays. Safe to call from several threads.

    Args:
        package: a package, its folder or zip, or the name of a bundled one.
        threads: cores to use; 0: all.
        runtime: what runs the networks (:func:`lungsight.components.runtime.runtimes`), or the quickest.
        keep_identifiers: findings carry the patient's ID, if the file has one.

    Raises:
        PackageError: the package is incomplete, altered, or can't be used.
        LungsightError: this machine has no such runtime.
        ValueError: ``threads`` is negative.
    """

    def __init__(
        self,
        package: ModelPackage | Path | str = DEFAULT,
        *,
        threads: int = 0,
        runtime: str = AUTO,
        keep_identifiers: bool = False,
    ) -> None:
        if threads < 0:
            raise ValueError(f"threads must be 0 or more, not {threads}")
        opened = package if isinstance(package, ModelPackage) else find_package(package)
        self.detector = Detector.load(opened, threads=1, runtime=runtime, keep_identifiers=keep_identifiers)
        self._threads = min(threads or cores(), cores())

    @property
    def model(self) -> str:
        """The model's name and the first twelve digits of its sha256, as findings give it."""
        return self.detector.model

    def scan(self, image: Image) -> Finding:
        """The finding of one image; what can't be read gives a finding with the status ``error``.

        Args:
            image: a file, a URL, a radiograph, or pixels, float32 [height, width] in 0…1, bright where the body is
                dense.

        Returns:
            The finding, which holds the image's pixels, for a notebook to show.
        """
        if isinstance(image, np.ndarray):
            image = _radiograph_of(image)
        if isinstance(image, Radiograph):
            return scan_radiograph(image, self.detector)
        return next(scan_found([_file_of(image)], self.detector, threads=1, keep_images=True))

    def scan_many(
        self, paths: Iterable[Path | str] | Path | str, *, batch_size: int = BATCH_SIZE, keep_images: bool = False
    ) -> Iterator[Finding]:
        """A finding for every image that is named, in their order, as they come.

        Args:
            paths: files, folders, zip archives, URLs and Parquet lists.
            batch_size: the most images that go through a GPU together.
            keep_images: findings hold their image's pixels, which take megabytes each.
        """
        return scan(paths, self.detector, batch_size=batch_size, threads=self._threads, keep_images=keep_images)


def _file_of(image: Path | str | ImageFile | RemoteFile) -> ImageFile | RemoteFile:
    if isinstance(image, str) and is_url(image):
        return RemoteFile(image)
    return ImageFile.at(image) if isinstance(image, Path | str) else image


def _radiograph_of(pixels: NDArray[np.float32]) -> Radiograph:
    copied = np.array(pixels, dtype=np.float32)
    return Radiograph(copied, file="pixels", sha256=hashlib.sha256(copied.tobytes()).hexdigest())
