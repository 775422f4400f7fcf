"""TRIPOD+AI: which item the run answers with what. The other items are the authors'."""

from __future__ import annotations

from collections.abc import Mapping

from lungsight.reporting.checklists import data_items as data
from lungsight.reporting.checklists import model_items as model
from lungsight.reporting.checklists import result_items as results
from lungsight.reporting.checklists.answer import Answering

FILE = "tripod_ai.toml"
ANSWERS: Mapping[str, Answering] = {
    "1": model.technology,
    "3b": model.intended_use,
    "4": results.goal,
    "5a": data.data_sources,
    "6a": data.centres,
    "6b": data.eligibility,
    "7": model.preprocessing,
    "8a": data.outcome,
    "9a": model.predictors,
    "9b": model.predictors,
    "9c": model.predictors,
    "10": data.sample_size,
    "11": data.missing_data,
    "12a": model.partitions,
    "12b": model.preprocessing,
    "12c": model.training,
    "12d": results.clusters,
    "12e": results.metrics,
    "12f": model.updating,
    "12g": model.prediction,
    "13": model.imbalance,
    "14": results.fairness,
    "15": model.output,
    "16": data.training_beside_test,
    "18e": data.availability,
    "18f": results.code,
    "20a": data.flow,
    "20b": data.characteristics,
    "20c": data.training_beside_test,
    "21": data.participants,
    "22": model.architecture,
    "23a": results.performance,
    "23b": results.heterogeneity,
    "24": model.updating,
    "25": results.implications,
    "26": results.limitations,
    "27a": results.poor_input,
}
