"""The view classifier on features that are drawn, so that the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lungsight.components.input_gate import OUTPUTS, Gate
from lungsight.components.runtime import open_network
from lungsight.components.view import VIEW_OUTPUT
from lungsight.datasets.ood_images import Kind
from lungsight.networks.gate_network import ViewHead
from lungsight.training.gate.examples import KINDS, Examples, gather
from lungsight.training.gate.exporting import with_view
from lungsight.training.gate.features import ViewFeatures
from lungsight.training.gate.groups import Group
from lungsight.training.gate.view import fit_view, predict_view, train_view
from tiny_parts import describe_gate, tiny_gate

FEATURES = 12


def drawn(
    sources: dict[str, tuple[int, int]], *, seed: int = 0, far: float = 3.0, ill_in_bed: float = 0.5
) -> Examples:
    """AP images of a source are ``far`` off in the first feature, and each source is far off in one of its own.

    The ill are off in the last feature; they are the share ``ill_in_bed`` of the AP images, and the rest of the PA.
    """
    rng = np.random.default_rng(seed)
    source = np.concatenate([np.full(sum(counts), name, dtype=object) for name, counts in sources.items()])
    ap = np.concatenate([[1.0] * a + [0.0] * p for a, p in sources.values()]).astype(np.float32)
    n = len(ap)
    features = rng.standard_normal((n, FEATURES)).astype(np.float32)
    features[:, 0] += far * ap
    for place, name in enumerate(sources, start=1):
        features[source == name, place] += 6
    ill = rng.random(n) < np.where(ap == 1, ill_in_bed, 1 - ill_in_bed)
    features[:, -1] += 3 * ill
    label = np.where(ill, "ill", "well").astype(object)
    always = np.ones(n, dtype=bool)
    numbers = np.arange(n)
    return Examples(
        features, np.zeros(n, dtype=np.int64), 0 * numbers, np.zeros((n, 3), np.float32), source, source,
        numbers.astype(str).astype(object), ap, label, always, always, numbers % 6 == 0, np.ones(n, dtype=np.float32),
    )  # fmt: skip


def test_the_view_is_learned_and_not_the_source() -> None:
    """North has mostly AP images, south mostly PA: the source predicts the view, and elsewhere nothing."""
    made = train_view(drawn({"north": (180, 60), "south": (60, 180)}))
    assert made is not None
    new = drawn({"north": (10, 90), "south": (90, 10)}, seed=5)
    right = (predict_view(made.head, new) > 0.5) == (new.ap == 1)
    assert right.mean() > 0.85
    assert made.description.trained_on.keys() == {"north", "south"}
    assert made.description.chosen_on == 480
    assert 0 < made.description.low <= made.description.high < 1


def test_the_view_is_learned_and_not_the_disease() -> None:
    """Of the ill nine in ten are AP: a head that learned the disease would call the ill of a new hospital AP."""
    made = train_view(drawn({"north": (200, 200), "south": (200, 200)}, far=1.5, ill_in_bed=0.9))
    assert made is not None
    new = drawn({"north": (500, 500)}, seed=7, far=1.5)
    logit = np.log(predict_view(made.head, new) / (1 - predict_view(made.head, new)))
    by_view, by_disease = (
        abs(logit[which].mean() - logit[~which].mean()) for which in (new.ap == 1, new.label == "ill")
    )
    assert by_disease < 0.3 * by_view


def test_thresholds_keep_their_aim_on_new_images() -> None:
    made = train_view(drawn({"north": (200, 200), "south": (200, 200)}, far=2.0))
    assert made is not None
    new = drawn({"north": (400, 400)}, seed=3, far=2.0)
    probability = predict_view(made.head, new)
    assert (probability[new.ap == 1] < made.description.low).mean() < 0.2  # 0.1 aimed at, on 400 images
    assert (probability[new.ap == 0] >= made.description.high).mean() < 0.2


def test_a_source_with_one_view_alone_teaches_nothing() -> None:
    both = {"north": (60, 60), "south": (60, 60)}
    made = train_view(drawn(both | {"children": (300, 0)}))
    assert made is not None
    assert made.description.trained_on.keys() == both.keys()


def test_one_source_is_enough_and_thresholds_rest_on_its_validation_patients() -> None:
    made = train_view(drawn({"north": (150, 150)}))
    assert made is not None
    assert made.description.chosen_on == 50


@pytest.mark.parametrize("counts", [(300, 0), (300, 10), (15, 15)])
def test_with_too_few_of_a_view_there_is_no_classifier_and_the_log_says_so(counts: tuple[int, int]) -> None:
    said: list[str] = []
    assert train_view(drawn({"north": counts}), said.append) is None
    assert "no view classifier" in said[0]


def test_the_same_examples_give_the_same_head() -> None:
    first, again = (fit_view(drawn({"north": (40, 40)})).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_views_come_from_the_manifest() -> None:
    group = Group("f", Kind.FRONTAL, "north", "", ("a", "b", "c", "d"), ("1", "2", "3", "4"), 1,
                  ("PA", "AP supine", "frontal", "AP"), ("a", "b", "a", "c"))  # fmt: skip
    shown = np.array([0, 1, 2, 3, 3])
    views = ViewFeatures(np.zeros((5, 2), np.float32), shown, 0 * shown, shown < 0, shown < 0, shown >= 0)
    examples = gather([group], lambda _: views, lambda *_: False)
    np.testing.assert_array_equal(examples.ap, np.array([0, 1, np.nan, 1, 1], np.float32))
    assert examples.label.tolist() == ["a", "b", "a", "c", "c"]
    assert KINDS[0] is Kind.FRONTAL


def test_a_gate_gains_a_view_and_says_else_what_it_said() -> None:
    gate = tiny_gate()
    head = ViewHead(96 * 96)
    with torch.no_grad():
        head.spread.fill_(0.5)
    joined = with_view(gate, head)
    pixels = np.random.default_rng(0).random((3, 1, 96, 96), dtype=np.float32)
    before = open_network(gate, OUTPUTS, 1, "onnxruntime").run(OUTPUTS, pixels)
    *after, view = open_network(joined, OUTPUTS, 1, "onnxruntime").run((*OUTPUTS, VIEW_OUTPUT), pixels)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    with torch.no_grad():
        expected = head(torch.from_numpy(pixels.reshape(3, -1)))
    np.testing.assert_allclose(view, expected.numpy(), atol=1e-4)
    stated = {"low": 0.5, "high": 0.5, "aim": 0.95, "chosen_on": 40, "trained_on": {}}
    assert Gate(joined, describe_gate(view=stated)).ask(pixels[0, 0]).view is not None
