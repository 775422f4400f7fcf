"""Outcomes: the true class, the prediction and the patient of each image."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Columns that predicting adds to a manifest's own.
TRUTH, PREDICTION, FAULT, SHA256 = "truth", "prediction", "fault", "sha256"


def probability_column(name: str) -> str:
    """The column that holds the probability of a class."""
    return f"probability_{name}"


def logit_column(name: str) -> str:
    """The column that holds the logit of a class."""
    return f"logit_{name}"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Analysed images with a known label, as the arrays from which metrics are computed.

    Attributes:
        classes: names of the k classes.
        truth: int [n], index of the true class; k if it is only known that the image isn't of ``target``.
        probabilities: float [n, k], rows sum to one.
        patient: int [n], 0…patients-1.
        target: the class that images without a class are known not to be of; None if every image has a class.
    """

    classes: tuple[str, ...]
    truth: Integers
    probabilities: Floats
    patient: Integers
    target: str | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls, table: pd.DataFrame, classes: tuple[str, ...], target: str | None = None, denial: str = ""
    ) -> Outcomes:
        """Outcomes from a table of predictions, without the rows that have no label or weren't analysed.

        Patients are told apart within their source. ``denial`` is the label of images of which it is only known that
        they aren't of ``target``.
        """
        index = {name: i for i, name in enumerate(classes)} | ({denial: len(classes)} if denial else {})
        testset = table[table[TRUTH].isin(index) & (table[FAULT] == "")]
        keys = testset["source"].astype(str) + "/" + testset["patient"].astype(str)
        return cls(
            classes=classes,
            truth=np.array([index[name] for name in testset[TRUTH]], dtype=np.int64),
            probabilities=testset[[probability_column(c) for c in classes]].to_numpy(dtype=np.float64),
            patient=pd.factorize(keys)[0].astype(np.int64),
            target=target if (testset[TRUTH] == denial).any() else None,
        )

    def __len__(self) -> int:
        return len(self.truth)

    def where(self, mask: Mask) -> Outcomes:
        """The images under ``mask``, bool [n]."""
        patient = np.unique(self.patient[mask], return_inverse=True)[1].astype(np.int64)
        return Outcomes(self.classes, self.truth[mask], self.probabilities[mask], patient)

    @property
    def patients(self) -> int:
        """The number of patients."""
        return int(self.patient.max()) + 1 if len(self) else 0

    @cached_property
    def predicted(self) -> Integers:
        """Index of the most probable class, the first if several are equal: int [n]."""
        return np.asarray(np.argmax(self.probabilities, axis=1), dtype=np.int64)

    @cached_property
    def confusion(self) -> Integers:
        """The confusion matrix of the images that have a class, int [k, k]: rows are labels, columns predictions."""
        k = len(self.classes)
        cell = (self.truth * k + self.predicted)[self.has_class]
        return np.bincount(cell, minlength=k * k).reshape(k, k).astype(np.int64)

    @property
    def has_class(self) -> Mask:
        """Whether the class of each image is known: bool [n]."""
        return np.asarray(self.truth < len(self.classes), dtype=bool)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The classes that can be compared with the rest; only the target if some images have no class."""
        return self.classes if self.target is None else (self.target,)

    @property
    def present(self) -> list[str]:
        """The classes of which there is at least one image."""
        return [self.classes[i] for i in np.unique(self.truth[self.has_class])]

    def patients_among(self, mask: Mask) -> int:
        """The number of patients of the images under ``mask``, bool [n]."""
        return len(np.unique(self.patient[mask]))
