"""AP or PA by a view classifier: of a whole manifest, and of images whose model comes as a table of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lungsight._cores import cores
from lungsight._files import file_state
from lungsight.datasets.duplicates.fingerprints import Progress, silent
from lungsight.datasets.manifest import Manifest
from lungsight.errors import UnreadableImageError
from lungsight.evaluation.answer_store import AnswerStore, Key
from lungsight.evaluation.testset.testset import VIEW_AP, VIEW_GUESS, TestSet
from lungsight.inference import ImageChecker
from lungsight.package import ModelPackage

_BATCH = 64
_UNKNOWN: dict[str, Any] = {"view": "", "ap": np.nan}


def with_guessed_views(
    testset: TestSet, package: ModelPackage | None, *, progress: Progress = silent, store: AnswerStore | None = None
) -> TestSet:
    """Return ``testset`` with ``view_guess`` and ``view_ap`` by the view classifier of ``package``.

    Images that its gate refuses, or that can't be read, have neither. Without a package nothing is added.
    """
    if package is None:
        return testset
    views = _views(list(testset.table["path"]), package, progress, store)
    return testset.with_columns(
        **{VIEW_GUESS: [one["view"] for one in views], VIEW_AP: [float(one["ap"]) for one in views]}
    )


def manifest_with_guessed_views(
    manifest: Manifest, package: ModelPackage, *, progress: Progress = silent, store: AnswerStore | None = None
) -> Manifest:
    """Return ``manifest`` with ``view_guess`` of each frontal image whose view isn't known to be AP or PA."""
    unknown = manifest.projection.eq("") & manifest.is_frontal & manifest.is_projection
    guesses = manifest.table[VIEW_GUESS].copy()
    views = _views(list(manifest.table.loc[unknown, "path"]), package, progress, store)
    guesses[unknown] = [one["view"] for one in views]
    return manifest.with_columns(**{VIEW_GUESS: guesses})


def _views(
    paths: Sequence[str], package: ModelPackage, progress: Progress, store: AnswerStore | None
) -> list[dict[str, Any]]:
    """``view`` and ``ap`` of each file; what is kept of files that haven't changed isn't read again."""
    store = store or AnswerStore.in_memory()
    keys: list[Key] = [("view", package.id, *file_state(path)) for path in paths]
    found = store.get(keys)
    waiting = [i for i, key in enumerate(keys) if key not in found]
    checker = ImageChecker(gate=package.gate(1)) if waiting else ImageChecker()
    with ThreadPoolExecutor(cores()) as readers:
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            guesses = readers.map(lambda i: _guess(checker, package, paths[i]), batch)
            new = dict(zip([keys[i] for i in batch], guesses, strict=True))
            store.add(new)
            found |= new
            progress(start + len(batch), len(waiting))
    return [found[key] or _UNKNOWN for key in keys]


def _guess(checker: ImageChecker, package: ModelPackage, path: str) -> dict[str, Any] | None:
    try:
        view = checker.check_input(package.description.preprocessing.read(Path(path))).view
    except UnreadableImageError:
        return None
    return None if view is None else {"view": str(view.view or ""), "ap": view.ap}
