"""The packages, images and runs that several folders of tests share."""

from evaluation_fixtures import film, films, make_package, make_run

__all__ = ["film", "films", "make_package", "make_run"]
