"""Keeping copies whole and small: check, verify, replicate and repair, forget, prune, keys."""
