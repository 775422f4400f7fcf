"""Many files through one detector: reading, predicting and drawing overlap; findings come in the order of the files.

Reading threads also find the lungs and run the input gate. On processors each image goes through the network on one
core, as many at a time as there are cores; on a GPU the images that wait go through together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lungsight._cores import cores
from lungsight.errors import UnreadableImageError
from lungsight.inference.detector import Detector
from lungsight.inference.finding import REFUSED, Finding, Status, known_of
from lungsight.inference.preparation import CheckedImage
from lungsight.radiograph import Radiograph
from lungsight.reading import ImageFile
from lungsight.scanning.pipeline import Stage, through
from lungsight.scanning.sources import Found, find_images, name_of

T = TypeVar("T")

BATCH_SIZE = 4


@dataclass(frozen=True, slots=True, eq=False)
class _Checked:
    """An image that waits for the network, and the seconds it took so far."""

    checked: CheckedImage
    prepared: NDArray[np.float32]
    seconds: float
    arrived: datetime | None = None


def scan(
    paths: Iterable[Path | str] | Path | str,
    detector: Detector,
    *,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
    keep_images: bool = False,
) -> Iterator[Finding]:
    """A finding for every image that ``paths`` name (:func:`find_images`), in their order.

    A file that can't be read gives a finding too, and never stops the others. At most ``2 * threads + batch_size``
    images are in memory at a time.

    Args:
        paths: what to scan.
        detector: the model at work.
        batch_size: the most images that go through the network together.
        threads: that read, predict and draw (default: one per core).
        keep_images: findings hold their image's pixels, which take megabytes each.
    """
    return scan_found(find_images(paths), detector, batch_size=batch_size, threads=threads, keep_images=keep_images)


def scan_found(
    found: Iterable[Found],
    detector: Detector,
    *,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
    keep_images: bool = False,
) -> Iterator[Finding]:
    """As :func:`scan`, for files that have been found already."""
    finish = (lambda finding: finding) if keep_images else _without_pixels
    return scan_and_finish(found, detector, finish, batch_size=batch_size, threads=threads)


def scan_and_finish(
    found: Iterable[Found],
    detector: Detector,
    finish: Callable[[Finding], T],
    *,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
) -> Generator[T]:
    """As :func:`scan_found`, and what ``finish`` makes of each finding that holds its image, in threads as well."""
    count = cores() if threads is None else threads
    if count < 1:
        raise ValueError(f"threads must be 1 or more, not {count}")
    predicting = 1 if detector.takes_batches else count
    stages = (
        Stage("reading", lambda files: [_read(file, detector) for file in files], count),
        Stage("predicting", lambda batch: list(_findings(batch, detector)), predicting, batch_size),
        Stage("finishing", lambda findings: [finish(finding) for finding in findings], count),
    )
    return through(stages, found, 2 * count + batch_size)


def scan_radiograph(radiograph: Radiograph, detector: Detector) -> Finding:
    """The finding of one image, which it holds."""
    return next(_findings([_checked(radiograph, detector, time.perf_counter())], detector))


def _without_pixels(finding: Finding) -> Finding:
    return replace(finding, radiograph=None)


def _read(found: Found, detector: Detector) -> Finding | _Checked:
    started = time.perf_counter()
    arrived = (ImageFile.at(found.subject) if isinstance(found, UnreadableImageError) else found).arrived()
    try:
        if isinstance(found, UnreadableImageError):
            raise found
        radiograph = detector.read(found)
    except UnreadableImageError as problem:
        return Finding(
            name_of(found),
            Status.ERROR,
            None,
            arrived=arrived,
            reasons=(str(problem),),
            model=detector.model,
            model_grade=detector.grade,
            seconds=time.perf_counter() - started,
        )
    return replace(_checked(radiograph, detector, started), arrived=arrived)


def _checked(radiograph: Radiograph, detector: Detector, started: float) -> Finding | _Checked:
    checked = detector.check_input(radiograph)
    if not checked.refusals:
        return _Checked(checked, detector.prepare_checked(checked), time.perf_counter() - started)
    return Finding(
        radiograph.file,
        Status.REFUSED,
        REFUSED,
        lungs=checked.lungs,
        **known_of(checked.radiograph),
        inverted=checked.inverted,
        refused_by=checked.refused_by,
        radiograph=checked.radiograph,
        reasons=checked.refusals,
        warnings=(*radiograph.warnings, *checked.warnings),
        model=detector.model,
        model_grade=detector.grade,
        seconds=time.perf_counter() - started,
    )


def _findings(batch: list[Finding | _Checked], detector: Detector) -> Iterator[Finding]:
    waiting = [one for one in batch if isinstance(one, _Checked)]
    analysed = iter(detector.analyse_checked([one.checked for one in waiting], [one.prepared for one in waiting]))
    for one in batch:
        if isinstance(one, Finding):
            yield one
        else:
            finding = next(analysed)
            yield replace(finding, seconds=finding.seconds + one.seconds, arrived=one.arrived)
