"""Metrics with intervals: AUROC, calibration, decisions, comparisons. It knows neither images nor packages."""
