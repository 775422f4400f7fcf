"""The view classifier: a linear head on the features of the gate's encoder, trained on images whose view is known.

Only sources that state both views count: where all images are AP, whatever else they have in common would be learned.
Most collections don't state the view, so a head that is right only about the sources that it learned from would be of
no use: its thresholds are chosen on sources that are left out in turn, as those of the gate are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lungsight.components.view import ViewDescription
from lungsight.networks.gate_network import ViewHead
from lungsight.statistics.binary import Binary
from lungsight.statistics.thresholds import Aim, NoRuleError, choose_rule
from lungsight.training.gate.examples import Examples

#: Patients with each view that a source needs: to choose thresholds on it, and to train without it.
FEWEST = 20
#: Of the AP images the share that may not be called PA, and of the PA images the share that may not be called AP.
#: At 95%, errors in what a source states would leave most images unknown.
AIM = 0.9
#: Inverse weight of the L2 penalty, of features that are scaled to a standard deviation of 1.
STRENGTH = 1e-4
_LEAST_SPREAD = 1e-3


class ViewClassifier(NamedTuple):
    """A trained head, and what ``package.json`` says of it."""

    head: ViewHead
    description: ViewDescription


def train_view(examples: Examples, log: Callable[[str], None] = lambda _: None) -> ViewClassifier | None:
    """Train on the examples that aren't for validation; None if too few state their view.

    Thresholds are chosen on the images as they are: of sources left out in turn if there are two or more, else of
    validation patients.
    """
    known = examples.where(stated(examples))
    both = [source for source in known.sources if has_both(_of(known, source))]
    known = known.where(np.isin(known.source.astype(str), both))
    trained = known.where(~known.validation)
    if not has_both(trained):
        log(f"no view classifier: no source states {FEWEST} patients to be AP and {FEWEST} to be PA")
        return None
    head = fit_view(trained)
    elsewhere = list(_elsewhere(known)) or [(known.where(known.validation), head)]
    asked = [(shown.where(shown.first), of) for shown, of in elsewhere]
    rule = choose_rule(
        Binary.from_arrays(
            "AP",
            np.concatenate([shown.ap == 1 for shown, _ in asked]),
            np.concatenate([predict_view(of, shown) for shown, of in asked]),
            np.unique(np.concatenate([_patients(shown) for shown, _ in asked]), return_inverse=True)[1],
        ),
        Aim(AIM, AIM),
    )
    if isinstance(rule, NoRuleError):
        log(f"no view classifier: {rule.reason}")
        return None
    log(f"view: PA below {rule.low:.3f}, AP from {rule.high:.3f} on, chosen on {rule.images} images")
    description = ViewDescription(
        low=rule.low, high=rule.high, aim=AIM, chosen_on=rule.images, trained_on=_counts(trained)
    )
    return ViewClassifier(head, description)


def stated(examples: Examples) -> NDArray[np.bool_]:
    """The upright views, not inverted and not heavily marked, of images whose view is stated, bool [n]."""
    return np.asarray(examples.plain & examples.real & np.isfinite(examples.ap), dtype=np.bool_)


def has_both(examples: Examples) -> bool:
    """Whether enough patients are AP and enough are PA."""
    return all(len(set(_patients(examples)[examples.ap == ap])) >= FEWEST for ap in (0, 1))


def fit_view(examples: Examples) -> ViewHead:
    """A logistic regression, in which the view says nothing of the source or the label.

    Each source has the same weight, and within each label of a source so have AP and PA; a label with one view alone
    counts for nothing. Else the head would learn what disease looks like where the ill are imaged in bed.
    """
    head = ViewHead(examples.features.shape[1])
    head.centre.copy_(torch.from_numpy(examples.features.mean(axis=0)))
    head.spread.copy_(torch.from_numpy(examples.features.std(axis=0).clip(_LEAST_SPREAD)))
    scaled = ((torch.from_numpy(examples.features) - head.centre) / head.spread).clamp(-5, 5).numpy()
    weight = _balanced(examples)
    used = weight > 0
    fitted = LogisticRegression(C=STRENGTH, max_iter=500)
    fitted.fit(scaled[used], examples.ap[used], sample_weight=weight[used])
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(fitted.coef_.astype(np.float32)))
        head.linear.bias.copy_(torch.from_numpy(fitted.intercept_.astype(np.float32)))
    return head.eval()


@torch.no_grad()
def predict_view(head: ViewHead, examples: Examples) -> NDArray[np.float64]:
    """The probability of AP of every example, float64 [n]."""
    return np.asarray(head(torch.from_numpy(examples.features)).double().sigmoid().numpy())


def _elsewhere(known: Examples) -> Iterator[tuple[Examples, ViewHead]]:
    """Each source with a head that was trained on the others."""
    for source in known.sources:
        others = known.where((known.source != source) & ~known.validation)
        if has_both(others):
            yield _of(known, source), fit_view(others)


def _of(examples: Examples, source: str) -> Examples:
    return examples.where(np.asarray(examples.source == source, dtype=np.bool_))


def _balanced(examples: Examples) -> NDArray[np.float64]:
    """The weight of each example, 1 on average, float64 [n]."""
    _, stratum = np.unique(
        (examples.source + "/" + examples.label).astype(str), return_inverse=True
    )  # a source's images with one label
    ap = examples.ap == 1
    of_ap, of_pa = np.bincount(stratum, ap), np.bincount(stratum, ~ap)
    both = (of_ap > 0) & (of_pa > 0)
    half = np.where(both, of_ap + of_pa, 0) / 2
    weight = np.where(ap, (half / np.maximum(of_ap, 1))[stratum], (half / np.maximum(of_pa, 1))[stratum])
    _, source = np.unique(examples.source.astype(str), return_inverse=True)
    weight /= np.maximum(np.bincount(source, weight), 1e-9)[source]
    return np.asarray(weight * len(weight) / weight.sum())


def _patients(examples: Examples) -> NDArray[np.object_]:
    return np.asarray(examples.source + "/" + examples.patient, dtype=object)


def _counts(trained: Examples) -> dict[str, dict[str, int]]:
    """Images by source and view."""
    once = trained.where(trained.first)
    return {
        source: {view: int(((once.source == source) & (once.ap == ap)).sum()) for view, ap in (("AP", 1), ("PA", 0))}
        for source in once.sources
    }
