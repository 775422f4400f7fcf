"""The papers that a journal, a regulator or a hub asks for: filled from the run, or left to the authors."""

from lungsight.reporting.checklists.write import write_checklists

__all__ = ["write_checklists"]
