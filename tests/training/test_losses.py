from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lungsight.networks.cam_classifier import Output
from lungsight.training.losses import Loss, accuracy, against_the_others, log_shares, misplaced_evidence

SOURCES = torch.zeros(4, dtype=torch.long)
NO_PLACES = torch.zeros(4, 0)


def _output(seed: int = 0) -> Output:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(4, 3, 8, 8, generator=generator)
    return Output(maps.mean(dim=(2, 3)), maps)


def _one_hot(*classes: int) -> torch.Tensor:
    return functional.one_hot(torch.tensor(classes), 3).float()


def test_hard_labels_give_plain_cross_entropy() -> None:
    output = _output()
    loss = Loss()(output, _one_hot(0, 1, 2, 0), NO_PLACES, SOURCES)
    assert loss == pytest.approx(functional.cross_entropy(output.logits, torch.tensor([0, 1, 2, 0])))


def test_soft_labels_are_the_mean_of_the_hard_ones() -> None:
    output = _output()
    halves = (_one_hot(0, 0, 0, 0) + _one_hot(1, 1, 1, 1)) / 2
    hard = [Loss()(output, _one_hot(c, c, c, c), NO_PLACES, SOURCES) for c in (0, 1)]
    assert Loss()(output, halves, NO_PLACES, SOURCES) == pytest.approx(sum(hard) / 2)


def test_the_logit_penalty_is_the_mean_squared_logit() -> None:
    output, truth = _output(), _one_hot(0, 1, 2, 0)
    more = Loss(logit_penalty=0.5)(output, truth, NO_PLACES, SOURCES) - Loss()(output, truth, NO_PLACES, SOURCES)
    assert more == pytest.approx(0.5 * output.logits.square().mean().item(), rel=1e-4)


def test_evidence_is_what_a_person_is_shown() -> None:
    maps = _output().maps
    assert torch.allclose(against_the_others(maps)[:, 0], maps[:, 0] - maps[:, 1:].mean(dim=1))


def _places(diseased: torch.Tensor, unknown: torch.Tensor | float = 0.0) -> torch.Tensor:
    return torch.stack([diseased, torch.zeros_like(diseased) + unknown], dim=1)


def _left_half() -> torch.Tensor:
    half = torch.zeros(1, 32, 32)
    half[:, :, :16] = 1
    return half


def _maps_with_heat(left: float, right: float) -> torch.Tensor:
    maps = torch.zeros(1, 3, 8, 8)
    maps[:, 0, :, :4], maps[:, 0, :, 4:] = left, right
    return maps


def test_heat_in_the_boxes_costs_less_than_heat_beside_them() -> None:
    truth, places = _one_hot(0), _places(_left_half())
    inside = misplaced_evidence(_maps_with_heat(4, -4), truth, places, healthy=2)
    everywhere = misplaced_evidence(_maps_with_heat(4, 4), truth, places, healthy=2)
    beside = misplaced_evidence(_maps_with_heat(-4, 4), truth, places, healthy=2)
    assert inside < 0.05 < everywhere < beside


def test_what_is_unknown_costs_nothing() -> None:
    places = _places(torch.zeros(1, 32, 32), unknown=1.0)
    assert misplaced_evidence(_maps_with_heat(4, 4), _one_hot(0), places, healthy=2) == 0


def test_a_healthy_image_may_show_no_disease_at_all() -> None:
    places = _places(torch.zeros(1, 32, 32))
    for disease in (0, 1):
        maps = torch.zeros(1, 3, 8, 8)
        maps[:, disease] = 3
        cold = torch.zeros(1, 3, 8, 8)
        cold[:, 2] = 3
        assert misplaced_evidence(maps, _one_hot(2), places, healthy=2) > misplaced_evidence(
            cold, _one_hot(2), places, healthy=2
        )


def test_the_other_disease_is_not_asked_of_an_image_of_this_one() -> None:
    maps = torch.zeros(1, 3, 8, 8, requires_grad=True)
    places = _places(_left_half())
    misplaced_evidence(maps, _one_hot(1), places, healthy=2).backward()
    assert maps.grad is not None
    # descending raises the image's own class in the box (the sign of the gradient is the other way round)
    assert (maps.grad[0, 1, :, :4] < 0).all()
    assert (maps.grad[0, 1, :, 4:] > 0).all()


def test_accuracy_takes_the_largest_share_for_the_label() -> None:
    logits = torch.tensor([[2.0, 0, 0], [0, 2.0, 0]])
    shares = torch.tensor([[0.6, 0.4, 0], [0.5, 0.1, 0.4]])
    assert accuracy(Output(logits, logits), shares, NO_PLACES, SOURCES) == 0.5


def test_the_loss_of_the_classes_stands_alone() -> None:
    output, truth = _output(), _one_hot(0, 1, 2, 0)
    places = _places(torch.zeros(4, 32, 32))
    everything = Loss(logit_penalty=0.5, guidance=1.0, healthy=2)
    assert everything.of_classes(output, truth, places, SOURCES) == Loss()(output, truth, places, SOURCES)
    assert everything(output, truth, places, SOURCES) > everything.of_classes(output, truth, places, SOURCES)


def _of_two_sources() -> tuple[torch.Tensor, torch.Tensor]:
    """Labels [20, 3] and sources [20]: one source holds mostly the first class, the other mostly the second."""
    classes = [0] * 8 + [1] * 2 + [1] * 7 + [2] * 3
    return _one_hot(*classes), torch.tensor([0] * 10 + [1] * 10)


def _loss_of(logits: torch.Tensor, log: torch.Tensor | None) -> torch.Tensor:
    truth, sources = _of_two_sources()
    output = Output(logits, logits[:, :, None, None])
    return Loss(log_shares=log)(output, truth, torch.zeros(20, 0), sources)


def test_a_network_that_knows_the_source_alone_has_nothing_to_gain() -> None:
    truth, sources = _of_two_sources()
    shares = log_shares(truth.numpy(), sources.numpy(), None, count=2, floor=1e-9)
    by_source = torch.zeros(2, 3, requires_grad=True)
    steepest = [
        torch.autograd.grad(_loss_of(by_source[sources], log), by_source)[0].abs().max() for log in (shares, None)
    ]
    assert steepest[0] < 1e-6
    assert steepest[1] > 0.1  # without it, the source is the first thing that is learned
    least = _loss_of(torch.zeros(20, 3), shares)
    for guess in torch.randn(20, 2, 3, generator=torch.Generator().manual_seed(1)):
        assert _loss_of(guess[sources], shares) >= least - 1e-6


def test_the_disease_is_still_learned_within_each_source() -> None:
    truth, sources = _of_two_sources()
    shares = log_shares(truth.numpy(), sources.numpy(), None, count=2, floor=0.05)
    losses = [_loss_of(logits, shares) for logits in (4 * truth, torch.zeros_like(truth))]
    assert losses[0] < 0.2 * losses[1]


def test_shares_are_those_of_the_images_as_sampled_with_a_floor() -> None:
    truth, sources = _of_two_sources()
    weights = np.array([0.25] * 8 + [1.0] * 12)
    found = log_shares(truth.numpy(), sources.numpy(), weights, count=3, floor=0.1).exp()
    assert found[0].tolist() == pytest.approx([0.5 / 1.1, 0.5 / 1.1, 0.1 / 1.1])
    assert found[1].tolist() == pytest.approx([0.1 / 1.1, 0.7 / 1.1, 0.3 / 1.1])
    assert found[2].tolist() == pytest.approx([1 / 3] * 3)  # no training image is of this source
    assert found.sum(dim=1).tolist() == pytest.approx([1.0] * 3)
