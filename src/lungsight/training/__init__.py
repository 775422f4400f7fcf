"""Training: a recipe and a manifest become a model package."""

import warnings

with warnings.catch_warnings():  # fastai scripts a function while it is imported, which torch no longer recommends
    warnings.simplefilter("ignore", FutureWarning)
    import fastai.layers  # noqa: F401
