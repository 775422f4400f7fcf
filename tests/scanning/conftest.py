"""The detector and the radiographs that several folders of tests share."""

from detector_fixtures import cropping, detector, make_detector, make_radiograph, package, phantoms

__all__ = ["cropping", "detector", "make_detector", "make_radiograph", "package", "phantoms"]
