"""Many files through one detector: reading, judging and drawing overlap, and findings come in the order of the files.

Reading threads also find the lungs and ask the gate. On processors each image goes through the network on one core,
as many at a time as there are cores; on a GPU the images that wait go through together.
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
class _Admitted:
    """A radiograph that waits for the network, and the seconds it took so far."""

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
) -> Iterator[Finding]:
    """A finding for every image that ``paths`` name (:func:`find_images`), in their order.

    A file that can't be read gives a finding too, and never stops the others. At most ``2 * threads + batch_size``
    images are in memory at a time.

    Args:
        paths: what to scan.
        detector: who judges.
        batch_size: the most images that go through the network together.
        threads: that read, judge and draw images (default: one a core).
    """
    return scan_found(find_images(paths), detector, batch_size=batch_size, threads=threads)


def scan_found(
    found: Iterable[Found], detector: Detector, *, batch_size: int = BATCH_SIZE, threads: int | None = None
) -> Iterator[Finding]:
    """As :func:`scan`, of files that have been found already."""
    return scan_and_finish(found, detector, lambda finding: finding, batch_size=batch_size, threads=threads)


def scan_and_finish(
    found: Iterable[Found],
    detector: Detector,
    finish: Callable[[Finding], T],
    *,
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
) -> Generator[T]:
    """As :func:`scan_found`, and what ``finish`` makes of each finding, in threads as well: drawing, compressing."""
    count = cores() if threads is None else threads
    if count < 1:
        raise ValueError(f"threads must be 1 or more, not {count}")
    judging = 1 if detector.takes_batches else count
    stages = (
        Stage("reading", lambda files: [_read(file, detector) for file in files], count),
        Stage("judging", lambda batch: list(_judged(batch, detector)), judging, batch_size),
        Stage("finishing", lambda findings: [finish(finding) for finding in findings], count),
    )
    return through(stages, found, 2 * count + batch_size)


def _read(found: Found, detector: Detector) -> Finding | _Admitted:
    started = time.perf_counter()
    try:
        if isinstance(found, UnreadableImageError):
            raise found
        radiograph = detector.read(found)
    except UnreadableImageError as problem:
        seconds = time.perf_counter() - started
        name, arrived, reasons = name_of(found), _arrived(found), (str(problem),)
        return Finding(
            name,
            Status.ERROR,
            None,
            arrived=arrived,
            reasons=reasons,
            model=detector.model,
            model_grade=detector.grade,
            seconds=seconds,
        )
    return replace(_examined(radiograph, detector, started), arrived=_arrived(found))


def _arrived(found: Found) -> datetime | None:
    return (ImageFile.at(found.subject) if isinstance(found, UnreadableImageError) else found).arrived()


def scan_radiograph(radiograph: Radiograph, detector: Detector) -> Finding:
    """The finding of one radiograph, unless it is refused."""
    return next(_judged([_examined(radiograph, detector, time.perf_counter())], detector))


def _examined(radiograph: Radiograph, detector: Detector, started: float) -> Finding | _Admitted:
    checked = detector.check_input(radiograph)
    if checked.refusals:
        return Finding(
            radiograph.file,
            Status.REFUSED,
            REFUSED,
            lungs=checked.lungs,
            **known_of(checked.radiograph),
            refused_by=checked.refused_by,
            radiograph=checked.radiograph,
            reasons=checked.refusals,
            warnings=(*radiograph.warnings, *checked.warnings),
            model=detector.model,
            model_grade=detector.grade,
            seconds=time.perf_counter() - started,
        )
    prepared = detector.prepare_checked(checked)
    return _Admitted(checked, prepared, time.perf_counter() - started)


def _judged(batch: list[Finding | _Admitted], detector: Detector) -> Iterator[Finding]:
    admitted = [one for one in batch if isinstance(one, _Admitted)]
    testset = iter(detector.analyse_checked([one.checked for one in admitted], [one.prepared for one in admitted]))
    for one in batch:
        if isinstance(one, Finding):
            yield one
        else:
            finding = next(testset)
            yield replace(finding, seconds=finding.seconds + one.seconds, arrived=one.arrived)
