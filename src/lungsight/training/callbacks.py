"""What happens besides the optimisation while fastai trains: seeds, records, checkpoints, alarms, progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.distributed import DistributedTrainer
from torch import Tensor

from lungsight._progress import ProgressBars
from lungsight.training.checkpoint import Checkpoint, Progress
from lungsight.training.diagnosis import Diagnosis, EpochLosses, TrainingProblem, diagnose, is_diverging
from lungsight.training.regularisation import bare_network
from lungsight.training.run_log import append_rows

HISTORY = ("epoch", "stage", "train_loss", "valid_loss", "accuracy", "lr", "seconds")
BATCHES = ("step", "epoch", "stage", "loss", "lr")


@runtime_checkable
class KeepsState(Protocol):
    """A callback whose state a resumed run needs."""

    def state(self) -> dict[str, Tensor]:
        """Its tensors by name."""

    def load_state(self, state: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
        """Continue from ``state``; ``weights`` were in the network with it."""


class EpochSeed(Callback):
    """Before each epoch, draw its plan and reset torch's generator (dropout), from the seed and the epoch alone."""

    order = -20
    run_valid = False

    def __init__(self, seed: int, rank: int) -> None:
        self.seed, self.rank, self.first_epoch = seed, rank, 0

    def before_train(self) -> None:
        """Draw and reset."""
        epoch = self.first_epoch + self.epoch
        self.dls.train.dataset.set_epoch(epoch)
        seed = np.random.SeedSequence([self.seed, epoch, 2, self.rank]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed))


class BFloat16(Callback):
    """Forward pass and loss in bfloat16 where torch deems it safe, on any device.

    fastai's own ``MixedPrecision`` does so on CUDA only.
    """

    order = 10

    def before_batch(self) -> None:
        """Begin."""
        self.region = torch.autocast(self.xb[0].device.type, dtype=torch.bfloat16)
        self.region.__enter__()  # type: ignore[no-untyped-call]

    def after_loss(self) -> None:
        """End."""
        self.region.__exit__(None, None, None)

    after_cancel_batch = after_loss


class ShardedTraining(DistributedTrainer):
    """fastai's distributed training without its loaders.

    Our plans already give each process its share, and need no broadcast (fastai's works on GPUs only).
    """

    def _wrap_dl(self, dl: object) -> object:
        return dl


class TrainingBars(Callback):
    """A bar for the run's epochs and one for the batches; without a terminal, a line every :attr:`SECONDS`."""

    order = 60
    SECONDS = 30.0

    def __init__(self, bars: ProgressBars, total_epochs: int, done_epochs: int) -> None:
        self.bars = bars
        self.done, self.printed = done_epochs, time.monotonic()
        self.epochs = bars.add_task("epochs", total=total_epochs, completed=done_epochs)
        self.batches = bars.add_task("batches", total=None)

    def before_train(self) -> None:
        """Start the bar of the batches."""
        self.bars.reset(self.batches, description="training", total=len(self.dl))

    def before_validate(self) -> None:
        """Start the bar of the batches."""
        self.bars.reset(self.batches, description="validating", total=len(self.dl))

    def after_batch(self) -> None:
        """Advance the bar, or print a line."""
        self.bars.advance(self.batches)
        console, now = self.bars.console, time.monotonic()
        if not console.is_terminal and now - self.printed >= self.SECONDS:
            self.printed = now
            side = "training" if self.training else "validating"
            console.print(f"epoch {self.done}: {side}, batch {self.iter + 1} of {self.n_iter}", highlight=False)

    def after_validate(self) -> None:
        """Advance the bar of the epochs."""
        self.done += 1
        self.bars.advance(self.epochs)


class RunMonitor(Callback):
    """Records the losses, names what they show, keeps the best weights and the checkpoints, stops on divergence."""

    order = 55  # after fastai's recorder

    def __init__(
        self, run: Path, stage: int, progress: Progress, best_weights: dict[str, Tensor], *,
        writes: bool, checkpoint_seconds: float, classes: int, log: Callable[[str], None], losses: list[EpochLosses],
    ) -> None:  # fmt: skip
        self.run_folder, self.stage, self.progress, self.best_weights = run, stage, progress, best_weights
        self.writes, self.checkpoint_seconds, self.classes, self.log = writes, checkpoint_seconds, classes, log
        self.epoch_losses, self.saved = losses, time.monotonic()
        self.batches: list[tuple[int, int, int, float, float]] = []
        self.diagnosis: Diagnosis | None = None

    def before_train(self) -> None:
        """Begin an epoch's records."""
        self.started = time.monotonic()
        self.batches = []

    def after_batch(self) -> None:
        """Record the batch's loss; stop if the losses explode."""
        if not self.training:
            return
        epoch = self.progress.epochs
        step = epoch * len(self.dls.train) + len(self.batches)
        # of the classes alone: the loss of misplaced evidence doesn't show whether anything is learned
        loss = float(self.learn.loss_func.of_classes(self.pred, *self.yb).detach())
        self.batches.append((step, epoch, self.stage, loss, float(self.opt.hypers[-1]["lr"])))
        if is_diverging([row[3] for row in self.batches], self.classes):
            evidence = f"training loss {self.batches[-1][3]:.3g} in epoch {epoch}"
            self._stop(Diagnosis(TrainingProblem.DIVERGENCE, evidence))

    def after_epoch(self) -> None:
        """Record the epoch, keep the best weights, write a checkpoint if one is due."""
        if not self.batches:  # an epoch skipped on resuming
            return
        validation, accuracy = (float(value) for value in self.recorder.log[3:5])
        train = float(np.mean([row[3] for row in self.batches]))
        self.epoch_losses.append(EpochLosses(train, validation))
        done = replace(self.progress, epochs=self.progress.epochs + 1, stage_epochs=self.epoch + 1)
        if validation < done.best_loss:
            done = replace(done, best_loss=validation, best_epoch=self.progress.epochs)
            weights = bare_network(self).state_dict()
            self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        self._record(train, validation, accuracy)
        self.progress = done
        self._diagnose()
        if self.epoch + 1 == self.n_epoch or time.monotonic() - self.saved >= self.checkpoint_seconds:
            self._save()

    def _record(self, train: float, validation: float, accuracy: float) -> None:
        if not self.writes:
            return
        epoch, seconds = self.progress.epochs, time.monotonic() - self.started
        row = (epoch, self.stage, train, validation, accuracy, self.batches[-1][4], round(seconds, 2))
        append_rows(self.run_folder / "history.csv", HISTORY, [row])
        append_rows(self.run_folder / "batches.csv", BATCHES, self.batches)
        self.log(
            f"epoch {epoch} (stage {self.stage}): training loss {train:.4f}, validation loss {validation:.4f}, "
            f"accuracy {accuracy:.3f}, {seconds:.0f} s"
        )

    def _diagnose(self) -> None:
        found = diagnose(self.epoch_losses, self.classes)
        if found is not None and (self.diagnosis is None or found.problem != self.diagnosis.problem):
            self.log(str(found))
        if found is not None and found.problem is TrainingProblem.DIVERGENCE:
            self._stop(found)
        self.diagnosis = found

    def _stop(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        self.log(f"{diagnosis}; the run stops")
        raise CancelFitException

    def _save(self) -> None:
        self.saved = time.monotonic()
        if self.writes:
            weights, states = bare_network(self).state_dict(), callback_states(self.learn.cbs)
            checkpoint = Checkpoint(self.progress, weights, self.best_weights, self.opt.state_dict(), states)
            checkpoint.write(self.run_folder / "checkpoint")


def callback_states(callbacks: Iterable[Callback]) -> dict[str, Tensor]:
    """The states of the callbacks that have one, under their names."""
    return {
        f"{type(callback).__name__}/{name}": tensor
        for callback in callbacks
        if isinstance(callback, KeepsState)
        for name, tensor in callback.state().items()
    }


def load_callback_states(
    callbacks: Iterable[Callback], states: dict[str, Tensor], weights: dict[str, Tensor]
) -> None:
    """Hand :func:`callback_states` back; ``weights`` are those that were in the network then."""
    for callback in callbacks:
        if isinstance(callback, KeepsState):
            own = f"{type(callback).__name__}/"
            state = {name.removeprefix(own): t for name, t in states.items() if name.startswith(own)}
            callback.load_state(state, weights)
