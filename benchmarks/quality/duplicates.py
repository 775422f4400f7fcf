"""How many copies `lungsight data check` finds, hidden among real collections, and how long it takes.

    python benchmarks/quality/duplicates.py all.csv --out docs/results/duplicates.csv

Each kind of change is made to its own random images, so that a copy has only its original to be found by; the copies
go among all images of the manifest and everything is compared with everything. Figures only: no image, no path.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from PIL import Image, ImageDraw, ImageOps
from scipy.stats import binomtest

from lungsight.datasets.duplicates.fingerprints import fingerprint_manifest
from lungsight.datasets.duplicates.search import DuplicatePair, find_duplicates
from lungsight.datasets.manifest import Manifest
from lungsight.reading import read_radiograph

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).copy()


def _resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def _cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height)))


def _darkened(image: Image.Image, gamma: float) -> Image.Image:
    return image.point(lambda grey: round(255 * (grey / 255) ** gamma))


def _lettered(image: Image.Image) -> Image.Image:
    marked = image.copy()
    pen = ImageDraw.Draw(marked)
    pen.text((image.width * 0.05, image.height * 0.04), "R  PORTABLE AP", fill=255, font_size=image.height / 18)
    pen.line([(image.width * 0.7, image.height * 0.6), (image.width * 0.6, image.height * 0.5)], fill=255, width=4)
    return marked


def _unevenly(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _cropped(image, *rng.uniform(0.0, 0.25, 4))


CHANGES: dict[str, Change] = {
    "re-encoded (JPEG quality 60)": lambda image, rng: _jpeg(image, 60),
    "re-encoded (JPEG quality 30)": lambda image, rng: _jpeg(image, 30),
    "half the size": lambda image, rng: _jpeg(_resized(image, 0.5), 80),
    "gamma 0.67": lambda image, rng: _jpeg(_darkened(image, 0.67), 80),
    "gamma 1.5": lambda image, rng: _jpeg(_darkened(image, 1.5), 80),
    "letters and an arrow": lambda image, rng: _jpeg(_lettered(image), 80),
    "white frame": lambda image, rng: _jpeg(ImageOps.expand(image, image.width // 12, 255), 80),
    "mirrored": lambda image, rng: _jpeg(ImageOps.mirror(image), 80),
    **{
        f"cropped by {share}% on every side": lambda image, rng, share=share: _jpeg(
            _cropped(image, *[share / 100] * 4), 80
        )
        for share in (5, 10, 15, 20, 25)
    },
    "cropped by 0 to 25% on each side": lambda image, rng: _jpeg(_unevenly(image, rng), 80),
    "mirrored and cropped by 0 to 25%": lambda image, rng: _jpeg(ImageOps.mirror(_unevenly(image, rng)), 80),
}


def main(
    manifest_file: Annotated[Path, typer.Argument(metavar="MANIFEST")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    copies: Annotated[int, typer.Option(help="Images that each change is made to.")] = 100,
    seed: int = 1,
) -> None:
    """Hide copies among the images of MANIFEST and count those that are found."""
    manifest = Manifest.read(manifest_file)
    with tempfile.TemporaryDirectory() as folder:
        hidden = _hide(manifest, copies, np.random.default_rng(seed), Path(folder))
        joined = Manifest.joined([manifest, Manifest.of(hidden[["path", "label"]], "copies")])
        started = time.perf_counter()
        fingerprints = fingerprint_manifest(joined, cache=Path(folder))
        read = time.perf_counter()
        pairs = find_duplicates(fingerprints)
        compared = time.perf_counter()
    table = _recall(hidden, len(manifest), pairs)
    table.to_csv(out, index=False)
    typer.echo(table.to_string(index=False))
    typer.echo(f"{len(joined)} images: read in {read - started:.0f} s, compared in {compared - read:.0f} s")


def _hide(manifest: Manifest, copies: int, rng: np.random.Generator, folder: Path) -> pd.DataFrame:
    """Make the copies; one row each: original (a row of the manifest), change, path, label."""
    chosen = rng.permutation(len(manifest))[: copies * len(CHANGES)]
    rows = []
    for number, original in enumerate(chosen):
        change = list(CHANGES)[number % len(CHANGES)]
        pixels = read_radiograph(manifest.table["path"][original]).pixels
        copy = CHANGES[change](Image.fromarray(np.round(pixels * 255).astype(np.uint8)), rng)
        path = folder / f"{number:05}.png"
        copy.save(path)
        rows.append({"original": int(original), "change": change, "path": str(path), "label": "copy"})
    return pd.DataFrame(rows)


def _recall(hidden: pd.DataFrame, first_copy: int, pairs: list[DuplicatePair]) -> pd.DataFrame:
    """Of each change, how many copies were paired with their original; exact 95% intervals (Clopper-Pearson)."""
    paired = {(pair.first, pair.second) for pair in pairs}
    found = [(original, first_copy + number) in paired for number, original in enumerate(hidden["original"])]
    rows = []
    for change, group in hidden.assign(found=found).groupby("change", sort=False)["found"]:
        interval = binomtest(int(group.sum()), len(group)).proportion_ci()
        share, low, high = (round(float(value), 3) for value in (group.mean(), interval.low, interval.high))
        rows.append(
            {"change": change, "n": len(group), "found": int(group.sum()), "recall": share, "low": low, "high": high}
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    typer.run(main)
