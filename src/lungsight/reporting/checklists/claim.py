"""CLAIM, 2024 update: which item the run answers with what. The other items are the authors'."""

from __future__ import annotations

from collections.abc import Mapping

from lungsight.reporting.checklists import data_items as data
from lungsight.reporting.checklists import model_items as model
from lungsight.reporting.checklists import result_items as results
from lungsight.reporting.checklists.answer import Answering

FILE = "claim_2024.toml"
ANSWERS: Mapping[str, Answering] = {
    "1": model.technology,
    "3": model.intended_use,
    "6": results.goal,
    "7": data.data_sources,
    "8": data.eligibility,
    "9": model.preprocessing,
    "10": model.selection,
    "12": data.missing_data,
    "13": data.acquisition,
    "14": data.reference_standard,
    "19": model.partitions,
    "20": model.disjoint,
    "21": data.sample_size,
    "22": model.architecture,
    "23": model.software,
    "24": model.initialisation,
    "25": model.training,
    "26": model.final_model,
    "27": model.ensembling,
    "28": results.metrics,
    "29": results.uncertainty,
    "30": results.robustness,
    "31": results.explanation,
    "32": data.internal_test,
    "33": data.external_test,
    "35": data.flow,
    "36": data.characteristics,
    "37": results.performance,
    "38": results.diagnostic_performance,
    "39": results.wrong_results,
    "40": results.limitations,
    "41": results.implications,
    "42": results.technical_details,
    "43": results.code,
}
