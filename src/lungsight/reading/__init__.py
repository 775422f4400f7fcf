"""Read image files of any format. Only this package knows DICOM, image formats, folders and archives.

>>> for found in walk_images(["study.zip", "wards/"]):     # doctest: +SKIP
...     radiograph = read_radiograph(found)
"""

from lungsight.reading.discovery import walk_images
from lungsight.reading.files import ImageFile
from lungsight.reading.reader import read_radiograph

__all__ = ["ImageFile", "read_radiograph", "walk_images"]
