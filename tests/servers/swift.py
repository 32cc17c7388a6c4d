"""OpenStack Swift with its S3 interface: a real object store for tests and benchmarks, from PyPI.

Swift checks signatures, Content-MD5 and x-amz-checksum-sha256, keeps parts of interrupted uploads and pages its
listings. It is installed once into its own virtual environment below $WEDBACKUP_TEST_CACHE
(default ~/.cache/wedbackup-tests) and started from there in about 2 s:

    with running_swift(Path("/tmp/somewhere")) as swift:
        S3Options(endpoint_url=swift.url, access_key=swift.access_key, ...)
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.ports import free_port, wait_for_port

SWIFT_VERSION = "2.38.3"
ACCESS_KEY = "test:tester"
SECRET_KEY = "swift-test-secret"
SECOND_ACCESS_KEY = "test:second"  # another user of the same account: a key to change to
SECOND_SECRET_KEY = "swift-second-secret"
REGION = "us-east-1"

_FILTERS = Path(__file__).parent / "swift_filters"
_PIPELINE = (
    "catch_errors gatekeeper localcache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink"
)
_FILTER_OPTIONS = {
    "tempauth": f"user_{ACCESS_KEY.replace(':', '_')} = {SECRET_KEY} .admin\n"
    f"user_{SECOND_ACCESS_KEY.replace(':', '_')} = {SECOND_SECRET_KEY} .admin",
    "s3api": "location = {region}\nallow_multipart_uploads = true\nmin_segment_size = 5242880\n"
    "s3_acl = false\ncheck_bucket_owner = false",
    "versioned_writes": "allow_object_versioning = true",
}


@dataclass(frozen=True)
class Swift:
    """A running Swift. `port` of 127.0.0.1 speaks plain HTTP, or TLS if it is `secure`."""

    port: int
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION
    secure: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running_swift(folder: Path, *, region: str = REGION, certificate: Path | None = None) -> Iterator[Swift]:
    """Start Swift with its objects below `folder`, yield it, stop it; it accepts signatures for `region` only.

    certificate: PEM file with key and certificate; with it Swift speaks TLS by itself, and `url` begins with https.

    Raises RuntimeError with the end of the log if it does not come up.
    """
    programs = _installed() / "bin"
    for name in ("etc", "disk/d1", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in ("account", "container", "object", "proxy")}
    _configure(programs, folder, ports, region, certificate)
    environment = {**os.environ, "PYTHONPATH": str(_FILTERS), "PYTHONWARNINGS": "ignore"}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name in ports:
            command = [str(programs / f"swift-{name}-server"), str(folder / "etc" / f"{name}.conf")]
            with (folder / "log" / name).open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        for process, (name, port) in zip(processes, ports.items(), strict=True):
            try:
                wait_for_port(port, process)
            except RuntimeError as exc:
                log_end = (folder / "log" / name).read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Swift's {name} server did not start: {log_end}") from exc
        yield Swift(ports["proxy"], region=region, secure=certificate is not None)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=20)


def cache_folder() -> Path:
    """Return the folder that keeps what the tests install, between runs."""
    return Path(os.environ.get("WEDBACKUP_TEST_CACHE") or Path.home() / ".cache" / "wedbackup-tests")


def _installed() -> Path:
    """Return Swift's virtual environment, making it at the first use; several processes may ask at once."""
    venv = cache_folder() / f"swift-{SWIFT_VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f"{venv.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
            install = [str(venv / "bin" / "pip"), "install", "--quiet", f"swift=={SWIFT_VERSION}"]
            subprocess.run(install, check=True, capture_output=True)
            (venv / "complete").touch()
    return venv


def _configure(programs: Path, folder: Path, ports: dict[str, int], region: str, certificate: Path | None) -> None:
    """Write Swift's four configurations and its three rings (one device, one replica each)."""
    etc = folder / "etc"
    (etc / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n"
        "[storage-policy:0]\nname = default\ndefault = yes\n"
    )
    for name, port in ports.items():
        common = (
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\nuser = {getpass.getuser()}\n"
            f"swift_dir = {etc}\nlog_level = WARNING\ndevices = {folder / 'disk'}\nmount_check = false\n"
            "disable_fallocate = true\n"
        )
        if name == "proxy" and certificate:
            common += f"cert_file = {certificate}\nkey_file = {certificate}\n"
        (etc / f"{name}.conf").write_text(
            common + (_proxy_sections(region) if name == "proxy" else _server_section(name))
        )
        if name != "proxy":
            _build_ring(programs, etc, name, port)


def _proxy_sections(region: str) -> str:
    lines = [f"[pipeline:main]\npipeline = {_PIPELINE} proxy-server"]
    lines.append("[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true")
    for name in _PIPELINE.split():
        use = (
            "paste.filter_factory = wedbackup_swift_cache:filter_factory"
            if name == "localcache"
            else f"use = egg:swift#{name}"
        )
        lines.append(f"[filter:{name}]\n{use}\n{_FILTER_OPTIONS.get(name, '').format(region=region)}")
    return "\n".join(lines) + "\n"


def _server_section(name: str) -> str:
    return f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"


def _build_ring(programs: Path, etc: Path, name: str, port: int) -> None:
    builder = [str(programs / "swift-ring-builder"), f"{name}.builder"]
    for arguments in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
        ran = subprocess.run([*builder, *arguments], cwd=etc, capture_output=True, text=True)
        if ran.returncode == 2:  # 1 is only a warning
            raise RuntimeError(f"swift-ring-builder {name} {arguments[0]}: {ran.stdout}{ran.stderr}")
