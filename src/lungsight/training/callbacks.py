"""What happens besides the optimisation while fastai trains."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.distributed import DistributedTrainer
from torch import Tensor

from lungsight.training.checkpoint import Checkpoint, Progress
from lungsight.training.diagnosis import Diagnosis, EpochLosses, TrainingProblem, diagnose, is_diverging

HISTORY = ("epoch", "stage", "train_loss", "valid_loss", "accuracy", "lr", "seconds")
BATCHES = ("step", "epoch", "stage", "loss", "lr")


@runtime_checkable
class KeepsState(Protocol):
    """A callback that a resumed run must find as it was."""

    def state(self) -> dict[str, Tensor]:
        """Its tensors by name."""

    def take_up(self, state: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
        """Go on from ``state``; ``weights`` were in the network with it."""


class EpochSeed(Callback):
    """Before each epoch, draw its plan and reset torch's generator (dropout), from the seed and the epoch alone."""

    order = -20
    run_valid = False

    def __init__(self, seed: int, rank: int) -> None:
        self.seed, self.rank, self.first_epoch = seed, rank, 0

    def before_train(self) -> None:
        epoch = self.first_epoch + self.epoch
        self.dls.train.dataset.set_epoch(epoch)
        seed = np.random.SeedSequence([self.seed, epoch, 2, self.rank]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed))


class BFloat16(Callback):
    """Forward pass and loss in bfloat16 where torch deems it safe, on whatever device the images are."""

    order = 10

    def before_batch(self) -> None:
        self.region = torch.autocast(self.xb[0].device.type, dtype=torch.bfloat16)
        self.region.__enter__()

    def after_loss(self) -> None:
        self.region.__exit__(None, None, None)

    def after_cancel_batch(self) -> None:
        self.region.__exit__(None, None, None)


class ShardedTraining(DistributedTrainer):
    """fastai's distributed training, but for the loaders: our plans already give each process its share, and need
    no broadcast (fastai's works on GPUs only)."""

    def _wrap_dl(self, dl: object) -> object:
        return dl


class Watch(Callback):
    """Write the losses down, name what they show, keep the best weights and the checkpoints, stop on divergence."""

    order = 55  # after fastai's recorder

    def __init__(
        self, run: Path, stage: int, progress: Progress, best_weights: dict[str, Tensor], *,
        writes: bool, checkpoint_seconds: float, classes: int, say: Callable[[str], None], losses: list[EpochLosses],
    ) -> None:  # fmt: skip
        self.run_folder, self.stage, self.progress, self.best_weights = run, stage, progress, best_weights
        self.writes, self.checkpoint_seconds, self.classes, self.say = writes, checkpoint_seconds, classes, say
        self.epoch_losses, self.saved = losses, time.monotonic()
        self.batches: list[tuple[int, int, int, float, float]] = []
        self.diagnosis: Diagnosis | None = None

    def before_train(self) -> None:
        self.started = time.monotonic()
        self.batches = []

    def after_batch(self) -> None:
        if not self.training:
            return
        epoch = self.progress.epochs
        step = epoch * len(self.dls.train) + len(self.batches)
        # of the classes alone: how far evidence is misplaced says nothing of whether anything is learned
        loss = float(self.learn.loss_func.of_classes(self.pred, *self.yb).detach())
        self.batches.append((step, epoch, self.stage, loss, float(self.opt.hypers[-1]["lr"])))
        if is_diverging([row[3] for row in self.batches], self.classes):
            self._stop(
                Diagnosis(TrainingProblem.DIVERGENCE, f"training loss {self.batches[-1][3]:.3g} in epoch {epoch}")
            )

    def after_epoch(self) -> None:
        if not self.batches:  # an epoch skipped on resuming
            return
        validation, accuracy = (float(value) for value in self.recorder.log[3:5])
        train = float(np.mean([row[3] for row in self.batches]))
        self.epoch_losses.append(EpochLosses(train, validation))
        done = replace(self.progress, epochs=self.progress.epochs + 1, stage_epochs=self.epoch + 1)
        if validation < done.best_loss:
            done = replace(done, best_loss=validation, best_epoch=self.progress.epochs)
            self.best_weights = {name: t.detach().cpu().clone() for name, t in self._network().state_dict().items()}
        self._write_down(train, validation, accuracy)
        self.progress = done
        self._name_trouble()
        if self.epoch + 1 == self.n_epoch or time.monotonic() - self.saved >= self.checkpoint_seconds:
            self._save()

    def _write_down(self, train: float, validation: float, accuracy: float) -> None:
        if not self.writes:
            return
        epoch, seconds = self.progress.epochs, time.monotonic() - self.started
        row = (epoch, self.stage, train, validation, accuracy, self.batches[-1][4], round(seconds, 2))
        _append(self.run_folder / "history.csv", HISTORY, [row])
        _append(self.run_folder / "batches.csv", BATCHES, self.batches)
        self.say(
            f"epoch {epoch} (stage {self.stage}): training loss {train:.4f}, validation loss {validation:.4f}, "
            f"accuracy {accuracy:.3f}, {seconds:.0f} s"
        )

    def _name_trouble(self) -> None:
        found = diagnose(self.epoch_losses, self.classes)
        if found is not None and (self.diagnosis is None or found.trouble != self.diagnosis.trouble):
            self.say(str(found))
        if found is not None and found.trouble is TrainingProblem.DIVERGENCE:
            self._stop(found)
        self.diagnosis = found

    def _stop(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        self.say(f"{diagnosis}; the run stops")
        raise CancelFitException

    def _save(self) -> None:
        self.saved = time.monotonic()
        if self.writes:
            state = self.opt.state_dict()
            weights = self._network().state_dict()
            besides = kept_state(self.learn.cbs)
            whole = Checkpoint(self.progress, weights, self.best_weights, state, besides)
            whole.write(self.run_folder / "checkpoint")

    def _network(self) -> torch.nn.Module:
        model: torch.nn.Module = getattr(self.learn.model, "module", self.learn.model)
        return model


def kept_state(callbacks: Iterable[Callback]) -> dict[str, Tensor]:
    """What the callbacks that have a state of their own need to go on, under their names."""
    return {
        f"{type(callback).__name__}/{name}": tensor
        for callback in callbacks
        if isinstance(callback, KeepsState)
        for name, tensor in callback.state().items()
    }


def take_up_state(callbacks: Iterable[Callback], besides: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    """Hand :func:`kept_state` back; ``weights`` are those that were in the network then."""
    for callback in callbacks:
        if isinstance(callback, KeepsState):
            own = f"{type(callback).__name__}/"
            state = {name.removeprefix(own): t for name, t in besides.items() if name.startswith(own)}
            callback.take_up(state, weights)


def _append(path: Path, header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(header)
        writer.writerows(rows)
