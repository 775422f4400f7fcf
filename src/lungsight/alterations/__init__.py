"""Ways to alter an image that audits ask a model about, and that a reader can try on an open image."""
