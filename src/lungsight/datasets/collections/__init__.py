"""One module for each collection: what is known of it, and how its folder is read."""
