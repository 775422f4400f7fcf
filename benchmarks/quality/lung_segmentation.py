"""How well lungs are found: against masks of a site that was never trained on, and on radiographs without masks.

    python benchmarks/quality/lung_segmentation.py train all.csv --site Shenzhen --out runs/lungs-shenzhen
    python benchmarks/quality/lung_segmentation.py train all.csv --out runs/lungs
    python benchmarks/quality/lung_segmentation.py masks all.csv runs/lungs-shenzhen --site Montgomery --out masks.csv
    python benchmarks/quality/lung_segmentation.py survey all.csv runs/lungs --out survey.csv
    python benchmarks/quality/lung_segmentation.py speed all.csv runs/lungs --out speed.csv

Figures only: no image, no path. `train` without `--site` trains the network that is released.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy import ndimage

from lungsight.components.lung_segmentation import LungSegmentation, LungSegmentationDescription
from lungsight.components.lungs import Box, Lungs
from lungsight.datasets.manifest import Manifest
from lungsight.reading import read_radiograph
from lungsight.statistics.bootstrap import Sample, means
from lungsight.statistics.estimate import Estimate

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Data = Annotated[Path, typer.Argument(help="A manifest.")]
Network = Annotated[Path, typer.Argument(help="The folder of a training: lung_fields.onnx and lung_fields.json.")]
Out = Annotated[Path, typer.Option(help="The CSV to write, or for `train` the folder.")]
Site = Annotated[str, typer.Option(help="Only the images of this site.")]

app = typer.Typer(add_completion=False)


@app.command()
def train(
    data: Data, out: Out, site: Site = "", epochs: int | None = None, seed: int = 1, cache: Path | None = None
) -> None:
    """Train the lung fields, of one site or of all, by the recipe's defaults."""
    from lungsight.training.lung_segmentation import LungSegmentationRecipe, train_lung_segmentation

    recipe = LungSegmentationRecipe() if epochs is None else LungSegmentationRecipe(epochs=epochs)
    train_lung_segmentation(recipe, _images(data, site), out, seed=seed, cache=cache, console=Console())


@app.command()
def masks(data: Data, network: Network, out: Out, site: Site = "") -> None:
    """Dice, IoU and boundary distances on the masks' own grid."""
    manifest = _images(data, site)
    manifest = manifest.where(manifest.table["lung_mask"] != "")
    fields = load(network)
    rows = [_against_mask(fields, row) for row in track(manifest.table.to_dict("records"), description=site)]
    table = pd.DataFrame(rows)
    figures = _figures(manifest, table, {"trained on": _names(fields), "images": site or "all"})
    worst = table["dice"].quantile([0, 0.01, 0.05, 0.5]).round(4).to_dict()
    typer.echo(f"Dice: smallest {worst[0]}, 1% {worst[0.01]}, 5% {worst[0.05]}, median {worst[0.5]}")
    figures.to_csv(out, index=False)
    typer.echo(figures.to_string())


def _against_mask(fields: LungSegmentation, row: dict[str, str]) -> dict[str, float]:
    true = read_radiograph(row["lung_mask"]).pixels > 0.5
    lungs = fields.find(read_radiograph(row["path"]).pixels)
    found = lungs.on(*true.shape)
    shared, size = float((found & true).sum()), float(found.sum() + true.sum())
    mean, far = _boundary_distances(found, true)
    return {
        "dice": 2 * shared / size,
        "iou": shared / (size - shared),
        "mean boundary distance, % of width": mean,
        "95% Hausdorff distance, % of width": far,
        "two plausible lungs": float(not lungs.problems),
        "Dice below 0.90": float(2 * shared / size < 0.9),
    }


def _boundary_distances(found: Mask, true: Mask) -> tuple[float, float]:
    """Mean distance between the two outlines, both ways, and the larger of the two 95th percentiles, in percent of
    the image's width; NaN where nothing was found."""
    if not found.any():
        return float("nan"), float("nan")
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (found, true)]
    away = [ndimage.distance_transform_edt(~edge) for edge in edges]
    there, back = away[1][edges[0]], away[0][edges[1]]
    scale = 100 / true.shape[1]
    far = max(np.percentile(there, 95), np.percentile(back, 95))
    return float((there.mean() + back.mean()) / 2 * scale), float(far * scale)


@app.command()
def survey(data: Data, network: Network, out: Out, margin: float = 0.1, per_image: Path | None = None) -> None:
    """Where there are no masks: how often two plausible lungs are found, and how much of the disease that
    radiologists boxed lies within the box around them, and within their convex hull."""
    manifest = _images(data, "")
    manifest = manifest.where(manifest.is_frontal & manifest.is_projection)
    fields = load(network)
    rows, problems = [], Counter[tuple[str, str]]()
    for row in track(manifest.table.to_dict("records"), description="finding lungs"):
        lungs = fields.find(read_radiograph(row["path"]).pixels)
        problems.update((row["source"], problem) for problem in lungs.problems)
        rows.append({"two plausible lungs": float(not lungs.problems), **_covers(lungs, row["boxes"], margin)})
    table = pd.DataFrame(rows)
    if per_image:
        pd.concat([manifest.table, table], axis=1).to_csv(per_image, index=False)
    by_label = manifest.table["source"] + " " + manifest.table["label"]
    figures = pd.concat(
        _figures(manifest.where(group == name), table[group == name], {"trained on": _names(fields), "images": name})
        for group in (manifest.table["source"], by_label)
        for name in sorted(set(group))
    )
    figures.to_csv(out, index=False)
    typer.echo(figures.to_string())
    for (source, problem), n in sorted(problems.items()):
        typer.echo(f"{source}: {n} × {problem}")


def _covers(lungs: Lungs, boxes: str, margin: float) -> dict[str, float]:
    """Shares of the boxed area within each of several regions; empty where nothing was boxed."""
    if not boxes:
        return {}
    side = lungs.mask.shape[0]
    boxed = np.zeros((side, side), dtype=bool)
    for x0, y0, x1, y1 in json.loads(boxes):
        boxed[int(y0 * side) : max(int(np.ceil(y1 * side)), 1), int(x0 * side) : max(int(np.ceil(x1 * side)), 1)] = (
            True
        )
    regions = {"lungs": lungs.mask, "convex hull": _hull(lungs.mask), "crop": _widened(lungs.box, side, margin)}
    shares = {f"boxed area within the {n}": float((boxed & r).sum() / boxed.sum()) for n, r in regions.items()}
    shares["less than 90% of it within the crop"] = float(shares["boxed area within the crop"] < 0.9)
    return shares


def _hull(mask: Mask) -> Mask:
    points = cv2.findNonZero(mask.astype(np.uint8))
    drawn = np.zeros(mask.shape, np.uint8)
    return (drawn if points is None else cv2.fillConvexPoly(drawn, cv2.convexHull(points), 1)).astype(bool)


def _widened(box: Box | None, side: int, margin: float) -> Mask:
    """What the detector sees: the box with its margin, or the whole image where there is none."""
    inside = np.zeros((side, side), dtype=bool)
    box = box or Box(0, 0, 1, 1)
    x, y = margin * (box.right - box.left), margin * (box.bottom - box.top)
    top, bottom = max(box.top - y, 0) * side, min(box.bottom + y, 1) * side
    left, right = max(box.left - x, 0) * side, min(box.right + x, 1) * side
    inside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    return inside


@app.command()
def speed(data: Data, network: Network, out: Out, images: int = 60) -> None:
    """Milliseconds a radiograph that is decoded already, on one thread and on two; each is timed three times."""
    table = _images(data, "").table.sample(images, random_state=1)
    decoded = [read_radiograph(path).pixels for path in table["path"]]
    large = [cv2.resize(pixels, (3000, 2500)) for pixels in decoded[:12]]
    rows = []
    for threads in (1, 2):
        fields = load(network, threads)
        for name, some in (("as stored here", decoded), ("3000 × 2500", large)):
            fields.find(some[0])
            wall, cpu = np.array([_timed(fields, pixels) for pixels in some for _ in range(3)]).T * 1000
            figures = {"ms": np.median(wall), "fastest, ms": wall.min(), "of the processor, ms": np.median(cpu)}
            rows.append({"threads": threads, "size": name, **figures, "n": len(some)})
    pd.DataFrame(rows).round(1).to_csv(out, index=False)
    typer.echo(pd.DataFrame(rows).round(1).to_string())


def _timed(fields: LungSegmentation, pixels: NDArray[np.float32]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    fields.find(pixels)
    return time.perf_counter() - wall, time.process_time() - cpu


def load(folder: Path, threads: int = 1) -> LungSegmentation:
    """The network that a training left in ``folder``."""
    description = LungSegmentationDescription.model_validate_json((folder / "lung_fields.json").read_text("utf-8"))
    return LungSegmentation((folder / "lung_fields.onnx").read_bytes(), description, threads)


def _images(data: Path, site: str) -> Manifest:
    manifest = Manifest.read(data)
    return manifest.where(manifest.table["site"] == site) if site else manifest


def _names(fields: LungSegmentation) -> str:
    return " + ".join(f"{place.split('/')[-1]} ({n})" for place, n in fields.description.trained_on.items())


def _figures(manifest: Manifest, table: pd.DataFrame, stated: dict[str, str]) -> pd.DataFrame:
    """One row for each column of ``table`` that has a value: mean and 95% interval, by resampling patients."""
    patient, _ = pd.factorize(manifest.patient_key)
    sample = Sample(patient, np.zeros(len(patient), dtype=bool), "all")
    names = [name for name in table.columns if table[name].notna().any()]
    values = table[names].to_numpy(dtype=np.float64)
    shares = [bool(np.isin(values[np.isfinite(values[:, i]), i], (0.0, 1.0)).all()) for i in range(len(names))]
    estimates = [means(sample, values[:, [i]], [name], shares=shares[i])[0] for i, name in enumerate(names)]
    return pd.DataFrame([{**stated, **_row(estimate)} for estimate in estimates])


def _row(estimate: Estimate) -> dict[str, object]:
    bounds = {key: None if (v := getattr(estimate, key)) is None else round(v, 4) for key in ("value", "low", "high")}
    return {"figure": estimate.name, **bounds, "n": estimate.n, "patients": estimate.patients}


if __name__ == "__main__":
    app()
