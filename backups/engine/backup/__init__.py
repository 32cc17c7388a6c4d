"""Backing up: one read of the source, the same packs to every destination, published in order."""
