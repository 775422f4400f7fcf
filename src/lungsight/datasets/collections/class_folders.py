"""A user's own images, sorted into a folder for each class."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from lungsight.datasets.collection import Build, BuildOptions, Collection, build_of, images_under
from lungsight.errors import CollectionError

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_MASKS = re.compile(r"\bmasks?$", re.IGNORECASE)


def _read(folder: Path, options: BuildOptions) -> Build:
    rows: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for path in images_under(folder):
        folders = path.relative_to(folder).parts[:-1]
        class_folder = class_of(folders, options)
        if any(_MASKS.search(name) for name in folders):
            left_out["in a folder of masks"] += 1
        elif class_folder is None:
            left_out["not in the folder of a class"] += 1
        else:
            rows.append(
                {
                    "path": str(path),
                    "label": options.labels.get(class_folder, class_folder),
                    "patient": _patient(path.name, options),
                    "source": folder.name,
                    "finding": class_folder,
                    "reference_standard": "folder",
                    "split": next((_SPLITS[name.lower()] for name in folders if name.lower() in _SPLITS), ""),
                }
            )
    _check_used(rows, options, folder)
    return build_of(rows, left_out, "class-folders", folder)


def _check_used(rows: list[dict[str, object]], options: BuildOptions, folder: Path) -> None:
    """A misspelt option would otherwise go unseen."""
    for name in options.labels:
        if not any(row["finding"] == name for row in rows):
            raise CollectionError(folder, f"holds no image in a folder {name}", f"correct --label {name}=…")
    if options.patient and not any(row["patient"] for row in rows):
        raise CollectionError(
            folder, f"no file's name matches the pattern {options.patient.pattern}", "correct --patient"
        )


def class_of(folders: tuple[str, ...], options: BuildOptions) -> str | None:
    """The folder that names an image's class: the innermost that the user gave a label, or else the outermost that
    isn't a side of a split."""
    for name in reversed(folders):
        if name in options.labels:
            return name
    return next((name for name in folders if name.lower() not in _SPLITS), None)


def _patient(name: str, options: BuildOptions) -> str:
    match = options.patient.search(name) if options.patient else None
    if match is None:
        return ""
    return match[1] if match.re.groups else match[0]


CLASS_FOLDERS = Collection(
    name="class-folders",
    title="Your own images, a folder for each class",
    home="",
    licence="yours",
    labels_rest_on="what put each image into its folder: lungsight can't know",
    traps=(
        "a class whose images come from one place only is learnt by the looks of that place",
        "without --patient every image counts as a patient of its own, and images of one patient may leak across "
        "a split",
    ),
    how_to_get="`lungsight data build class-folders FOLDER --label COVID=covid19 --label Normal=no_pneumonia "
    "--patient '^(P[0-9]+)_' --out manifest.csv`",
    layout="<class>/… or {train,val,test}/<class>/… (the split is kept); folders of masks are left out",
    read=_read,
)
