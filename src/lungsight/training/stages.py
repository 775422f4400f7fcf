"""The stages of a training run, one after the other, from the last checkpoint on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from fastai.learner import Learner
from rich.console import Console

from lungsight._progress import ProgressBars
from lungsight.errors import LungsightError
from lungsight.training import lr_search
from lungsight.training.batches import ProcessShard
from lungsight.training.callbacks import ShardedTraining, Watch, take_up_state
from lungsight.training.checkpoint import Checkpoint, Progress
from lungsight.training.diagnosis import Diagnosis, EpochLosses, TrainingProblem
from lungsight.training.progress import TrainingBars
from lungsight.training.recipe import Recipe, Stage
from lungsight.training.run_folder import truncate


class Stages:
    """The stages of a run, from the last checkpoint on."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        learner: Learner,
        share: ProcessShard,
        say: Callable[[str], None],
        console: Console,
    ) -> None:
        self.recipe, self.folder, self.learner, self.share = recipe, folder, learner, share
        self.say, self.console = say, console
        self.checkpoint = Checkpoint.read(folder / "checkpoint")
        self.progress = self.checkpoint.progress if self.checkpoint else Progress()
        self.best = self.checkpoint.best_weights if self.checkpoint else {}
        self.losses: list[EpochLosses] = []

    def run(self) -> Diagnosis | None:
        """Train what is left; the learner's model ends as the recipe's ``keep`` says. Raises Fault where training
        diverged so early that there are no weights to keep."""
        self._take_up()
        diagnosis: Diagnosis | None = None
        with ProgressBars(self.console) as bars:
            callback = TrainingBars(bars, self.recipe.epochs, self.progress.epochs)
            for number in range(self.progress.stage, len(self.recipe.stages)):
                watch = self._stage(number, self.recipe.stages[number], callback)
                diagnosis, self.best = watch.diagnosis, watch.best_weights
                self.progress = replace(watch.progress, stage=number + 1, stage_epochs=0)
                if _is_grave(diagnosis):
                    break
        if _is_grave(diagnosis) and not self.best:
            problem = f"training diverged before any weights were worth keeping ({diagnosis})".rstrip(".")
            raise LungsightError(
                self.folder, problem, "lower the learning rate (`lungsight find-lr`) and choose another --out"
            )
        if (self.recipe.keep == "best" or _is_grave(diagnosis)) and self.best:
            self.learner.model.load_state_dict(self.best)
            self.say(f"kept the weights of epoch {self.progress.best_epoch}, the lowest validation loss")
        return diagnosis

    def _take_up(self) -> None:
        truncate(self.folder / "history.csv", self.progress.epochs)
        truncate(self.folder / "batches.csv", self.progress.epochs)
        if self.checkpoint is None:
            return
        self.learner.model.load_state_dict(self.checkpoint.weights)
        take_up_state(self.learner.cbs, self.checkpoint.besides, self.checkpoint.weights)
        if self.progress.stage_epochs == self.recipe.stages[self.progress.stage].epochs:
            self.progress = replace(self.progress, stage=self.progress.stage + 1, stage_epochs=0)
        history = pd.read_csv(self.folder / "history.csv")
        self.losses = [EpochLosses(t, v) for t, v in zip(history["train_loss"], history["valid_loss"], strict=True)]
        self.say(f"going on after epoch {self.progress.epochs - 1}")

    def _stage(self, number: int, stage: Stage, bars: TrainingBars) -> Watch:
        learner, done = self.learner, self.progress.stage_epochs
        self._fresh_optimizer(stage)
        lr = stage.lr
        if done:
            assert self.checkpoint is not None
            learner.opt.load_state_dict(self.checkpoint.optimizer)
        elif self.recipe.learning_rate_search.before_stages and self.share.world == 1:
            lr = self._search(number, lr)
        learner.epoch_seed.first_epoch = self.progress.epochs - done
        watch = Watch(
            self.folder, number, self.progress, self.best,
            writes=self.share.rank == 0, checkpoint_seconds=self.recipe.checkpoint_seconds,
            classes=len(self.recipe.classes), say=self.say, losses=self.losses,
        )  # fmt: skip
        callbacks = [watch, bars] + ([ShardedTraining(sync_bn=False)] if self.share.world > 1 else [])
        rates = {} if lr is None else {"lr_max": lr[0] if lr[0] == lr[1] else slice(*lr)}
        learner.fit_one_cycle(stage.epochs, **rates, cbs=callbacks, start_epoch=done)
        return watch

    def _fresh_optimizer(self, stage: Stage) -> None:
        self.learner.opt = None
        if stage.frozen:
            self.learner.freeze()
        else:
            self.learner.unfreeze()

    def _search(self, number: int, lr: tuple[float, float] | None) -> tuple[float, float] | None:
        wanted = self.recipe.learning_rate_search
        curve = lr_search.search(self.learner, wanted.iterations)
        curve.write(self.folder / f"learning_rate_search_{number}.csv")
        stated = "fastai's default" if lr is None else f"{lr[0]:.0e} to {lr[1]:.0e}"
        self.say(f"learning-rate search before stage {number} suggests {curve.suggestion:.1e} (recipe: {stated})")
        return (curve.suggestion / 10, curve.suggestion) if wanted.use else lr


def _is_grave(diagnosis: Diagnosis | None) -> bool:
    """Whether the last weights are worthless, so that the best must stand in."""
    return diagnosis is not None and diagnosis.trouble is TrainingProblem.DIVERGENCE
