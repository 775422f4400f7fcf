"""Pictures: what stands on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungsight import RESEARCH_ONLY
from lungsight.reporting.training_plots import (
    confusion_figure,
    confusion_table,
    learning_rate_figure,
    loss_figure,
)

CONFUSION = np.array([[8, 2], [0, 0]])
HISTORY = pd.DataFrame({"epoch": [0, 1, 2], "stage": [0, 1, 1], "train_loss": [3, 2, 1], "valid_loss": [3, 2, 2]})
BATCHES = pd.DataFrame({"step": [0, 1, 2], "stage": [0, 1, 1], "lr": [1e-4, 1e-3, 1e-5]})


def test_a_confusion_matrix_shows_counts_and_shares_of_each_row() -> None:
    axes = confusion_figure(CONFUSION, ("covid19", "other"), "Test").axes[0]
    assert [t.get_text() for t in axes.texts] == ["8\n80%", "2\n20%", "0\n–", "0\n–"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["COVID-19\nn = 10", "other\nn = 0"]
    assert axes.get_xlabel() == "Predicted"


def test_the_table_of_a_confusion_matrix_names_truth_and_prediction() -> None:
    table = confusion_table(CONFUSION, ("covid19", "other"))
    assert table.to_csv(index=False) == "truth,predicted_covid19,predicted_other\ncovid19,8,2\nother,0,0\n"


def test_losses_are_drawn_with_their_stages() -> None:
    axes = loss_figure(HISTORY).axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn == {"training": [3, 2, 1], "validation": [3, 2, 2]}
    assert [t.get_text() for t in axes.texts] == ["stage 0", "stage 1"]


@pytest.mark.parametrize(
    "figure",
    [confusion_figure(CONFUSION, ("a", "b"), "T"), loss_figure(HISTORY), learning_rate_figure(BATCHES)],
    ids=["confusion", "loss", "learning rate"],
)
def test_every_picture_has_title_and_axes_and_says_that_it_is_research(figure) -> None:  # type: ignore[no-untyped-def]
    axes = figure.axes[0]
    assert axes.get_title(loc="left")
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    assert RESEARCH_ONLY in [text.get_text() for text in figure.texts]
