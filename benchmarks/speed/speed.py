"""Seconds per image and peak memory of reading, scanning and training, beside what one would use instead.

    python benchmarks/speed/speed.py --package PACKAGE --out speed.csv

All contenders run on the same files in one run, in alternating rounds, each in its own process on all cores. What
counts is the ratio to the first of its group; the milliseconds belong to this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import machine
from image_formats import KINDS, draw_images
from lungsight._cores import cores
from lungsight.components.runtime import runtimes
from lungsight.datasets.phantom.collection import write_collection
from lungsight.reading import ImageFile, walk_images
from lungsight.scanning.scan import BATCH_SIZE
from measuring import Contender, measure
from speed_table import markdown, rows, write_csv


class Group(StrEnum):
    """Contenders that are compared with one another; the ratios are to the first of the group."""

    SCANNING = "scanning"
    FORMATS = "formats"
    RUNTIMES = "runtimes"
    TRAINING = "training"


STEPS = 2
TRAINING_BATCH = 8
TRAINED = (
    ("tf_efficientnet_lite0", 256, "float32"),
    ("tf_efficientnet_lite0", 512, "float32"),
    ("resnet34", 256, "float32"),
    ("resnet50", 256, "float32"),
    ("resnet50", 256, "bfloat16"),
)


def main(
    package: Annotated[str, typer.Option(help="The model package that lungsight scans with.")] = "released",
    resnet_package: Annotated[
        Path | None,
        typer.Option(help="A package of a ResNet-50 at 512 px, the network of plain PyTorch."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="A folder of X-rays; without it, phantoms are drawn.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Images to use.")] = 12,
    size: Annotated[int, typer.Option(min=64, help="Height of the phantoms, in pixels.")] = 1024,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    at_least: Annotated[float, typer.Option(help="Seconds that a round lasts at the least.")] = 1.5,
    group: Annotated[list[Group] | None, typer.Option(help="What to time; all, unless stated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as CSV.")] = None,
) -> None:
    """Time lungsight against plain PyTorch with grad-cam and against torchxrayvision."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="lungsight-speed-") as scratch:
        files = _files(images, count, size, Path(scratch))
        facts = {
            "date": datetime.now(UTC).date().isoformat(),
            "files": f"{len(files)} images" if images else f"{len(files)} phantoms, 8-bit PNG, {size} px high",
            **machine.describe(cores()),
        }
        console.print(f"measuring on {facts['files']}")
        table: list[dict[str, object]] = []
        for name, contenders, those in _groups(group or list(Group), package, resnet_package, files, Path(scratch)):
            console.print(name)
            found = measure(contenders, those, rounds=rounds, at_least=at_least, cores=cores(), say=console.print)
            table += [row | facts for row in rows(name, found)]
            if out:  # after each group, so that a run that is broken off keeps what it has
                write_csv(out, table)
    print(markdown(table))
    for key, value in facts.items():
        print(f"\n{key}: {value}", end="")
    print()


def _groups(
    wanted: list[Group], package: str, resnet_package: Path | None, files: list[Path], scratch: Path
) -> Iterator[tuple[str, list[Contender], list[Path]]]:
    """The name of each table, who is in it, and the files that they are given."""
    for group in wanted:
        if group is Group.FORMATS:
            for number, kind in enumerate(KINDS):
                films = draw_images(kind, scratch / f"films-{number}", len(files))
                yield kind, in_a_format(package, resnet_package), films
        elif group is Group.RUNTIMES:
            yield str(group), by_runtime(package), files
        else:
            yield (
                str(group),
                scanning(package, resnet_package) if group is Group.SCANNING else training_steps(),
                files,
            )


def in_a_format(package: str, resnet_package: Path | None) -> list[Contender]:
    """From files of one kind to probabilities and a heatmap; and the networks alone."""
    ours = "contenders.lungsight_scan"
    contenders = [
        Contender("lungsight scan", f"{ours}:find", BATCH_SIZE, {"package": package, "batch_size": BATCH_SIZE}),
        Contender("its networks alone", f"{ours}:networks", 1, {"package": package}),
        Contender(
            "PyTorch ResNet-50, 512 px, grad-cam",
            "contenders.plain_torch:heatmap",
            1,
            {"backbone": "resnet50", "image_size": 512},
        ),
        Contender(
            "torchxrayvision DenseNet-121, 224 px, grad-cam",
            "contenders.xray_vision:heatmap",
            1,
            {"resizer": "skimage"},
        ),
    ]
    if resnet_package is not None:
        same = {"package": str(resnet_package), "batch_size": BATCH_SIZE}
        contenders.append(Contender("lungsight scan with that ResNet-50", f"{ours}:find", BATCH_SIZE, same))
    return contenders


def by_runtime(package: str) -> list[Contender]:
    """The whole scan and the networks alone by each runtime, on all cores and on one."""
    ours = "contenders.lungsight_scan"
    settings = {"package": package, "batch_size": BATCH_SIZE}
    alone = [
        Contender(f"networks alone, {name}", f"{ours}:networks", 1, {"package": package, "runtime": name})
        for name in runtimes()
    ]
    whole = [
        Contender(f"lungsight scan, {name}, {count} thread{'s' * (count > 1)}", f"{ours}:find", BATCH_SIZE,
                  settings | {"runtime": name, "threads": count})
        for name in runtimes()
        for count in sorted({cores(), 1}, reverse=True)
    ]  # fmt: skip
    return [*whole, *alone]


def scanning(package: str, resnet_package: Path | None) -> list[Contender]:
    """``resnet_package`` shows what the pipeline saves when the network is the same; None leaves it out."""
    ours = {"package": str(package), "batch_size": BATCH_SIZE}
    scan, by_hand, theirs = "contenders.lungsight_scan", "contenders.plain_torch:heatmap", "contenders.xray_vision"
    contenders = [
        Contender("lungsight scan", f"{scan}:find", BATCH_SIZE, ours),
        Contender("lungsight scan, heatmap PNGs written", f"{scan}:find_and_write", BATCH_SIZE, ours),
        Contender("lungsight, reading alone, one thread", f"{scan}:read", 1),
        Contender("PyTorch ResNet-50, 512 px, grad-cam", by_hand, 1, {"backbone": "resnet50", "image_size": 512}),
        Contender(
            "PyTorch EfficientNet-Lite0, 256 px, grad-cam",
            by_hand,
            1,
            {"backbone": "tf_efficientnet_lite0", "image_size": 256},
        ),
        Contender("torchxrayvision DenseNet-121, 224 px, grad-cam", f"{theirs}:heatmap", 1, {"resizer": "skimage"}),
        Contender("the same without a heatmap", f"{theirs}:probabilities", 1, {"resizer": "skimage"}),
        Contender("the same, resized with OpenCV", f"{theirs}:probabilities", 1, {"resizer": "cv2"}),
    ]
    if resnet_package is not None:
        same_network = {"package": str(resnet_package), "batch_size": BATCH_SIZE}
        contenders.append(Contender("lungsight scan with that ResNet-50", f"{scan}:find", BATCH_SIZE, same_network))
    return contenders


def training_steps() -> list[Contender]:
    return [
        Contender(
            f"{backbone}, {image_size} px, {precision}",
            "contenders.training:step",
            TRAINING_BATCH,
            {
                "backbone": backbone,
                "image_size": image_size,
                "precision": precision,
                "batch_size": TRAINING_BATCH,
                "steps": STEPS,
            },
        )
        for backbone, image_size, precision in TRAINED
    ]


def _files(images: Path | None, count: int, size: int, scratch: Path) -> list[Path]:
    """Paths of the images in ``images``, or of phantoms that are drawn into ``scratch``."""
    if images is None:
        folder = scratch / "phantoms"
        write_collection(folder, patients=count, seed=0, size=size, images_per_patient=(1, 1))
        return sorted((folder / "images").rglob("*.png"))
    found = [file.path for file in walk_images([images]) if isinstance(file, ImageFile) and file.path is not None]
    if not found:
        raise typer.BadParameter(f"{images} holds no image", param_hint="--images")
    return found[:count]


if __name__ == "__main__":
    typer.run(main)
