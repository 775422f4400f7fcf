"""Which of a model's classes a manifest's labels belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lungsight.datasets.classes import labels_of
from lungsight.faults import InvalidPackage
from lungsight.package import ModelPackage


def class_of_labels(package: ModelPackage, present: Iterable[str]) -> dict[str, str]:
    """The class of each label in ``present``, by the recipe the model was trained with.

    Raises InvalidPackage where the package doesn't say which labels its classes hold."""
    stated = package.description.recipe.get("classes")
    if not isinstance(stated, Mapping) or set(stated) != set(package.description.classes):
        cure = "export the model again with `lungsight train`"
        raise InvalidPackage(package.path, "doesn't say which labels its classes hold", cure)
    return labels_of(stated, present)
