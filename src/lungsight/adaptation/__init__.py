"""A model package and a hospital's own images to a package for that hospital; without torch."""
