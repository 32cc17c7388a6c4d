"""Promises of wedbackup.core.logs: one line per record, and no secret in any of them."""

from __future__ import annotations

import base64
import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedbackup.core import logs

CANARY = 'canary/4c1d+"secret" ü=='
Log = Callable[[], str]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Log]]:
    """Set a logger up as `config` says and return what it wrote so far."""
    monkeypatch.setattr(logs, "_secrets", {})
    monkeypatch.setattr(logs, "_known", None)
    logger, handlers = logging.getLogger("test of logs"), []

    def start(form: str) -> Log:
        settings = logs.config(form, "DEBUG")
        stream = io.StringIO()
        settings["handlers"]["stderr"]["stream"] = stream
        settings["root"] = {}
        settings["loggers"] = {"test of logs": {"handlers": ["stderr"], "level": "DEBUG"}}
        settings["loggers"][logs.EVENTS.name] = {"handlers": ["stderr"], "level": "INFO"}
        logging.config.dictConfig(settings)
        handlers.extend(logger.handlers)
        return stream.getvalue

    yield start
    for name in (logger.name, logs.EVENTS.name):
        logging.getLogger(name).handlers.clear()


def forms_of(secret: str) -> list[str]:
    raw = secret.encode()
    return [
        secret,
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        base64.b64encode(raw).decode().rstrip("=")[:-1],
        base64.b64encode(b"user:" + raw).decode(),
    ]


def test_an_event_is_one_json_line_with_its_fields(log: Callable[[str], Log]) -> None:
    written = log("json")
    logs.integration_event("retry", location="Attic", pause_seconds=0.4, error=ValueError("two\nlines"))
    line = json.loads(written())
    assert (line["event"], line["location"], line["pause_seconds"]) == ("retry", "Attic", 0.4)
    assert (line["error"], line["level"], line["logger"]) == ("two\nlines", "INFO", "wedbackup.integration")
    assert written().count("\n") == 1


def test_people_read_the_same_as_a_line(log: Callable[[str], Log]) -> None:
    written = log("line")
    logs.integration_event("retry", location="Attic")
    assert written().rstrip().endswith('INFO wedbackup.integration: retry {"location": "Attic"}')


@pytest.mark.parametrize("form", ["json", "line"])
def test_a_remembered_secret_is_in_no_line_whatever_its_form(log: Callable[[str], Log], form: str) -> None:
    written = log(form)
    logs.remember_secret(CANARY)
    logger = logging.getLogger("test of logs")
    for secret in forms_of(CANARY):
        logger.info("it says %s here", secret)
        logs.integration_event("failed", message=f"and {secret} there", more={"deep": [secret]})
    logger.warning("%r", {"as a repr": CANARY})
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as exc:
            raise RuntimeError(f"cannot use {CANARY}") from exc
    except RuntimeError:
        logger.exception("it went wrong")
    text = written()
    assert text.count("it says") == len(forms_of(CANARY))
    assert "RuntimeError" in text and "KeyError" in text, "the whole chain is there"
    for secret in forms_of(CANARY):
        assert secret not in text
    assert "canary" not in text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=CANARY",
        "{'Authorization': 'Bearer CANARY', 'Host': 'a.b'}",
        "{'Authorization': b'Basic CANARY'}",
        "GET /a?X-Amz-Expires=60&X-Amz-Signature=CANARY&x=1",
        "https://x.blob.core.windows.net/a?sv=2024&sig=CANARY%3D&se=1",
        "https://api.test/cb?token=CANARY",
        'S3Options(bucket="a", secret_key="CANARY two words")',
        '{"client_secret": "CANARY", "other": 1}',
        "{'service_role_key': 'CANARY'}",
        "postgres://wed:CANARY@db.test/wedbackup",
        "-----BEGIN PRIVATE KEY-----\nCANARY\nCANARY\n-----END PRIVATE KEY-----\nrest",
        "-----BEGIN RSA PRIVATE KEY-----\nCANARY and cut off",
        "Set-Cookie: session=CANARY; Path=/",
    ],
)
def test_what_looks_like_a_secret_is_removed_although_nobody_named_it(text: str) -> None:
    assert "CANARY" not in logs.redact(text)
    assert logs.REMOVED in logs.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Check the credential of this location: key, secret and its rights.",
        "missing secret: secret_key",
        "https://s3.eu-west-2.amazonaws.com/weddings/data/3f/3f1a",
        "renew the token at the provider",
        "GET /a?list-type=2&prefix=data",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert logs.redact(text) == text


@pytest.mark.parametrize("length", range(8, len(CANARY)))
def test_what_is_left_of_a_secret_in_a_message_that_was_cut_goes_too(log: Callable[[str], Log], length: int) -> None:
    log("line")
    logs.remember_secret(CANARY)
    assert logs.redact(f"refused: {CANARY[:length]}") == f"refused: {logs.REMOVED}"


def test_short_words_are_not_taken_for_secrets(log: Callable[[str], Log]) -> None:
    log("line")
    logs.remember_secret("the")
    assert logs.redact("the whole sentence") == "the whole sentence"


def test_a_line_whose_arguments_do_not_fit_still_comes(log: Callable[[str], Log]) -> None:
    written = log("json")
    logging.getLogger("test of logs").info("%d files", "many")
    assert json.loads(written())["message"] == "%d files"


@given(st.text())
def test_redaction_takes_any_text_and_changes_nothing_twice(text: str) -> None:
    once = logs.redact(text)
    assert logs.redact(once) == once


def test_the_talk_of_sdks_is_never_written() -> None:
    levels = {name: part["level"] for name, part in logs.config("json", "DEBUG")["loggers"].items()}
    assert levels["botocore"] == levels["urllib3"] == levels["azure"] == "WARNING"


def test_an_unknown_form_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="line or json"):
        logs.config("xml", "INFO")
