"""lungsight finds signs of COVID-19 in chest X-rays and shows how far its finding can be trusted.

Research software: not a medical device, not for diagnosis.
"""

from importlib.metadata import version

from lungsight import _environment

_environment.prepare()

__version__ = version("lungsight")

RESEARCH_ONLY = "Research software: not a medical device, not for diagnosis."
