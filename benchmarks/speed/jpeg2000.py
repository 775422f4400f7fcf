"""How long a scan of JPEG 2000 takes, beside its decoder alone: in CPU seconds, since other work disturbs them less.

python benchmarks/speed/jpeg2000.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import pydicom
from pydicom.encaps import generate_frames

from image_formats import draw_images
from lungsight import Scanner

ROUNDS, IMAGES = 5, 4


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = draw_images("DICOM, 2000 px, JPEG 2000", Path(folder) / "images", IMAGES)
        streams = [next(generate_frames(pydicom.dcmread(file).PixelData, number_of_frames=1)) for file in files]
        scanner = Scanner()
        scan(scanner, files)  # the first one warms up
        for number in range(1, ROUNDS + 1):
            decoder = seconds(lambda: [imagecodecs.jpeg2k_decode(stream) for stream in streams])
            whole = seconds(lambda: scan(scanner, files))
            print(
                f"round {number}: decoder {decoder:.3f} s an image, scan {whole:.3f} s, ratio {whole / decoder:.2f}"
            )


def scan(scanner: Scanner, files: list[Path]) -> None:
    """Findings with their heatmaps on the images' own pixels."""
    for finding in scanner.scan_many(files):
        finding.heatmap()


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process for an image."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / IMAGES


if __name__ == "__main__":
    main()
