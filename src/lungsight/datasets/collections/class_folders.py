"""A user's own images, sorted into a folder for each class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lungsight.datasets.collection import BuildOptions, Row, images_under
from lungsight.errors import CollectionError

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= dict.fromkeys(("val", "valid", "validation"), "validation")
_MASKS = re.compile(r"\bmasks?$", re.IGNORECASE)


def rows(folder: Path, options: BuildOptions) -> Iterator[Row | str]:
    """Yield the rows of ``class-folders``. Raises CollectionError for an option that fits no image."""
    classes, patients = set(), set()
    for path in images_under(folder):
        folders = path.relative_to(folder).parts[:-1]
        class_folder = class_of(folders, options)
        if any(_MASKS.search(name) for name in folders):
            yield "in a folder of masks"
        elif class_folder is None:
            yield "not in the folder of a class"
        else:
            patient = _patient(path.name, options)
            classes.add(class_folder)
            patients.add(patient)
            yield {
                "path": str(path),
                "label": options.labels.get(class_folder, class_folder),
                "patient": patient,
                "source": folder.name,
                "finding": class_folder,
                "reference_standard": "folder",
                "split": next((_SPLITS[name.lower()] for name in folders if name.lower() in _SPLITS), ""),
            }
    for name in options.labels:
        if name not in classes:
            raise CollectionError(folder, f"holds no image in a folder {name}", f"correct --label {name}=…")
    if options.patient and not any(patients):
        problem = f"no file's name matches the pattern {options.patient.pattern}"
        raise CollectionError(folder, problem, "correct --patient")


def class_of(folders: tuple[str, ...], options: BuildOptions) -> str | None:
    """Return the folder that names an image's class.

    It is the innermost that the user gave a label, or else the outermost that isn't a side of a split.
    """
    for name in reversed(folders):
        if name in options.labels:
            return name
    return next((name for name in folders if name.lower() not in _SPLITS), None)


def _patient(name: str, options: BuildOptions) -> str:
    match = options.patient.search(name) if options.patient else None
    if match is None:
        return ""
    return match[1] if match.re.groups else match[0]
