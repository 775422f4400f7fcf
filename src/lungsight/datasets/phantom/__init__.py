"""The phantom: simulated chest radiographs whose truth is known.

A patient is drawn by Beer–Lambert projection (path length × attenuation of every organ, summed along the beam),
then seen by a detector with scatter, blur and quantum noise. The lungs, the disease and any planted shortcut are
known to the pixel, so that a training, a heatmap or an audit can be measured against the truth.
"""

from lungsight.datasets.phantom.collection import write_collection
from lungsight.datasets.phantom.drawing import Phantom, draw
from lungsight.datasets.phantom.patient import HOSPITALS, Hospital, Label, PhantomPatient
from lungsight.datasets.phantom.shortcuts import Shortcut

__all__ = ["HOSPITALS", "Hospital", "Label", "Phantom", "PhantomPatient", "Shortcut", "draw", "write_collection"]
