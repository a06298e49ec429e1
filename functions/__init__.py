"""Trigger modules: bindings in, one call into shared/, an answer out."""
