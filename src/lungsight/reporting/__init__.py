"""Pages and pictures: what people read."""
