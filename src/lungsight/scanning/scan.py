"""Many files through one detector: read ahead in threads, judged in small batches, in the order they were found.

The reading threads also find the lungs and ask the gate; the detector's network alone works on batches.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungsight.faults import UnreadableImage
from lungsight.reading import ImageFile, read_radiograph, walk_images
from lungsight.scanning.detector import Detector
from lungsight.scanning.examination import Examined
from lungsight.scanning.finding import REFUSED, Finding, Status

Found = ImageFile | UnreadableImage

BATCH_SIZE = 4


@dataclass(frozen=True, slots=True, eq=False)
class _Admitted:
    """A radiograph that waits for the network, and the seconds it took so far."""

    examined: Examined
    prepared: NDArray[np.float32]
    seconds: float


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scan(
    paths: Iterable[Path | str], detector: Detector, *, batch_size: int = BATCH_SIZE, threads: int | None = None
) -> Iterator[Finding]:
    """A finding for every image that ``paths`` (files, folders, zips) hold, in the order of ``walk_images``.

    A file that can't be read gives a finding too, and never stops the others. At most ``threads + 2 * batch_size``
    images are in memory at a time.

    Args:
        paths: what to scan.
        detector: who judges.
        batch_size: images that go through the network together.
        threads: that read and resize images (default: one a core).
    """
    return scan_found(walk_images(paths), detector, batch_size=batch_size, threads=threads)


def scan_found(
    found: Iterable[Found], detector: Detector, *, batch_size: int = BATCH_SIZE, threads: int | None = None
) -> Iterator[Finding]:
    """As :func:`scan`, of files that ``walk_images`` has found already."""
    waiting = _read_ahead(iter(found), detector, batch_size, threads or cores())
    while batch := list(islice(waiting, batch_size)):
        yield from _judged(batch, detector)


def _read_ahead(
    found: Iterator[Found], detector: Detector, batch_size: int, threads: int
) -> Iterator[Finding | _Admitted]:
    readers = ThreadPoolExecutor(threads, thread_name_prefix="reading")
    try:
        pending: deque[Future[Finding | _Admitted]] = deque()
        for file in found:
            pending.append(readers.submit(_read, file, detector))
            if len(pending) >= threads + batch_size:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        readers.shutdown(wait=False, cancel_futures=True)


def _read(found: Found, detector: Detector) -> Finding | _Admitted:
    started = time.perf_counter()
    try:
        if isinstance(found, UnreadableImage):
            raise found
        radiograph = read_radiograph(found)
    except UnreadableImage as fault:
        seconds = time.perf_counter() - started
        name = found.name if isinstance(found, ImageFile) else found.subject
        return Finding(name, Status.ERROR, None, reasons=(str(fault),), model=detector.model, seconds=seconds)
    examined = detector.admit(radiograph)
    if examined.refusals:
        return Finding(
            radiograph.file,
            Status.REFUSED,
            REFUSED,
            lungs=examined.lungs,
            radiograph=examined.radiograph,
            reasons=examined.refusals,
            warnings=(*radiograph.warnings, *examined.warnings),
            model=detector.model,
            seconds=time.perf_counter() - started,
        )
    prepared = detector.prepare_examined(examined)
    return _Admitted(examined, prepared, time.perf_counter() - started)


def _judged(batch: list[Finding | _Admitted], detector: Detector) -> Iterator[Finding]:
    admitted = [one for one in batch if isinstance(one, _Admitted)]
    judged = iter(detector.judge_examined([one.examined for one in admitted], [one.prepared for one in admitted]))
    for one in batch:
        if isinstance(one, Finding):
            yield one
        else:
            finding = next(judged)
            yield replace(finding, seconds=finding.seconds + one.seconds)
