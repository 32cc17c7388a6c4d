"""The benchmark behind `bin/bench`: the product's real commands against other programs, interleaved, as ratios."""
