"""Which of a model's classes a manifest's labels belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from lungsight.datasets.label_mapping import denied_by, labels_of, no_label_known, refuse_ambiguous
from lungsight.datasets.spellings import NOT
from lungsight.errors import PackageError
from lungsight.package import ModelPackage


def class_of_labels(package: ModelPackage, present: Iterable[str]) -> dict[str, str]:
    """The class of each label in ``present``, by the recipe the model was trained with.

    Raises InvalidPackage where the package doesn't say which labels its classes hold.
    """
    return labels_of(classes_of_package(package), present)


def classes_of_package(package: ModelPackage) -> Mapping[str, Sequence[str]]:
    """The labels of each of the package's classes. Raises InvalidPackage where it doesn't say."""
    stated = package.description.recipe.get("classes")
    if not isinstance(stated, Mapping) or set(stated) != set(package.description.classes):
        hint = "export the model again with `lungsight train`"
        raise PackageError(package.path, "doesn't say which labels its classes hold", hint)
    return stated


def truth_of(labels: pd.Series, classes: Mapping[str, Sequence[str]], target: str, name: str) -> pd.Series:
    """What each label says is true: its class; ``not_<target>`` where it says only that; else empty.

    ``name`` is that of the table. Raises InvalidManifest where no label says anything, or where a label may mean the
    target and no class names it.
    """
    counts = {str(label): int(n) for label, n in labels.value_counts().items()}
    refuse_ambiguous(name, counts, classes, target)
    known = labels_of(classes, counts)
    denying = {label: NOT + target for label in counts if denied_by(label, (target,)) and label not in known}
    if not known and not denying:
        raise no_label_known(name, counts, classes, target)
    return labels.map(known | denying).fillna("").astype(object)
