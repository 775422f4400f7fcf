"""The stages of a training run, one after the other, from the last checkpoint on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import safetensors.torch
from fastai.learner import Learner
from rich.console import Console

from lungsight._files import atomic_write
from lungsight._progress import ProgressBars
from lungsight.errors import LungsightError
from lungsight.training import lr_search
from lungsight.training.batches import ProcessShard
from lungsight.training.callbacks import RunMonitor, ShardedTraining, TrainingBars, load_callback_states
from lungsight.training.checkpoint import Checkpoint, Progress, contiguous
from lungsight.training.diagnosis import Diagnosis, EpochLosses, TrainingProblem
from lungsight.training.recipe import Recipe, Stage
from lungsight.training.run_log import truncate


class Stages:
    """The stages of a run, from the last checkpoint on."""

    def __init__(
        self, recipe: Recipe, folder: Path, learner: Learner, shard: ProcessShard, log: Callable[[str], None],
        console: Console,
    ) -> None:  # fmt: skip
        self.recipe, self.folder, self.learner, self.shard = recipe, folder, learner, shard
        self.log, self.console = log, console
        self.checkpoint = Checkpoint.read(folder / "checkpoint")
        self.progress = self.checkpoint.progress if self.checkpoint else Progress()
        self.best = self.checkpoint.best_weights if self.checkpoint else {}
        self.losses: list[EpochLosses] = []

    def run(self) -> Diagnosis | None:
        """Train what is left; the learner's model ends as the recipe's ``keep`` states.

        Raises:
            LungsightError: training diverged so early that there are no weights to keep.
        """
        self._resume()
        diagnosis: Diagnosis | None = None
        with ProgressBars(self.console) as bars:
            callback = TrainingBars(bars, self.recipe.epochs, self.progress.epochs)
            for number in range(self.progress.stage, len(self.recipe.stages)):
                monitor = self._stage(number, self.recipe.stages[number], callback)
                diagnosis, self.best = monitor.diagnosis, monitor.best_weights
                self.progress = replace(monitor.progress, stage=number + 1, stage_epochs=0)
                self._keep(number)
                if _diverged(diagnosis):
                    break
        if _diverged(diagnosis) and not self.best:
            problem = f"training diverged before any weights were worth keeping ({diagnosis})".rstrip(".")
            hint = "lower the learning rate (`lungsight find-lr`) and choose another --out"
            raise LungsightError(self.folder, problem, hint)
        if (self.recipe.keep == "best" or _diverged(diagnosis)) and self.best:
            self.learner.model.load_state_dict(self.best)
            self.log(f"kept the weights of epoch {self.progress.best_epoch}, the lowest validation loss")
        return diagnosis

    def _keep(self, number: int) -> None:
        """Write what the network is at the end of a stage, as averaged, if the recipe asks for it."""
        if self.recipe.keep_stages and self.shard.rank == 0:
            with atomic_write(self.folder / "stages" / f"{number}.safetensors") as file:
                file.write(safetensors.torch.save(contiguous(self.learner.model.state_dict())))

    def _resume(self) -> None:
        truncate(self.folder / "history.csv", self.progress.epochs)
        truncate(self.folder / "batches.csv", self.progress.epochs)
        if self.checkpoint is None:
            return
        self.learner.model.load_state_dict(self.checkpoint.weights)
        load_callback_states(self.learner.cbs, self.checkpoint.callbacks, self.checkpoint.weights)
        if self.progress.stage_epochs == self.recipe.stages[self.progress.stage].epochs:
            self._keep(self.progress.stage)
            self.progress = replace(self.progress, stage=self.progress.stage + 1, stage_epochs=0)
        history = pd.read_csv(self.folder / "history.csv")
        self.losses = [EpochLosses(t, v) for t, v in zip(history["train_loss"], history["valid_loss"], strict=True)]
        self.log(f"going on after epoch {self.progress.epochs - 1}")

    def _stage(self, number: int, stage: Stage, bars: TrainingBars) -> RunMonitor:
        learner, done = self.learner, self.progress.stage_epochs
        learner.opt = None  # a fresh one for each stage
        learner.freeze() if stage.frozen else learner.unfreeze()
        lr = stage.lr
        if done:
            assert self.checkpoint is not None
            learner.opt.load_state_dict(self.checkpoint.optimizer)
        elif self.recipe.learning_rate_search.before_stages and self.shard.world == 1:
            lr = self._search(number, lr)
        learner.epoch_seed.first_epoch = self.progress.epochs - done
        monitor = RunMonitor(
            self.folder, number, self.progress, self.best,
            writes=self.shard.rank == 0, checkpoint_seconds=self.recipe.checkpoint_seconds,
            classes=len(self.recipe.classes), log=self.log, losses=self.losses,
        )  # fmt: skip
        callbacks = [monitor, bars] + ([ShardedTraining(sync_bn=False)] if self.shard.world > 1 else [])
        rates = {} if lr is None else {"lr_max": lr[0] if lr[0] == lr[1] else slice(*lr)}
        learner.fit_one_cycle(stage.epochs, **rates, cbs=callbacks, start_epoch=done)
        return monitor

    def _search(self, number: int, lr: tuple[float, float] | None) -> tuple[float, float] | None:
        wanted = self.recipe.learning_rate_search
        curve = lr_search.search(self.learner, wanted.iterations)
        curve.write(self.folder / f"learning_rate_search_{number}.csv")
        stated = "fastai's default" if lr is None else f"{lr[0]:.0e} to {lr[1]:.0e}"
        self.log(f"learning-rate search before stage {number} suggests {curve.suggestion:.1e} (recipe: {stated})")
        return (curve.suggestion / 10, curve.suggestion) if wanted.use else lr


def _diverged(diagnosis: Diagnosis | None) -> bool:
    """Whether the last weights are worthless, so that the best ones are kept instead."""
    return diagnosis is not None and diagnosis.problem is TrainingProblem.DIVERGENCE
