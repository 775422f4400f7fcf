"""Tests of a model: the test set, the sections and audits of the evidence report, and the grade."""
