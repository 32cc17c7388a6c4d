"""Canaries: secrets that nobody could mistake are used everywhere that secrets are used, and found nowhere.

Two servers stand for the providers. One refuses plainly. The other is the worst that a proxy's debug page can be: it
answers each request with everything that was in it, the Authorization header included.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import logging.config
import pickle
import subprocess
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.apps import apps
from django.core import serializers
from django.db import connection
from django.test import Client

from backups.services.vaults import vault_secret
from providers.models import Location
from providers.services.locations import location_create, location_open, location_report, store_of
from providers.services.probes import location_probe
from providers.services.purposes import RECOVERY
from providers.services.validations import location_validate
from providers.stores.errors import StoreError
from tests.backups.ground import Ground
from tests.servers.fake_http import Answer, Request, serving
from wedbackup.core import logs
from wedbackup.core.models import User

pytestmark = pytest.mark.django_db(transaction=True)

NOISE = "Zq7" + uuid.UUID(int=0x5EC2E7).hex[-6:]


def canary(kind: str) -> str:
    """Return a secret with signs that URLs, JSON and reprs write in their own ways."""
    return f"canary-{kind}-{NOISE}/+é\"'=="


def plain_canary(kind: str) -> str:
    """Return one that fits into a header."""
    return f"canary-{kind}-{NOISE}-key"


def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode()


@dataclass(frozen=True)
class Kind:
    """One kind of location with its secrets. traces: what must be found nowhere."""

    name: str
    options: Callable[[str], dict[str, str]]
    secrets: dict[str, str]
    traces: list[str] = field(default_factory=list)


AZURE_KEY = base64.b64encode(f"canary-azure-{NOISE}".encode() * 2).decode()
GCS_PEM = private_key()
GCS_KEY = json.dumps(
    {
        "type": "service_account",
        "client_email": "weddings@studio.iam.gserviceaccount.com",
        "project_id": "studio",
        "private_key_id": "1",
        "private_key": GCS_PEM,
        "token_uri": "http://127.0.0.1:9/token",
    }
)
LINE = {"connect_seconds": "1", "read_seconds": "2"}
KINDS = [
    Kind(
        "s3",
        lambda url: {"bucket": "weddings", "access_key": "AKIA1", "endpoint_url": url, **LINE},
        {"secret_key": canary("s3"), "session_token": plain_canary("s3-session")},
    ),
    Kind(
        "azure",
        lambda url: {"account": "studio", "container": "weddings", "endpoint_url": url, **LINE},
        {"account_key": AZURE_KEY},
    ),
    Kind("supabase", lambda url: {"url": url, "bucket": "weddings", **LINE}, {"service_key": plain_canary("supabase")}),
    Kind(
        "dropbox",
        lambda url: {"app_key": "app", "folder": "Weddings", "endpoint_url": url, **LINE},
        {"app_secret": plain_canary("dropbox-app"), "refresh_token": plain_canary("dropbox")},
    ),
    Kind(
        "gcs",
        lambda url: {"bucket": "weddings", "endpoint_url": url, **LINE},
        {"key_json": GCS_KEY},
        traces=GCS_PEM.splitlines()[1:-1],
    ),
]


def forms(kind: Kind) -> Iterator[str]:
    """Yield everything by which one of the secrets could be recognised."""
    yield from kind.traces
    for secret in kind.secrets.values():
        raw = secret.encode()
        yield from {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
        yield from {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
        yield from {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex()}
        if kind.name != "gcs":
            for middle in (secret, base64.b64encode(b"xyz" + raw).decode()):
                yield middle[8:-8]


def assert_clean(kind: Kind, where: str, text: str) -> None:
    for form in forms(kind):
        assert form not in text, (
            f"{kind.name}: a secret is in {where}: ...{text[max(0, text.find(form) - 200) :][:400]}"
        )


def plainly(request: Request) -> Answer:
    return Answer(403, {"error": "refused", "message": "the credential is not known here"})


def indiscreetly(request: Request) -> Answer:
    said = {"message": str(request.headers), "path": request.path, "query": request.query}
    said["error"] = said["error_summary"] = f"{request.headers.get('Authorization')} {request.body[:2000]!r}"
    return Answer(403, said)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(params=[plainly, indiscreetly], ids=["plain", "indiscreet"])
def answering(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that our own settings let through at DEBUG, the SDKs' talk included."""
    stream = io.StringIO()
    settings = logs.config("json", "DEBUG")
    settings["handlers"]["stderr"]["stream"] = stream
    for name, part in settings["loggers"].items():
        part["level"] = "DEBUG"
        logging.getLogger(name).setLevel(logging.DEBUG)
    before = logging.getLogger().handlers[:]
    logging.config.dictConfig(settings)
    yield stream
    logging.getLogger().handlers[:] = before
    logging.config.dictConfig(logs.config("line", "WARNING"))


def everything_stored() -> str:
    """Return every row of every table, as the database has it and as Django writes it."""
    rows = [serializers.serialize("json", model._base_manager.all()) for model in apps.get_models()]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += [repr(row) for row in cursor.fetchall()]
    return "\n".join(rows)


def told_by(error: BaseException) -> str:
    """Return all that an exception could say: its own words, those of its causes, and the traceback."""
    told, link = ["".join(traceback.format_exception(error))], error
    while link is not None:
        told += [repr(link), str(link), repr(link.args)]
        link = link.__cause__ or link.__context__  # type: ignore[assignment]
    return "\n".join(told)


def test_no_secret_leaves_the_place_that_needs_it(
    kind: Kind, answering: Any, ground: Ground, log: io.StringIO, client: Client
) -> None:
    vault = ground.vault()
    with serving(answering) as url:
        location = location_create(
            name="Canary",
            kind=kind.name,
            options=kind.options(url),
            secrets=kind.secrets,
            account="a",
            private_address_allowed=True,
            actor="alice",
        )
        vault.copies.create(location=location)

        errors = list(_every_call(location))
        assert len(errors) >= 5, "the server refuses, so the calls fail"
        result = location_probe(location)
        assert result is not None and result.error is not None
        findings = _validated(location)
        job = ground.back_up(vault)
        assert "Canary" in str(job.result.get("missing", job.message)), "the backup met the failing location"
        location_report(location, ok=False, error=errors[0])

    for error in errors:
        assert_clean(kind, "an error's words", f"{error} {error!r} {error.args} {error.advice}")
        if answering is plainly:
            assert_clean(kind, "an error's chain", told_by(error))
        logging.getLogger("story").error("as an unknown error would be logged", exc_info=error)
    assert_clean(kind, "the findings", findings)
    assert_clean(kind, "the store's repr", f"{store_of(location)!r} {vars(store_of(location))!r}")
    assert_clean(kind, "the database", everything_stored())
    for path, page in _pages(client, location, str(job.pk)):
        assert_clean(kind, path, page)
    written = log.getvalue()
    assert "as an unknown error would be logged" in written and "call failed" in written
    assert_clean(kind, "the log", written)
    assert vault_secret(vault).decode() not in written + everything_stored()


def _every_call(location: Location) -> Iterator[StoreError]:
    """Yield what each kind of call raised, through all wrappers and bare."""
    for store in (location_open(location, purpose=RECOVERY), store_of(location)):
        calls: list[Callable[[], object]] = [
            lambda store=store: store.put("a", b"1"),  # type: ignore[misc]
            lambda store=store: store.get("a"),  # type: ignore[misc]
            lambda store=store: store.head("a"),  # type: ignore[misc]
            lambda store=store: [*store.list()],  # type: ignore[misc]
            lambda store=store: store.delete("a"),  # type: ignore[misc]
            lambda store=store: store.facts(),  # type: ignore[misc]
        ]
        for call in calls:
            try:
                call()
            except StoreError as error:
                yield error
        store.close()


def _validated(location: Location) -> str:
    """Return what the first promises of a validation find; there is nothing to learn from the other fifty."""
    told = []
    try:
        for number, finding in enumerate(location_validate(location, actor="alice")):
            told.append(repr(finding))
            if number >= 5:
                break
    except StoreError as error:
        told.append(f"{error} {error!r}")
    return "\n".join(told)


def _pages(client: Client, location: Location, job: str) -> Iterator[tuple[str, str]]:
    admin = User.objects.create_superuser("root", password="a long password", role=User.Role.ADMIN)
    client.force_login(admin)
    for path in (
        "/",
        "/locations/",
        f"/locations/{location.pk}/",
        f"/locations/{location.pk}/credentials/",
        f"/locations/{location.pk}/traffic/",
        f"/jobs/{job}/",
        "/alerts/",
        "/admin/providers/location/",
        f"/admin/providers/location/{location.pk}/change/",
        f"/admin/providers/location/{location.pk}/history/",
        "/admin/core/auditentry/",
        "/admin/core/event/",
    ):
        answer = client.get(path, follow=True)
        assert answer.status_code in (200, 404), path
        yield path, answer.content.decode()


def test_a_process_of_the_engine_keeps_the_secrets_that_it_was_given(kind: Kind, db: None, key_file: Path) -> None:
    """It has no settings and no sealed credentials: what it got by pickle it must not log."""
    location = location_create(
        name="Canary",
        kind=kind.name,
        options=kind.options("http://127.0.0.1:9"),
        secrets=kind.secrets,
        private_address_allowed=True,
        account="a",
        actor="alice",
    )
    store = location_open(location, purpose="backup")
    program = (
        "import json, logging, pickle, sys\nfrom wedbackup.core import logs\nlogs.configure_worker_process()\n"
        "store, secrets = pickle.load(sys.stdin.buffer)\n"
        "for secret in secrets:\n    logging.error('the SDK says: %s', secret)\n"
        "try:\n    store.put('a', b'1')\nexcept Exception:\n    logging.exception('it failed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((store, list(kind.secrets.values()))),
        capture_output=True,
        check=True,
    )
    written = done.stderr.decode()
    assert "the SDK says: [removed]" in written and "it failed" in written
    assert_clean(kind, "a worker's log", written)
