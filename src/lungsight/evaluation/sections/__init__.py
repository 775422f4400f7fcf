"""The report's parts: each computes its figures from what was judged."""
