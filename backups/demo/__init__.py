"""A wedding that never was: the files that a photographer, a venue and a couple would have.

For the first run of the program and for tests. Pure Python: no Django, no settings, no clock.
Everything follows from a seed, so two machines with the same package versions get the same bytes.
"""
