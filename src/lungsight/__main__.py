"""``python -m lungsight``, by which ``accelerate launch -m lungsight train …`` starts it too."""

from lungsight.cli import main

main()
