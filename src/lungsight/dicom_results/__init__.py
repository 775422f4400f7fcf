"""Findings as DICOM objects that stand in the image's own study; needs the extra ``hospital``.

pydicom and highdicom do the work. What highdicom leaves to its callers is in ``objects.py`` and ``segmentation.py``.
"""
