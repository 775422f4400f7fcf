"""lungsight's training steps: forward, backward and Adam through its own learner, on images that lie in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from torch import Tensor

from contenders import Task
from lungsight.networks.backbones import build_network
from lungsight.reading import ImageFile, read_radiograph
from lungsight.training.learner import build_learner
from lungsight.training.recipe import load_recipe


class _Images(list[tuple[Tensor, Tensor]]):
    """Images and classes; every epoch shows them in the same order."""

    def set_epoch(self, epoch: int) -> None: ...


def step(backbone: str, image_size: int, precision: str, batch_size: int, steps: int) -> Task:
    """An epoch of ``steps`` batches."""
    settings = {"backbone": f'"{backbone}"', "image_size": image_size, "precision": f'"{precision}"'}
    recipe = load_recipe("article", [f"{key}={value}" for key, value in settings.items()])
    network, _ = build_network(backbone, len(recipe.classes), dropout=recipe.dropout)

    def images(files: list[Path]) -> _Images:
        needed = (files * (batch_size * steps))[: batch_size * steps]
        prepared = {
            file: recipe.preprocessing.apply(read_radiograph(ImageFile.at(file)).pixels) for file in set(needed)
        }
        return _Images((torch.from_numpy(prepared[f])[None], torch.tensor(i % 2)) for i, f in enumerate(needed))

    learner = None

    def task(files: list[Path]) -> int:
        nonlocal learner
        if learner is None:
            shown = images(files)
            loaders = DataLoaders(
                DataLoader(shown, bs=batch_size, num_workers=0),
                DataLoader(_Images(), bs=batch_size, num_workers=0),
                device=torch.device("cpu"),
            )
            learner = build_learner(recipe, network, loaders, folder=Path(mkdtemp(prefix="lungsight-steps-")))
        learner.fit(1, lr=1e-4)
        return batch_size * steps

    return task
