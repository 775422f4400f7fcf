"""A folder of phantoms with a manifest that tells the whole truth about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lungsight._cores import cores
from lungsight._files import atomic_write, write_whole
from lungsight.datasets.manifest import SIMULATED, Manifest
from lungsight.datasets.phantom.drawing import draw
from lungsight.datasets.phantom.patient import HOSPITALS, Acquisition, Hospital, Label, PhantomPatient, Stream
from lungsight.datasets.phantom.shortcuts import Shortcut, is_planted, view_of
from lungsight.datasets.processes import mapped
from lungsight.errors import CollectionError
from lungsight.radiograph import View

#: Raised whenever the same seed begins to draw another image, so that old and new images are never mixed.
DRAWING_VERSION = 1
_SETTINGS = "phantom.json"
#: Below this many images, starting processes takes longer than it saves.
_WORTH_PROCESSES = 16
_FINDING = {
    Label.COVID19: "bilateral peripheral ground-glass opacities",
    Label.OTHER_PNEUMONIA: "lobar consolidation",
    Label.NO_PNEUMONIA: "no consolidation, no ground-glass",
}


@dataclass(frozen=True, slots=True)
class _Settings:
    """What decides which images a folder holds; kept in the folder as JSON."""

    patients: int
    seed: int
    size: int
    shortcut: Shortcut | None
    strength: float
    images_per_patient: tuple[int, int]
    sources: tuple[Hospital, ...]
    view: View | None

    def as_json(self) -> str:
        """As the folder keeps them; the view only if it is set, as in folders of earlier versions."""
        settings = {"drawing_version": DRAWING_VERSION, **asdict(self)}
        if self.view is None:
            del settings["view"]
        return json.dumps(settings, indent=1)


@dataclass(frozen=True, slots=True)
class _Image:
    """One image that is to be drawn."""

    patient: PhantomPatient
    key: str
    label: Label
    hospital: Hospital
    shot: int
    shortcut: Shortcut | None
    view: View | None
    size: int

    def file(self, folder: Path, kind: str) -> Path:
        return folder / kind / self.hospital.name / f"{self.key}_{self.shot}.png"


def write_collection(
    folder: Path | str,
    *,
    patients: int,
    seed: int,
    size: int = 384,
    shortcut: Shortcut | None = None,
    strength: float = 0.0,
    view: View | None = None,
    sources: Sequence[Hospital] = HOSPITALS,
    images_per_patient: tuple[int, int] = (1, 2),
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Draw a collection into ``folder``: ``images/``, ``lungs/`` and ``lesions/`` as 8-bit PNG, and ``manifest.csv``.

    Labels are equally frequent and independent of source, view, age, sex and number of images. What is already
    drawn with the same settings is kept, so that a broken-off call can be repeated.

    Args:
        folder: where to draw.
        patients: how many; each has one label and one source.
        seed: of all that varies.
        size: height of the images in pixels.
        shortcut: planted as :func:`~lungsight.datasets.phantom.shortcuts.is_planted` says; None plants nothing.
        strength: 0 (the shortcut tells nothing of the label) to 1 (it is there if and only if the label is covid19).
        view: of all images, PA standing or AP in bed; None leaves it to the hospitals' habits. With
            the shortcut ``view`` the images that have it are AP, and all others PA.
        sources: the simulated hospitals.
        images_per_patient: fewest and most, all numbers between them equally likely.
        workers: processes; None uses every core there is.
        progress: called with the images done and the images in all.

    Raises:
        CollectionError: ``folder`` holds phantoms drawn with other settings.
    """
    fewest, most = images_per_patient
    if patients < 1 or not 0 <= strength <= 1 or not sources or not 1 <= fewest <= most:
        raise ValueError("needs patients >= 1, 0 <= strength <= 1, a source, and 1 <= fewest <= most images")
    if view is not None and (shortcut is Shortcut.VIEW or view not in (View.PA, View.AP)):
        raise ValueError("view is PA or AP, and not given with the shortcut view")
    folder = Path(folder).resolve()
    settings = _Settings(patients, seed, size, shortcut, strength, images_per_patient, tuple(sources), view)
    plan = list(_plan(settings))
    _claim(folder, settings)
    rows = []
    for done, (image, boxes) in enumerate(zip(plan, _drawn(folder, plan, workers), strict=True), start=1):
        rows.append(_row(folder, image, boxes))
        if progress is not None:
            progress(done, len(plan))
    manifest = Manifest.of(pd.DataFrame(rows), "phantom", folder)
    manifest.write(folder / "manifest.csv")
    return manifest


def _plan(settings: _Settings) -> Iterator[_Image]:
    """Every label at every source equally often, in random order."""
    seed, sources, labels = settings.seed, settings.sources, list(Label)
    fewest, most = settings.images_per_patient
    for index, place in enumerate(Stream.COLLECTION.generator(seed).permutation(settings.patients)):
        rng = Stream.COLLECTION.generator(seed, index)
        patient = PhantomPatient.from_seed(int(rng.integers(2**53)))
        label, hospital = labels[place % len(labels)], sources[place // len(labels) % len(sources)]
        for shot in range(rng.integers(fewest, most + 1)):
            planted = settings.shortcut is not None and is_planted(label, settings.strength, seed, index, shot)
            shortcut = settings.shortcut if planted else None
            view = View.PA if settings.shortcut is Shortcut.VIEW else settings.view
            view = view_of(shortcut) or view
            yield _Image(patient, f"P{seed}-{index:05d}", label, hospital, shot, shortcut, view, settings.size)


def _claim(folder: Path, settings: _Settings) -> None:
    """Note in ``folder`` what is drawn there; refuse a folder that holds something else."""
    file = folder / _SETTINGS
    text = settings.as_json()
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise CollectionError(folder, "holds phantoms drawn with other settings", "choose another folder or empty it")
    write_whole(file, text)


def _drawn(folder: Path, plan: list[_Image], workers: int | None) -> Iterator[str]:
    """Draw what isn't there yet; the boxes of each image, in the plan's order."""
    missing = sum(not image.file(folder, "images").exists() for image in plan)
    processes = min(workers or cores(), len(plan)) if missing >= _WORTH_PROCESSES else 1
    yield from mapped(partial(_draw_to, folder), plan, processes, chunk=4)


def _draw_to(folder: Path, image: _Image) -> str:
    """Draw one image and its masks unless they are there; the image comes last and vouches for the masks."""
    lesions = image.file(folder, "lesions")
    if image.file(folder, "images").exists():
        with Image.open(lesions) as drawn:
            return lesion_boxes(np.asarray(drawn) > 127)
    phantom = draw(
        image.patient, image.label, hospital=image.hospital, shortcut=image.shortcut, view=image.view,
        shot=image.shot, size=image.size,
    )  # fmt: skip
    _save(phantom.lung_mask.astype(np.uint8) * 255, image.file(folder, "lungs"))
    _save(phantom.lesion_mask.astype(np.uint8) * 255, lesions)
    _save(np.round(phantom.pixels * 255).astype(np.uint8), image.file(folder, "images"))
    return lesion_boxes(phantom.lesion_mask)


def _save(pixels: NDArray[np.uint8], file: Path) -> None:
    with atomic_write(file) as out:
        Image.fromarray(pixels).save(out, format="PNG", compress_level=3)


def lesion_boxes(mask: NDArray[np.bool_]) -> str:
    """Return JSON boxes [x0, y0, x1, y1], fractions of width and height, around each connected patch of ``mask``.

    Specks of less than a thousandth of the image are left out.
    """
    height, width = mask.shape
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    boxes = [
        [round(left / width, 4), round(top / height, 4), round((left + w) / width, 4), round((top + h) / height, 4)]
        for left, top, w, h, area in stats[1:].tolist()
        if area >= 1e-3 * mask.size
    ]
    return json.dumps(boxes)


def _row(folder: Path, image: _Image, boxes: str) -> dict[str, object]:
    taken = Acquisition.of(image.patient, image.hospital, image.shot, image.view)
    return {
        "path": str(image.file(folder, "images")),
        "label": image.label.value,
        "patient": image.key,
        "study": f"{image.key}-{image.shot}",
        "source": image.hospital.name,
        "site": image.hospital.name,
        "finding": _FINDING[image.label],
        "reference_standard": "simulation truth",
        "view": taken.view.value,
        "modality": SIMULATED,
        "age": image.patient.age,
        "sex": image.patient.sex,
        "lung_mask": str(image.file(folder, "lungs")),
        "lesion_mask": str(image.file(folder, "lesions")),
        "boxes": boxes,
        "shortcut": image.shortcut.value if image.shortcut else "",
    }
