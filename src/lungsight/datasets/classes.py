"""Which of a model's classes the labels of a manifest belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

#: Labels that ``*`` never takes: nobody said what these images show.
NO_DIAGNOSIS = ("unlabelled", "indeterminate", "atypical")


def labels_of(classes: Mapping[str, Sequence[str]], present: Iterable[str]) -> dict[str, str]:
    """The class of each label in ``present``, by a recipe's ``classes``; labels of no class are missing from the
    answer. ``*`` takes every label that no other class names and that is a diagnosis."""
    named = {label: name for name, labels in classes.items() for label in labels if label != "*"}
    rest = next((name for name, labels in classes.items() if "*" in labels), "")
    found = {label: named.get(label, "" if label in NO_DIAGNOSIS else rest) for label in present}
    return {label: name for label, name in found.items() if name}
