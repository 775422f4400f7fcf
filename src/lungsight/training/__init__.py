"""Training: a recipe and a manifest become a model package."""

import warnings

# fastai scripts a function while it is imported, which torch no longer recommends
warnings.filterwarnings("ignore", message="`torch.jit.script` is", category=FutureWarning)
