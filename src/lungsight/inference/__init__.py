"""From a radiograph and a package to a finding; knows packages, not files or pages."""
