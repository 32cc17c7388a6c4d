"""Promises of providers.services.machine: what is lost together has one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.services import machine
from providers.services.machine import machine_name, medium_of


def device(root: Path, name: str, *, partition_of: str = "", slaves: tuple[str, ...] = ()) -> None:
    """Lay out a block device as the kernel does below /sys."""
    folder = root / "devices" / partition_of / name
    (folder / "slaves").mkdir(parents=True)
    if partition_of:
        (folder / "partition").write_text("1\n")
    for slave in slaves:
        (folder / "slaves" / slave.rpartition("/")[2]).symlink_to(root / "devices" / slave)
    (root / name).symlink_to(folder)


@pytest.mark.parametrize(
    ("name", "disks"), [("sda", {"sda"}), ("sda1", {"sda"}), ("dm-0", {"sda", "sdb"}), ("none", set())]
)
def test_partitions_and_volumes_are_named_by_the_disks_below_them(tmp_path: Path, name: str, disks: set[str]) -> None:
    """dm-0 is an encrypted volume over a partition of each disk."""
    device(tmp_path, "sda")
    device(tmp_path, "sda1", partition_of="sda")
    device(tmp_path, "sdb")
    device(tmp_path, "sdb1", partition_of="sdb")
    device(tmp_path, "dm-0", slaves=("sda/sda1", "sdb/sdb1"))
    assert machine._disks_below(tmp_path / name) == disks


def test_a_network_mount_is_named_by_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "40 21 0:50 / /mnt/old rw shared:2 - tmpfs none rw\n"
        "41 21 0:51 / /mnt/my\\040nas rw shared:3 - nfs4 nas:/export/weddings rw\n"
    )
    monkeypatch.setattr(machine, "_MOUNTS", mounts)
    monkeypatch.setattr(machine.os.path, "ismount", lambda path: path in {"/", "/mnt/my nas", "/mnt/old"})
    assert machine._mount_source("/mnt/my nas/weddings/2026") == "nas:/export/weddings"
    assert machine._mount_source("/mnt/old/x") == "tmpfs at /mnt/old"


def test_this_machine_and_the_disk_of_a_folder_have_names(tmp_path: Path) -> None:
    assert machine_name()
    assert medium_of(str(tmp_path))
