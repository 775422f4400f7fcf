"""The lung segmentation network: the first stages of EfficientNet-Lite0 under a small U-Net decoder."""

from __future__ import annotations

from typing import Any

import timm
import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn
from torch.nn import functional

from lungsight.errors import RecipeError
from lungsight.networks.cam_classifier import InputScaling
from lungsight.networks.initial_weights import InitialWeights, find_weights, scaling_of

BACKBONE = "tf_efficientnet_lite0"
#: Scales of the encoder's outputs: half, quarter, eighth and sixteenth of the input's side. The stages after the
#: sixteenth hold three quarters of the weights, for objects, which a lung's outline doesn't need.
_SCALES = 4
_SMALLEST = 2**_SCALES
_DECODER = (64, 32, 16)


class LungNetwork(nn.Module):
    """``pixels`` float32 [N, 1, side, side] in 0…1 to logits [N, 1, side, side]: above 0 is rather lung than not.

    The decoder ends at half the input's resolution; the outline is interpolated from there. A lung's edge is smooth,
    and the last doubling would take as long as all the rest of the decoder.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Any, scaling: InputScaling) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(scaling.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(scaling.std).view(1, 3, 1, 1))
        self.encoder = encoder
        self.decoder = UnetDecoder((3, *encoder.feature_info.channels()), _DECODER, n_blocks=len(_DECODER))
        self.head = nn.Conv2d(_DECODER[-1], 1, kernel_size=3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """The logits."""
        scaled = (pixels - self.mean) / self.std
        coarse = self.head(self.decoder([scaled, *self.encoder(scaled)]))
        return functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False).float()


def build_lung_network(*, weights: str = "pretrained") -> tuple[LungNetwork, str]:
    """The network, and a sentence on its encoder's initial weights.

    ``weights`` is ``random``, or as in :func:`find_weights`. Raises RecipeError if they aren't available.
    """
    encoder: Any = timm.create_model(BACKBONE, features_only=True, out_indices=tuple(range(_SCALES)))
    last = int(encoder.feature_info.module_name()[-1].split(".")[1])
    encoder.blocks = encoder.blocks[: last + 1]  # timm would run the later stages and drop their output
    found = InitialWeights.none() if weights == "random" else find_weights(BACKBONE, weights)
    found.put_into(encoder, BACKBONE)
    scaling = found.scaling or scaling_of(timm.create_model(BACKBONE), found)
    return LungNetwork(encoder, scaling), found.origin


def layer_groups(network: LungNetwork) -> list[list[nn.Parameter]]:
    """Parameter groups for fastai's discriminative rates: the encoder, then the new layers."""
    return [
        list(network.encoder.parameters()),
        [*network.decoder.parameters(), *network.head.parameters()],
    ]


def check_image_size(side: int) -> None:
    """Raise RecipeError if the network can't halve ``side`` often enough."""
    if side % _SMALLEST:
        raise RecipeError(f"image_size {side}", f"isn't a multiple of {_SMALLEST}", "give 192, 224 or 256")
