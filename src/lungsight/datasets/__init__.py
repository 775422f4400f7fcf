"""Collections, folders and tables of images, made into manifests; their splits, duplicates, and the phantom."""
