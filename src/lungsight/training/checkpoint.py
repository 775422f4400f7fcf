"""A run as it stood at the end of an epoch, on disk: written whole or not at all."""

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

_OPTIONAL = ("best.safetensors", "optimizer.pt", "besides.safetensors")


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
    """What a run needs to go on as if nothing had happened."""

    progress: Progress
    weights: dict[str, Tensor]
    best_weights: dict[str, Tensor]
    optimizer: dict[str, Any] | None
    besides: dict[str, Tensor] = field(default_factory=dict)
    """What callbacks need, by their names."""

    def write(self, folder: Path) -> None:
        """Raises Fault where it can't be written; the checkpoint before it stays."""
        with atomic_folder(folder) as partial:
            save_file(_contiguous(self.weights), partial / "weights.safetensors")
            if self.best_weights:
                save_file(_contiguous(self.best_weights), partial / _OPTIONAL[0])
            if self.besides:
                save_file(_contiguous(self.besides), partial / _OPTIONAL[2])
            if self.optimizer is not None:
                torch.save(_plain(self.optimizer), partial / _OPTIONAL[1])
            (partial / "progress.json").write_text(json.dumps(asdict(self.progress)), "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Checkpoint | None:
        """The last whole checkpoint, None where there is none. Raises Fault where its files were damaged since."""
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
        best, optimizer, besides = (folder / name for name in _OPTIONAL)
        return cls(
            progress=Progress(**json.loads((folder / "progress.json").read_text("utf-8"))),
            weights=load_file(folder / "weights.safetensors"),
            best_weights=load_file(best) if best.is_file() else {},
            optimizer=torch.load(optimizer, weights_only=True) if optimizer.is_file() else None,
            besides=load_file(besides) if besides.is_file() else {},
        )


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _plain(value: Any) -> Any:
    """fastai keeps its own lists and NumPy scalars; a file of plain lists, numbers and tensors needs no trust."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple | L):
        return [_plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value
