"""The chunker polynomial of a repository's config: irreducible over GF(2), degree 53.

Our own chunker does not use it, but restic refuses a repository whose polynomial is reducible, and a stock client that
adds a snapshot cuts with it. Polynomials are integers, bit n standing for x**n.
"""

from __future__ import annotations

import secrets

DEGREE = 53


def _remainder(value: int, divisor: int) -> int:
    width = divisor.bit_length()
    while (shift := value.bit_length() - width) >= 0:
        value ^= divisor << shift
    return value


def _multiply(a: int, b: int, modulus: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = _remainder(a << 1, modulus)
        b >>= 1
    return product


def is_irreducible(polynomial: int) -> bool:
    """Ben-Or's test: no factor of degree i for any i up to half the degree."""
    degree = polynomial.bit_length() - 1
    power = 2  # the polynomial x
    for _ in range(degree // 2):
        power = _multiply(power, power, polynomial)
        a, b = polynomial, power ^ 2
        while b:
            a, b = b, _remainder(a, b)
        if a != 1:
            return False
    return True


def random_polynomial() -> int:
    """Return a random irreducible polynomial of degree 53."""
    while True:
        candidate = secrets.randbits(DEGREE) | (1 << DEGREE) | 1
        if is_irreducible(candidate):
            return candidate
