"""Reporting checklists (CLAIM, TRIPOD+AI): filled from the run, or left to the authors."""
