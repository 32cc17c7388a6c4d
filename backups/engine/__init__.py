"""The vault engine: writes and reads standard restic repositories, format v2. Knows no Django.

One read of the source, the same pack bytes to many locations. docs/vault-format.md tells what is written, byte by
byte; the authority on the format is restic's doc/design.rst.
"""
