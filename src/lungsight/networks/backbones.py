"""Backbones by timm's names, under lungsight's head."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from timm.models import group_parameters
from torch import nn

from lungsight.errors import RecipeError
from lungsight.networks.cam_classifier import CamClassifier, FeatureMaps, FineFeatureMaps
from lungsight.networks.initial_weights import InitialWeights, find_weights, scaling_of


def build_network(
    backbone: str, classes: int, *, weights: str = "random", dropout: float = 0.0, fine_maps: bool = False
) -> tuple[CamClassifier, str]:
    """The network, and a sentence on its backbone's initial weights.

    Args:
        backbone: timm's name of a network whose own head is pooling and one linear layer.
        classes: how many.
        weights: as in :func:`find_weights`, or ``random``.
        dropout: share of the last features left out in training.
        fine_maps: join the last maps with those of twice their resolution.

    Raises:
        RecipeError: timm doesn't know the name, the head is of another kind, the weights aren't available, or the
            backbone has no finer maps.
    """
    model = _create(backbone)
    found = InitialWeights.none() if weights == "random" else find_weights(backbone, weights)
    found.put_into(model, backbone)
    scaling = scaling_of(model, found)
    if not fine_maps:
        return CamClassifier(FeatureMaps(model), model.num_features, classes, scaling, dropout), found.origin
    try:
        fine = FineFeatureMaps(model)
    except (ValueError, AttributeError) as error:
        hint = "choose another backbone, or fine_maps=false"
        raise RecipeError(f"backbone {backbone}", "has no maps twice as fine as its last", hint) from error
    return CamClassifier(fine, fine.norm.num_features, classes, scaling, dropout), found.origin


def layer_groups(network: CamClassifier) -> list[list[nn.Parameter]]:
    """Parameter groups for fastai's discriminative rates: early half and late half of the backbone, new layers."""
    model: Any = network.backbone.model
    named = dict(model.named_parameters())
    layers = group_parameters(model, model.group_matcher(coarse=True))
    ordered = [layers[key] for key in sorted(layers)]
    half = len(ordered) // 2
    early = [named[name] for names in ordered[:half] for name in names]
    late = [named[name] for names in ordered[half:] for name in names]
    taken = {id(parameter) for parameter in model.parameters()}
    head = [parameter for parameter in network.parameters() if id(parameter) not in taken]
    return [early, late, head]


def first_layers(network: CamClassifier, count: int) -> list[nn.Module]:
    """The modules of the backbone's first ``count`` layer groups (timm's coarse ones: the stem is the first).

    Raises RecipeError if it has no more than that.
    """
    model: Any = network.backbone.model
    layers = group_parameters(model, model.group_matcher(coarse=True))
    if count >= len(layers):
        raise RecipeError("fixed_layers", f"the backbone has {len(layers)} layer groups", "fix fewer")
    names = {name.rpartition(".")[0] for key in sorted(layers)[:count] for name in layers[key]}
    return [model.get_submodule(name) for name in sorted(names)]


def _create(backbone: str) -> Any:
    if not timm.is_model(backbone):
        close = difflib.get_close_matches(backbone, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}" if close else "timm's documentation lists the names"
        raise RecipeError(f"backbone {backbone}", "timm knows no such network", hint)
    model: Any = timm.create_model(backbone, num_classes=1)
    if not _pools_into_one_layer(model):
        hint = "choose a convolutional network such as resnet50, densenet121 or tf_efficientnet_lite0"
        raise RecipeError(f"backbone {backbone}", "its head isn't average pooling and one linear layer", hint)
    model.reset_classifier(0)
    return model


def _pools_into_one_layer(model: Any) -> bool:
    """Whether the output is the classifier on the mean of the feature maps: tried out, since no name tells."""
    training, probe = model.training, torch.rand(1, 3, 96, 96)
    model.eval()
    try:
        with torch.no_grad():
            features = model.forward_features(probe)
            logits = model.get_classifier()(features.mean(dim=(2, 3)))
            return bool(torch.allclose(logits, model(probe), atol=1e-4)) and hasattr(model, "group_matcher")
    except (RuntimeError, AssertionError, IndexError, TypeError, AttributeError):  # tokens, or another input size
        return False
    finally:
        model.train(training)
