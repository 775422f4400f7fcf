"""How many altered copies of training images a test finds by their perceptual hashes, and how often it is wrong.

    lungsight data check all.csv --pairs pairs.csv
    python benchmarks/quality/overlap.py all.csv --pairs pairs.csv --out docs/results/overlap.csv

Recall: random images are changed, and the copy is compared with its original. False alarms: every image of the
manifest is compared with every image of other patients, where patients with films that `lungsight data check` finds
to be the same count as one. Phantoms, which share one anatomy, are counted apart. Figures only: no image, no path.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binomtest

from duplicates import CHANGES, Change, _cropped, _jpeg
from lungsight.datasets.duplicates.fingerprint import Thumbnail, thumbnail_of
from lungsight.datasets.duplicates.fingerprints import Fingerprints, fingerprint_manifest
from lungsight.datasets.duplicates.perceptual_hash import BITS, as_bits, distances, perceptual_hashes
from lungsight.datasets.duplicates.search import DuplicatePair, Kind
from lungsight.datasets.leakage import leak_groups
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import write_collection
from lungsight.evaluation.testset.overlap import ALIKE
from lungsight.reading import read_radiograph

THRESHOLDS = (28, 32, 36, 40, ALIKE, 48, 52, 56)
SMALL_CHANGES: dict[str, Change] = {
    "cropped by 1% on every side": lambda image, rng: _jpeg(_cropped(image, *[0.01] * 4), 80),
    "cropped by 2% on every side": lambda image, rng: _jpeg(_cropped(image, *[0.02] * 4), 80),
    "cropped by 3% on every side": lambda image, rng: _jpeg(_cropped(image, *[0.03] * 4), 80),
    "rotated by 2 degrees": lambda image, rng: _jpeg(image.rotate(2, Image.Resampling.BILINEAR), 80),
}
_BLOCK = 512
Distances = NDArray[np.int64]


def main(
    manifest_file: Annotated[Path, typer.Argument(metavar="MANIFEST")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    pairs_file: Annotated[Path, typer.Option("--pairs", help="What `lungsight data check MANIFEST --pairs` wrote.")],
    copies: Annotated[int, typer.Option(help="Images that each change is made to.")] = 100,
    phantoms: Annotated[int, typer.Option(help="Patients of the phantom collection.")] = 300,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    seed: int = 1,
) -> None:
    """Measure recall on altered copies of MANIFEST's images, and false alarms between its patients."""
    manifest = Manifest.read(manifest_file)
    fingerprints = fingerprint_manifest(manifest, workers=workers)
    pairs = _pairs(manifest, pairs_file)
    rows = [*_recall(manifest, copies, np.random.default_rng(seed))]
    for kind in (Kind.REENCODED, Kind.MIRRORED, Kind.CROPPED):
        of_kind = np.array([(pair.first, pair.second) for pair in pairs if pair.kind == kind])
        apart = _between(fingerprints.thumbnails[of_kind[:, 0]], fingerprints.thumbnails[of_kind[:, 1]])
        rows += _shares("pair in the collections", kind, apart)
    rows += _shares("false alarm", "real images", _to_other_patients(fingerprints, leak_groups(manifest, pairs)))
    with tempfile.TemporaryDirectory() as folder:
        drawn = write_collection(folder, patients=phantoms, seed=seed, size=256, workers=workers)
        apart = _to_other_patients(
            fingerprint_manifest(drawn, cache=Path(folder), workers=workers), drawn.patient_key
        )
        rows += _shares("false alarm", "phantoms", apart)
    table = pd.DataFrame(rows)
    table.to_csv(out, index=False)
    typer.echo(table[table["threshold"] == ALIKE].to_string(index=False))


def _pairs(manifest: Manifest, file: Path) -> list[DuplicatePair]:
    rows = {str(path): row for row, path in enumerate(manifest.table["path"])}
    table = pd.read_csv(file)
    return [
        DuplicatePair(*sorted((rows[one], rows[other])), Kind(kind), 1.0)
        for one, other, kind in table[["first_path", "second_path", "kind"]].to_numpy(dtype=str)
    ]


def _recall(manifest: Manifest, copies: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    changes = CHANGES | SMALL_CHANGES
    chosen = iter(rng.permutation(len(manifest))[: copies * len(changes)])
    for name, change in changes.items():
        pairs = [_with_copy(manifest.table["path"][next(chosen)], change, rng) for _ in range(copies)]
        originals, altered = (np.stack(side) for side in zip(*pairs, strict=True))
        yield from _shares("altered copy", name, _between(originals, altered))


def _with_copy(path: str, change: Change, rng: np.random.Generator) -> tuple[Thumbnail, Thumbnail]:
    pixels = read_radiograph(path).pixels
    copy = change(Image.fromarray(np.round(pixels * 255).astype(np.uint8)), rng).convert("L")
    return thumbnail_of(pixels), thumbnail_of(np.asarray(copy, dtype=np.float32) / 255)


def _between(one: Thumbnail, other: Thumbnail) -> Distances:
    """int [n]: the bits that differ between the images of each pair, as they are or one of them mirrored."""
    known = as_bits(perceptual_hashes(one))
    ways = [as_bits(perceptual_hashes(other, mirrored=mirrored)) for mirrored in (False, True)]
    return np.min(
        [[distances(a[None], b[None])[0, 0] for a, b in zip(known, way, strict=True)] for way in ways], axis=0
    )


def _to_other_patients(fingerprints: Fingerprints, groups: NDArray[np.int_] | pd.Series) -> Distances:
    """int [n]: the bits that differ from the closest image of another patient."""
    hashes = perceptual_hashes(fingerprints.thumbnails)
    usable = [i for i, digits in enumerate(hashes) if digits]
    known = as_bits([hashes[i] for i in usable])
    mirrored = as_bits(perceptual_hashes(fingerprints.thumbnails[usable], mirrored=True))
    patient = np.asarray(groups)[usable]
    closest = []
    for start in range(0, len(usable), _BLOCK):
        block = slice(start, start + _BLOCK)
        apart = np.minimum(distances(known[block], known), distances(mirrored[block], known))
        apart[patient[block][:, None] == patient[None, :]] = BITS
        closest.append(apart.min(axis=1))
    return np.concatenate(closest)


def _shares(what: str, of: str, apart: Distances) -> Iterator[dict[str, object]]:
    """At each threshold, how many images count as the same; exact 95% intervals (Clopper-Pearson)."""
    for threshold in THRESHOLDS:
        found = int((apart <= threshold).sum())
        interval = binomtest(found, len(apart)).proportion_ci()
        shares = {"share": found / len(apart), "low": interval.low, "high": interval.high}
        rounded = {name: round(float(value), 4) for name, value in shares.items()}
        yield {"what": what, "of": of, "threshold": threshold, "n": len(apart), "found": found, **rounded}


if __name__ == "__main__":
    typer.run(main)
