"""Which machine this is and which disk a folder lies on: the failure domain of folder locations.

Two folders on one disk, or on two partitions of one disk, are lost together. So the medium is the disk itself, found
through partitions, LVM and encryption; a network mount is named by its server and export.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_MACHINE_ID = Path("/etc/machine-id")
_MOUNTS = Path("/proc/self/mountinfo")
_BLOCK_DEVICES = Path("/sys/dev/block")


def machine_name() -> str:
    """Return this machine's name with the start of its machine id, e.g. "studio-nas (3d1219c7)"."""
    try:
        machine_id = _MACHINE_ID.read_text(encoding="ascii").strip()[:8]
    except OSError:
        machine_id = ""
    return f"{socket.gethostname()} ({machine_id})" if machine_id else socket.gethostname()


def medium_of(folder: str) -> str:
    """Return what `folder`, which must exist, physically lies on, e.g. "disk sda" or "nas:/export/weddings"."""
    device = os.stat(folder).st_dev
    disks = _disks_below(_BLOCK_DEVICES / f"{os.major(device)}:{os.minor(device)}")
    if disks:
        return "disk " + "+".join(sorted(disks))
    return _mount_source(os.path.realpath(folder)) or f"device {device}"


def _disks_below(entry: Path) -> set[str]:
    """Return the names of the whole disks behind a block device; an empty set if it is none."""
    if not entry.exists():
        return set()
    device = entry.resolve()
    if (device / "partition").exists():
        return {device.parent.name}
    beneath = [_disks_below(slave) for slave in device.glob("slaves/*")]
    return set().union(*beneath) if beneath else {device.name}


def _mount_source(path: str) -> str:
    """Return the source of the mount that `path` is on; network and virtual file systems have no block device."""
    mount_point = path
    while not os.path.ismount(mount_point):
        mount_point = os.path.dirname(mount_point)
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):  # the newest mount on a point hides the older ones
        fields, _, after = line.partition(" - ")
        if fields.split()[4].replace("\\040", " ") == mount_point:
            kind, source = after.split()[:2]
            return source if "/" in source or ":" in source else f"{kind} at {mount_point}"
    return ""
