"""Figures with intervals: AUROC and its kin, calibration, decisions, comparisons. Knows no images and no packages."""
