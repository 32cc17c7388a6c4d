"""The oracle: random sequences over a real installation, and a judge that shares no code with its verdicts.

`world` and `steps` do to an installation what happens to it; `judge` holds the product's words against what was
really there, read by `reader`, which knows the format by its own means. Everything follows from a seed; bin/truth runs
it.
"""
