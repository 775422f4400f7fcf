"""lungsight: reading alone, and scanning as ``lungsight scan`` does it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from tempfile import mkdtemp

from contenders import Task
from lungsight.reading import ImageFile, read_radiograph
from lungsight.scanning import Detector, Status
from lungsight.scanning.heatmap import HeatmapFolder
from lungsight.scanning.records import JsonLines
from lungsight.scanning.scan import cores, scan


def read() -> Task:
    """Files to radiographs, one after the other in one thread."""

    def task(files: list[Path]) -> int:
        return sum(read_radiograph(ImageFile.at(file)).pixels.size > 0 for file in files)

    return task


def find(package: str, batch_size: int) -> Task:
    """Probabilities, and the evidence on the image's own grid as an array."""
    detector = Detector.load(Path(package), cores())

    def task(files: list[Path]) -> int:
        done = 0
        for finding in scan(files, detector, batch_size=batch_size):
            assert finding.status is Status.READ, finding.reasons
            assert finding.radiograph is not None
            evidence = detector.evidence_on(finding, finding.radiograph.height, finding.radiograph.width)
            done += evidence.size > 0
        return done

    return task


def find_and_write(package: str, batch_size: int) -> Task:
    """The same with the 16-bit heatmap PNG and the JSON line of every image, as the command leaves them."""
    detector = Detector.load(Path(package), cores())
    folder = Path(mkdtemp(prefix="lungsight-heatmaps-"))

    def task(files: list[Path]) -> int:
        heatmaps, lines = HeatmapFolder(folder, detector), JsonLines(StringIO())
        done = 0
        for finding in scan(files, detector, batch_size=batch_size):
            path = heatmaps.add(finding)
            assert path is not None, finding.reasons
            lines.add(finding, str(path))
            done += 1
        return done

    return task
