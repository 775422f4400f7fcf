"""Which of a model's classes a manifest's labels belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lungsight.faults import InvalidPackage
from lungsight.package import ModelPackage

#: Labels that ``*`` never takes: nobody said what these images show.
NO_DIAGNOSIS = ("unlabelled", "indeterminate", "atypical")


def class_of_labels(package: ModelPackage, present: Iterable[str]) -> dict[str, str]:
    """The class of each label in ``present``, by the recipe the model was trained with; labels that have none are
    missing from the answer. ``*`` in the recipe takes every label that no other class names and that is a diagnosis.

    Raises InvalidPackage where the package doesn't say which labels its classes hold."""
    named, rest = _named(package)
    found = {}
    for label in present:
        name = named.get(label, "" if label in NO_DIAGNOSIS else rest)
        if name:
            found[label] = name
    return found


def _named(package: ModelPackage) -> tuple[dict[str, str], str]:
    stated = package.description.recipe.get("classes")
    if not isinstance(stated, Mapping) or set(stated) != set(package.description.classes):
        raise InvalidPackage(
            package.path, "doesn't say which labels its classes hold", "export the model again with `lungsight train`"
        )
    named = {label: name for name, labels in stated.items() for label in labels if label != "*"}
    rest = next((name for name, labels in stated.items() if "*" in labels), "")
    return named, rest
