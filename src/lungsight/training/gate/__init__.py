"""Training of the input gate: is this one frontal chest radiograph of a person?

>>> from lungsight.training.gate import GateRecipe, train_gate     # doctest: +SKIP
>>> train_gate(GateRecipe(), manifest, Path("gate"), seed=0)       # doctest: +SKIP
"""

from lungsight.training.gate.recipe import GateRecipe
from lungsight.training.gate.run import train_gate

__all__ = ["GateRecipe", "train_gate"]
