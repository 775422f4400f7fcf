"""A run as it was at the end of an epoch, on disk: written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from fastcore.foundation import L
from safetensors.torch import load_file, save_file
from torch import Tensor

from lungsight._files import atomic_folder, previous
from lungsight.errors import LungsightError

_BEST, _OPTIMIZER, _CALLBACKS = "best.safetensors", "optimizer.pt", "besides.safetensors"


@dataclass(frozen=True)
class Progress:
    """``stage`` is being trained; ``stage_epochs`` of it and ``epochs`` of the whole run are done."""

    stage: int = 0
    stage_epochs: int = 0
    epochs: int = 0
    best_loss: float = float("inf")
    best_epoch: int = -1


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on as if it hadn't been interrupted.

    Attributes:
        progress: how far it is.
        weights: of the network.
        best_weights: those of the lowest validation loss; empty where none are kept.
        optimizer: its state.
        callbacks: states of callbacks, by their names.
    """

    progress: Progress
    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor]
    optimizer: dict[str, Any] | None
    callbacks: dict[str, Tensor] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it; the one before stays if that fails. Raises LungsightError."""
        with atomic_folder(folder) as partial:
            save_file(contiguous(self.weights), partial / "weights.safetensors")
            for name, tensors in ((_BEST, self.best_weights), (_CALLBACKS, self.callbacks)):
                if tensors:
                    save_file(contiguous(tensors), partial / name)
            if self.optimizer is not None:
                torch.save(_plain(self.optimizer), partial / _OPTIMIZER)
            (partial / "progress.json").write_text(json.dumps(asdict(self.progress)), "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Checkpoint | None:
        """The last whole checkpoint, if there is one. Raises LungsightError if its files are damaged."""
        for place in (folder, previous(folder)):
            if (place / "progress.json").is_file():
                try:
                    return cls._from(place)
                except Exception as error:  # JSON, safetensors and torch raise a dozen kinds for a damaged file
                    hint = "remove that folder to train from the start, or choose another --out"
                    raise LungsightError(place, "holds a checkpoint that is damaged", hint) from error
        return None

    @classmethod
    def _from(cls, folder: Path) -> Checkpoint:
        best, optimizer, callbacks = (folder / name for name in (_BEST, _OPTIMIZER, _CALLBACKS))
        return cls(
            progress=Progress(**json.loads((folder / "progress.json").read_text("utf-8"))),
            weights=load_file(folder / "weights.safetensors"),
            best_weights=load_file(best) if best.is_file() else {},
            optimizer=torch.load(optimizer, weights_only=True) if optimizer.is_file() else None,
            callbacks=load_file(callbacks) if callbacks.is_file() else {},
        )


def contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the processor and in one piece, as safetensors needs them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _plain(value: Any) -> Any:
    """Instead of fastai's own lists and NumPy scalars; a file of plain lists, numbers and tensors needs no trust."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple | L):
        return [_plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value
