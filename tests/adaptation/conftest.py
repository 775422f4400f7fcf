"""The package and the hospitals of these tests."""

from adaptation_fixtures import halves, make_hospital

__all__ = ["halves", "make_hospital"]
