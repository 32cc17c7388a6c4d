"""What a location is opened for, where that makes a difference; any other word means ordinary work."""

VALIDATION = "validation"  # a person looks on: neither pause nor breaker stands in the way
RECOVERY = "recovery"  # goes before everything: no pause, no breaker, no limit
PRUNE = "prune"  # frees space, so the quota does not stop it; with the pruner's credential, if there is one
