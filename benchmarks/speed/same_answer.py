"""How far the answer to an image moves with what should not matter: the runtime, threads, batches and order, on real
images; and whether it was made smaller while it was decoded or afterwards, on phantoms.

    python benchmarks/speed/same_answer.py all.csv --out docs/results/same_answer.csv
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from scipy.stats import binomtest

from image_formats import draw_images
from lungsight.components.runtime import runtimes
from lungsight.inference import Detector, Finding
from lungsight.package import find_package
from lungsight.reading import read_radiograph
from lungsight.scanning import scan
from lungsight.scanning.scan import scan_radiograph

_KINDS = ("JPEG, 2000 px", "DICOM, 2000 px, uncompressed")


@dataclass(frozen=True)
class Row:
    """How far any class's probability moved, among ``n`` images; and how many verdicts became another, with the 95%
    Wilson interval of their share."""

    what: str
    n: int
    median: float
    largest: float
    changed: int
    low: float
    high: float

    @classmethod
    def of(cls, what: str, plain: Mapping[str, Finding], other: Mapping[str, Finding]) -> Row:
        moved = [
            max(abs(one.probabilities[name] - other[file].probabilities[name]) for name in one.probabilities)
            for file, one in plain.items()
            if one.probabilities and other[file].probabilities
        ]
        changed = sum(one.decision != other[file].decision for file, one in plain.items())
        share = binomtest(changed, len(plain)).proportion_ci(method="wilson")
        figures = (float(f"{value:.3g}") for value in (np.median(moved), max(moved)))
        return cls(what, len(plain), *figures, changed, round(share.low, 4), round(share.high, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--package", default="released")
    parser.add_argument("--images", type=int, default=60, help="of each source")
    parser.add_argument("--phantoms", type=int, default=24, help="of each kind")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    table = pd.read_csv(given.manifest, dtype=str, keep_default_na=False)
    paths = [Path(path) for path in table.groupby("source").path.sample(n=given.images, random_state=3)]
    rows = [*_settings(paths, given.package), *_decoded_small(given.phantoms, given.package)]
    with given.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(map(astuple, rows))


def _settings(paths: Sequence[Path], package: str) -> list[Row]:
    """Against the first runtime with one thread, one image at a time."""
    plain: dict[str, Finding] | None = None
    shuffled = [paths[place] for place in np.random.default_rng(0).permutation(len(paths))]
    rows = []
    for runtime in runtimes():
        detector = Detector.load(find_package(package), 1, runtime=runtime)
        for order, threads, batch in ((paths, 1, 1), (paths, 2, 4), (shuffled, 2, 1)):
            found = {one.file: one for one in scan(order, detector, threads=threads, batch_size=batch)}
            if plain is None:
                plain = found
                continue
            name = f"{runtime}, threads: {threads}, batch: {batch}{', shuffled' * (order is shuffled)}"
            rows.append(Row.of(name, plain, found))
            Console(stderr=True).print(rows[-1])
    return rows


def _decoded_small(count: int, package: str) -> list[Row]:
    """As a scan reads it, against decoded in full and then made smaller."""
    detector = Detector.load(find_package(package), 1)
    rows = []
    for kind in _KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            films = draw_images(kind, Path(scratch) / "films", count)
            whole = {str(film): scan_radiograph(read_radiograph(film), detector) for film in films}
            rows.append(
                Row.of(f"{kind}, small while decoded", whole, {one.file: one for one in scan(films, detector)})
            )
            Console(stderr=True).print(rows[-1])
    return rows


if __name__ == "__main__":
    main()
