"""What the errors of the receiving disk mean."""

from __future__ import annotations

import errno

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR, errno.EEXIST)
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


def is_full(exc: OSError) -> bool:
    """Whether the target's disk or quota is full."""
    return exc.errno in NO_ROOM


def explain(exc: OSError) -> str:
    """Return what a person may read about an OSError at one entry."""
    if isinstance(exc, FileExistsError):
        return "something of that name is there and was not replaced"
    if isinstance(exc, IsADirectoryError):
        return "a folder of that name is there and was not replaced"
    if exc.errno == errno.EFBIG:
        return "this disk takes no file of that size; one formatted as exFAT, NTFS or APFS does"
    return f"cannot be written: {exc.strerror or exc}"
