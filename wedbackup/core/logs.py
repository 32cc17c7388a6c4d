"""The log: one line per record, one JSON object per integration event, and no secret in either.

An integration event is anything between us and a provider that somebody may want to count or to follow later: a failed
call, a retry, a breaker that opens, a wait for the rate limit, a failed probe, a credential that rotates. `config`
gives the settings of `logging`; the handler has the filter that removes secrets, from messages, fields and tracebacks.

Knows no Django: the engine's worker processes use it too.
"""

from __future__ import annotations

import base64
import json
import logging
import logging.config
import os
import re
import threading
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

EVENTS = logging.getLogger("wedbackup.integration")
EVENTS_FILE_BYTES = 10 * 1024 * 1024
REMOVED = "[removed]"
SECRET_CHARACTERS_MIN = 6  # shorter ones would blacken half of the log and protect nothing
SECRETS_MAX = 500
# Their debug output holds signed requests, and bodies.
_SDK_LOGGERS = ("azure", "boto3", "botocore", "boxsdk", "box_sdk_gen", "dropbox", "google", "s3transfer", "urllib3")

_TELLING_WORDS = (
    r"(?:[\w-]*(?:secret|password|passwd|passphrase|token|api_?key|apikey|(?:account|private|service_role|secret)_key)"
    r"|sig|signature|x-amz-signature|x-goog-signature|x-amz-security-token|sharedaccesssignature)"
)
_TELLING_HEADERS = r"(?:proxy-)?authorization|x-amz-security-token|x-api-key|apikey|(?:set-)?cookie"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL), REMOVED),
    (re.compile(rf"(?i)\b((?:{_TELLING_HEADERS})['\"]?\s*[:=]\s*b?['\"]?)[^\r\n'\"]+"), rf"\1{REMOVED}"),
    (re.compile(rf"(?i)\b({_TELLING_WORDS}=)(?:'[^']*'|\"[^\"]*\"|[^\s&'\",;)}}\]]+)"), rf"\1{REMOVED}"),
    (
        re.compile(rf"(?i)((?P<q>['\"]){_TELLING_WORDS}(?P=q)\s*[:=]\s*b?)(['\"])(?:(?!\3)[^\\]|\\.)*\3"),
        rf"\1\3{REMOVED}\3",
    ),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@'\"]*:)[^\s/@'\"]+(?=@)", re.IGNORECASE), rf"\1{REMOVED}"),
)

_lock = threading.Lock()
_secrets: dict[str, None] = {}  # in memory only, the oldest first


class _Known(NamedTuple):
    """What the remembered secrets look like. whole: any of them; head: the beginning of any; forms: all."""

    whole: re.Pattern[str]
    head: re.Pattern[str]
    forms: tuple[str, ...]


_known: _Known | None = None


def integration_event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log one integration event: what happened, in one or two words, and plain values that say where and how."""
    EVENTS.log(level, "%s", name, extra={"fields": fields})


def remember_secret(value: object) -> None:
    """Have `value` removed from every line that this process logs from now on, in whatever form it appears."""
    global _known
    text = value if isinstance(value, str) else ""
    with _lock:
        if len(text) < SECRET_CHARACTERS_MIN or text in _secrets:
            return
        _secrets[text] = None
        while len(_secrets) > SECRETS_MAX:
            del _secrets[next(iter(_secrets))]
        forms = sorted({form for secret in _secrets for form in _forms(secret)}, key=len, reverse=True)
        heads = {form[:SECRET_CHARACTERS_MIN] for form in forms}
        _known = _Known(_any_of(forms), _any_of(heads), tuple(forms))


def _forms(secret: str) -> set[str]:
    """Return how `secret` looks plain, in a URL, in JSON, in a repr, and inside base64, at each alignment."""
    forms = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }
    forms |= {line for line in secret.splitlines() if len(line) >= 16}  # a PEM's body, printed line by line
    raw = secret.encode()
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * shift + raw).decode().rstrip("=")
            forms.add(whole[(shift * 8 + 5) // 6 : len(whole) - 1])  # without what its neighbours share
    return {form for form in forms if len(form) >= SECRET_CHARACTERS_MIN}


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)))


def redact(text: str) -> str:
    """Return `text` without secrets: those remembered, and what looks like one by the name or mark beside it.

    A message that was cut to a length may end within a secret: what is left of it goes too.
    """
    known = _known
    if known is not None:
        text = known.whole.sub(REMOVED, text)
        for found in known.head.finditer(text):
            rest = text[found.start() :].rstrip("\n'\"")
            if any(form.startswith(rest) for form in known.forms):
                text = text[: found.start()] + REMOVED
                break
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _redacted(value: Any) -> Any:
    """Return a field's value without secrets; what JSON does not know becomes text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(key)): _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    return redact(str(value))


class SecretsFilter(logging.Filter):
    """Removes secrets from a record before any handler writes it: message, fields and traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit are the caller's bug; the line must come all the same
            message = str(record.msg)
        record.msg, record.args = redact(message), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        if (fields := getattr(record, "fields", None)) is not None:
            record.fields = _redacted(fields)
        record.exc_info = None  # another handler would write it once more, with everything in it
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per line: at, level, logger, message, the fields of an event, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        line |= {"message": record.getMessage()} if fields is None else {"event": record.getMessage(), **fields}
        if record.exc_text:
            line["traceback"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str)


class LineFormatter(logging.Formatter):
    """For people: time, level, logger and message; an event's fields follow as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        fields = getattr(record, "fields", None)
        return text if fields is None else f"{text} {json.dumps(fields, default=str)}"


def config(form: str, level: str, *, events_file: str = "") -> dict[str, Any]:
    """Return the settings for `logging`.

    form:        "line" or "json".
    level:       of everything but events and SDKs.
    events_file: where integration events go, as JSON; a terminal then shows only those that tell of trouble.
    """
    if form not in {"line", "json"}:
        raise ValueError(f"WEDBACKUP_LOG_FORMAT is line or json, not {form!r}")
    stderr = {"class": "logging.StreamHandler", "formatter": form, "filters": ["secrets"]}
    events: dict[str, Any] = {"level": "INFO", "handlers": [], "propagate": True}
    handlers: dict[str, dict[str, Any]] = {"stderr": stderr}
    if events_file:
        handlers |= {
            "trouble": {**stderr, "level": "WARNING"},
            "events": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": events_file,
                "maxBytes": EVENTS_FILE_BYTES,
                "backupCount": 4,
                "delay": True,
                "formatter": "json",
                "filters": ["secrets"],
            },
        }
        events |= {"handlers": ["trouble", "events"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"secrets": {"()": "wedbackup.core.logs.SecretsFilter"}},
        "formatters": {
            "line": {
                "()": "wedbackup.core.logs.LineFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            },
            "json": {"()": "wedbackup.core.logs.JsonFormatter"},
        },
        "handlers": handlers,
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {EVENTS.name: events, **{name: {"level": "WARNING"} for name in _SDK_LOGGERS}},
    }


def configure_worker_process() -> None:
    """Set `logging` up in a process that has no settings: as the parent's environment says."""
    form = os.environ.get("WEDBACKUP_LOG_FORMAT", "line")
    logging.config.dictConfig(config(form, os.environ.get("WEDBACKUP_LOG_LEVEL", "WARNING")))
