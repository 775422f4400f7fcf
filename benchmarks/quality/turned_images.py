"""How many films that lie on their side or on their head are put upright, and what the model then says of them.

    python benchmarks/quality/turned_images.py siim=../shared/data/siim/train nih=../shared/data/nih ieee8023=list.txt

Each argument is a name and a folder of upright frontal films, or a text file that lists them. Of each source
``--most`` are taken, evenly through the list; each is shown as it is and turned by 90, 180 and 270 degrees. The
changes are of the target's probability against that of the same film upright: put right, and judged as it lies.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from lungsight.inference import Detector
from lungsight.inference.preparation import ImageChecker
from lungsight.package import ModelPackage, find_package
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph

_ANGLES = (0, 90, 180, 270)
_COLUMNS = ["source", "angle", "n", "upright", "low", "high", "turned_wrongly", "refused"]
_COLUMNS += ["median_change", "largest_change", "median_as_it_lay", "largest_as_it_lay"]


def films_of(place: Path, most: int) -> list[Path]:
    if place.is_file():
        films = [place.parent / line for line in place.read_text("utf-8").split()]
    else:
        films = sorted(path for path in place.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".dcm"))
    return films[:: max(1, len(films) // most)][:most]


def shown(radiograph: Radiograph, angle: int) -> Radiograph:
    """The film turned counter-clockwise, so that it must be turned clockwise by ``angle`` to stand upright."""
    pixels = np.ascontiguousarray(np.rot90(radiograph.pixels, angle // 90))
    return replace(radiograph, pixels=pixels, file_shape=None)


class Asked(NamedTuple):
    """By how much a film was turned back (None: refused), and the target's probability: then, and as it lay."""

    turned: int | None
    probability: float
    as_it_lay: float


def asked(detector: Detector, blind: Detector, film: Path) -> list[Asked]:
    """Of each angle; ``blind`` is the same model without its gate, so it turns nothing."""
    return [_asked(detector, blind, shown(read_radiograph(film), angle)) for angle in _ANGLES]


def _asked(detector: Detector, blind: Detector, radiograph: Radiograph) -> Asked:
    checked = detector.check_input(radiograph)
    target = detector.description.target
    righted, lying = (
        one.analyse_checked([what])[0].probabilities[target]
        for one, what in ((detector, checked), (blind, blind.check_with_networks(radiograph)))
    )
    return Asked(None if checked.refusals else checked.radiograph.turned, righted, lying)


def rows(name: str, answers: list[list[Asked]]) -> Iterator[list[object]]:
    for number, angle in enumerate(_ANGLES):
        of_angle = [answer[number] for answer in answers]
        right = sum(one.turned == angle for one in of_angle)
        interval = binomtest(right, len(answers)).proportion_ci(method="wilson")
        changes = [
            (abs(one.probability - upright.probability), abs(one.as_it_lay - upright.probability))
            for one, (upright, *_) in zip(of_angle, answers, strict=True)
            if None not in (one.turned, upright.turned)
        ]
        yield [
            *(name, angle, len(answers), right, *(round(share, 3) for share in interval)),
            sum(one.turned not in (angle, None) for one in of_angle),
            sum(one.turned is None for one in of_angle),
            *(round(f(column), 3) for column in zip(*changes, strict=True) for f in (median, max)),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="NAME=PLACE")
    parser.add_argument("--model", default="released")
    parser.add_argument("--most", type=int, default=150)
    arguments = parser.parse_args()
    package = find_package(arguments.model)
    detector, opened = Detector.load(package, 1), ModelPackage.open(package)
    blind = Detector(opened, opened.network(1), ImageChecker(opened.lung_fields(1)))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(_COLUMNS)
    for source in arguments.sources:
        name, _, place = source.partition("=")
        films = films_of(Path(place), arguments.most)
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda film: asked(detector, blind, film), films))
        table.writerows(rows(name, answers))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
