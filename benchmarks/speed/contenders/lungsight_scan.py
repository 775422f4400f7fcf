"""lungsight: reading alone, and scanning as ``lungsight scan`` does it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from contenders import Task
from lungsight._cores import cores
from lungsight.components.runtime import AUTO
from lungsight.inference import Detector, Finding, Status
from lungsight.package import ModelPackage, find_package
from lungsight.reading import ImageFile, read_radiograph, walk_images
from lungsight.scanning.outputs import OutputPaths, Outputs
from lungsight.scanning.scan import scan_and_finish


def read() -> Task:
    """Files to radiographs, one after the other in one thread."""

    def task(files: list[Path]) -> int:
        return sum(read_radiograph(ImageFile.at(file)).pixels.size > 0 for file in files)

    return task


def find(package: str, batch_size: int, runtime: str = AUTO, threads: int = 0) -> Task:
    """Probabilities, and the evidence on the image's own grid as an array."""
    detector = Detector.load(find_package(package), 1, runtime=runtime)

    def drawn(finding: Finding) -> bool:
        assert finding.status is Status.READ, finding.reasons
        return finding.heatmap().size > 0

    def task(files: list[Path]) -> int:
        found = scan_and_finish(walk_images(files), detector, drawn, batch_size=batch_size, threads=threads or None)
        return sum(found)

    return task


def find_and_write(package: str, batch_size: int) -> Task:
    """The same with the 16-bit heatmap PNG and the JSON line of every image, as the command leaves them."""
    detector = Detector.load(find_package(package), 1)

    def task(files: list[Path]) -> int:
        folder = Path(mkdtemp(prefix="lungsight-outputs-"))
        outputs = Outputs(OutputPaths(json=folder / "f.jsonl", heatmaps=folder / "heat"), detector)
        done = 0
        for drawn in scan_and_finish(walk_images(files), detector, outputs.drawing.draw, batch_size=batch_size):
            outputs.add(drawn)
            done += "heatmap" in drawn.pictures
        outputs.close(complete=True)
        return done

    return task


def networks(package: str, runtime: str = AUTO) -> Task:
    """The package's networks alone, on noise, as many at a time as there are cores: what the rest is added to."""
    opened = ModelPackage.open(find_package(package))
    calls: list[Callable[[], Any]] = []
    noise = np.random.default_rng(0)
    side = opened.description.preprocessing.image_size
    network, pixels = opened.network(1, runtime=runtime), noise.random((1, 1, side, side), dtype=np.float32)
    calls.append(lambda: network.run(pixels))
    if (lung_fields := opened.lung_fields(1, runtime=runtime)) is not None:
        of_lungs = noise.random((1, 1, *[lung_fields.description.image_size] * 2), dtype=np.float32)
        calls.append(lambda: lung_fields.network.run(("lungs",), of_lungs))
    if (gate := opened.gate(1, runtime=runtime)) is not None:
        of_gate = noise.random((1, 1, *[gate.description.image_size] * 2), dtype=np.float32)
        calls.append(lambda: gate.network.run(("kinds", "turns", "signs", "distance"), of_gate))

    def one(_: Path) -> int:
        for call in calls:
            call()
        return 1

    def task(files: list[Path]) -> int:
        with ThreadPoolExecutor(cores()) as threads:
            return sum(threads.map(one, files))

    return task
