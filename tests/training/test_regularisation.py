from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import QUICK

from lungsight.datasets.manifest import Manifest
from lungsight.errors import RecipeError
from lungsight.networks.backbones import build_network, first_layers
from lungsight.training.checkpoint import Checkpoint
from lungsight.training.recipe import Recipe, load_recipe
from lungsight.training.regularisation import WeightEMA
from lungsight.training.run import train

ALL_OF_IT = (
    "weight_averaging.decay=0.9",
    "keep_stages=true",
    "logit_penalty=0.01",
    'conditional_loss.on=["source"]',
    "guidance.weight=0.5",
    "fixed_layers=2",
)


def _recipe(*settings: str) -> Recipe:
    return load_recipe("demo", (*QUICK, *settings))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "package" / "weights.safetensors")


@pytest.mark.slow
def test_fixed_layers_stay_as_they_came(phantoms: Manifest, image_cache_folder: Path, tmp_path: Path) -> None:
    recipe = _recipe("fixed_layers=3")
    train(recipe, phantoms, tmp_path, cache=image_cache_folder)
    torch.manual_seed(recipe.seed)
    before, _ = build_network(recipe.backbone, 3, weights="random", dropout=recipe.dropout)
    fixed = {id(p) for layer in first_layers(before, 3) for p in layer.parameters()}
    after = load_file(tmp_path / "checkpoint" / "weights.safetensors")
    for name, parameter in before.named_parameters():
        assert torch.equal(after[name], parameter) == (id(parameter) in fixed), name


def test_too_many_fixed_layers_are_refused() -> None:
    network, _ = build_network("tf_efficientnet_lite0", 3)
    with pytest.raises(RecipeError, match="layer groups"):
        first_layers(network, 99)


@pytest.mark.slow
def test_a_run_with_everything_goes_on_exactly_where_it_was_cut_off(
    phantoms: Manifest, image_cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(*ALL_OF_IT)
    train(recipe, phantoms, tmp_path / "undisturbed", cache=image_cache_folder)

    write, written = Checkpoint.write, []

    def write_and_die(checkpoint: Checkpoint, folder: Path) -> None:
        write(checkpoint, folder)
        written.append(checkpoint.progress.epochs)
        if checkpoint.progress.epochs == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "write", write_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, phantoms, tmp_path / "resumed", cache=image_cache_folder)
    monkeypatch.setattr(Checkpoint, "write", write)
    train(recipe, phantoms, tmp_path / "resumed", cache=image_cache_folder)
    assert written == [1, 2]
    one, other = _weights(tmp_path / "undisturbed"), _weights(tmp_path / "resumed")
    assert all(torch.equal(one[name], other[name]) for name in one)
    for stage in range(len(recipe.stages)):
        kept = [load_file(tmp_path / run / "stages" / f"{stage}.safetensors") for run in ("undisturbed", "resumed")]
        assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_the_average_follows_the_weights_slowly() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    averaging = WeightEMA(network, 0.5)
    averaging.learn = type("Learner", (), {"model": network, "training": True})()
    for value in (0.0, 1.0, 1.0):
        network[0].weight.data.fill_(value)
        network[1].running_mean.fill_(value)
        network[1].num_batches_tracked += 1
        averaging.after_batch()
    # the first stands; then keep = (1 + 2) / (10 + 2), and (1 + 3) / (10 + 3)
    expected = 1 - (3 / 12) * (4 / 13)
    averaging.before_validate()
    assert network[0].weight.item() == pytest.approx(expected)
    assert network[1].running_mean.item() == pytest.approx(expected)
    assert network[1].num_batches_tracked == 3
    state = averaging.state()
    averaging.before_train()
    assert network[0].weight.item() == 1.0

    resumed = WeightEMA(network, 0.5)
    resumed.learn = averaging.learn
    resumed.load_state(state, averaging.average.module.state_dict())
    for one in (averaging, resumed):
        one.after_batch()
        one.before_validate()
        assert network[0].weight.item() == pytest.approx(1 - (3 / 12) * (4 / 13) * (5 / 14))
        one.before_train()
