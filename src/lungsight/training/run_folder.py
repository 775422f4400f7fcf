"""The folder of a training run: its recipe, images, machine and times."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from lungsight._cores import cores
from lungsight._files import write_whole
from lungsight.errors import LungsightError, ManifestError, RecipeError
from lungsight.training.diagnosis import Diagnosis
from lungsight.training.recipe import Recipe, as_toml, load_recipe
from lungsight.training.run_log import command_line, installed_versions
from lungsight.training.training_set import TrainingSet


class RunFolder:
    """What the run folder states of the run.

    Until :meth:`begin`, another recipe may take the folder: an error in the recipe or the images can be corrected
    without choosing another one.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, writes: bool) -> None:
        self.recipe, self.folder = recipe, folder
        self.environment = folder / "environment.json"
        stated = folder / "recipe.toml"
        has_begun = self.environment.is_file()
        if has_begun and stated.is_file() and load_recipe(str(stated)) != recipe:
            raise RecipeError(folder, "holds a run of another recipe", "choose another --out, or remove that folder")
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            if not has_begun:
                write_whole(stated, as_toml(recipe))

    @property
    def is_finished(self) -> bool:
        """Whether training went to its end here."""
        return self.environment.is_file() and "finished" in self._read()

    def begin(self, images: TrainingSet) -> None:
        """Write down what is about to be trained. Raises ManifestError if the run began with other images."""
        stated = self.folder / "manifest.csv"
        before = _sides(stated)
        images.manifest.write(stated)
        if len(before) and not before.equals(_sides(stated)):
            raise ManifestError(stated, "isn't the images this run began with", "choose another --out")
        content = {"left_out": images.left_out, "leaks": [str(leak) for leak in images.leaks]}
        write_whole(self.folder / "images.json", json.dumps(content, indent=1))
        if not self.environment.exists():
            self._write(_environment(self.recipe))

    def end(self, diagnosis: Diagnosis | None) -> None:
        """Write down that training went to its end, and what its losses showed."""
        self._write(self._read() | {"finished": _now(), "diagnosis": str(diagnosis) if diagnosis else None})

    def _read(self) -> dict[str, object]:
        try:
            return dict(json.loads(self.environment.read_text("utf-8")))
        except ValueError as error:
            hint = "remove it and run the command again"
            raise LungsightError(self.environment, "isn't the JSON that was written there", hint) from error

    def _write(self, content: dict[str, object]) -> None:
        write_whole(self.environment, json.dumps(content, indent=1))


def _sides(path: Path) -> pd.DataFrame:
    """The split of the images when the run began; empty before it did."""
    columns = ["path", "split"]
    return pd.read_csv(path, dtype=str)[columns] if path.is_file() else pd.DataFrame(columns=columns)


def _environment(recipe: Recipe) -> dict[str, object]:
    return {
        "started": _now(),
        "command": command_line(),
        "seed": recipe.seed,
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processor_cores": cores(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "versions": installed_versions(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
