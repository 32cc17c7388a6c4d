"""Promises about credentials and rights: what is refused is said to be refused, and no secret gets out."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial

from providers.stores.base import ObjectStore
from providers.stores.errors import AccessDenied, LocationMissing, ObjectNotFound, StoreError
from providers.stores.options import InvalidOptions
from providers.validation.bench import Bench
from providers.validation.lines import UNTOUCHED, beside, error_of, errors_of_all, line_of, reply_to, requests_of
from providers.validation.promise import Exempt, Promise, PromiseBroken, require, require_error
from providers.validation.room import Room

SHORTEST_SECRET = 6  # shorter ones are found in ordinary words


def _garbled(secret: str) -> str:
    """Return a secret of the same shape that opens nothing: a few letters in the middle are others."""
    middle = len(secret) // 2
    return secret[: middle - 2] + "".join(map(_other, secret[middle - 2 : middle + 2])) + secret[middle + 2 :]


def _other(sign: str) -> str:
    for alphabet in ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        if sign in alphabet:
            return alphabet[(alphabet.index(sign) + 5) % len(alphabet)]
    return sign


def _try_garbled(bench: Bench, name: str, use: Callable[[ObjectStore], object]) -> StoreError | None:
    """Do `use` with the secret `name` garbled and return the error; None if the secret is refused even earlier."""
    try:
        with bench.opened(**{name: _garbled(bench.secrets[name])}) as store:
            return require_error(AccessDenied, lambda: use(store), f"a call with a wrong {name}")
    except InvalidOptions:
        return None


def _check_wrong_credential(room: Room) -> None:
    bench = line_of(room)
    if not bench.secrets:
        raise Exempt("it needs no credential")
    for name in bench.secrets:
        _try_garbled(bench, name, lambda store: store.put(room.name("stranger"), b"x"))
        _try_garbled(bench, name, lambda store: [*store.list(room.prefix(""))])
    require_error(ObjectNotFound, lambda: room.store.head(room.name("stranger")), "head of what a stranger stored")


def _check_missing_place(room: Room) -> None:
    bench = line_of(room)
    if not bench.wire.place:
        raise Exempt("there is nothing above the folder that could be missing")
    place = getattr(bench.options, bench.wire.place)
    name = room.name("nowhere")
    with bench.opened(**{bench.wire.place: f"{place[:40].rstrip('-.')}-{room.mark}"}) as store:
        calls: dict[str, Callable[[], object]] = {
            "storing": lambda: store.put(name, b"x"),
            "reading": lambda: store.get(name),
            "listing": lambda: [*store.list()],
        }
        for doing, run in calls.items():
            try:
                run()
            except (LocationMissing, AccessDenied):  # who may see one bucket only is not told that another is missing
                continue
            except StoreError as error:
                raise PromiseBroken(f"{doing}: a missing {bench.wire.place} is called {_words(error)}") from error
            raise PromiseBroken(f"{doing} in a {bench.wire.place} that does not exist is taken for a success")


def _check_forbidden(room: Room) -> None:
    name = room.put("forbidden", b"stays")
    for request, error in errors_of_all(room, name, lambda request: reply_to(request, "403 Forbidden")):
        require(isinstance(error, AccessDenied), f"{request.doing} that is forbidden is called {_words(error)}")
        require(not error.retryable, f"{request.doing} that is forbidden would be tried again")
    require(room.store.get(name) == b"stays", "a forbidden deletion deleted")
    require_error(ObjectNotFound, lambda: room.store.head(beside(room, name)), "head of what was forbidden to store")


def _check_expired(room: Room) -> None:
    name = room.put("expired", b"stays")
    for request, error in errors_of_all(room, name, lambda request: reply_to(request, "401 Unauthorized")):
        require(isinstance(error, AccessDenied), f"{request.doing} with an expired token is called {_words(error)}")


def _check_works_again(room: Room) -> None:
    """A refusal must not stay in the client: the next call, with rights given back, works."""
    line, name = line_of(room), room.put("again", b"stays")
    with line.faulty(UNTOUCHED) as (store, proxy):
        for request in requests_of(room, line.wire, name)[:4]:
            error = error_of(proxy, reply_to(request, "403 Forbidden"), store, request)
            require(error is not None, f"{request.doing} that was forbidden is taken for a success")
            request.make(store)
    room.delete(beside(room, name))


def _check_no_secret_in_errors(room: Room) -> None:
    bench, errors = line_of(room), list[StoreError]()
    name = room.put("secret", b"x")
    for reply in ("400 Bad Request", "403 Forbidden", "500 Internal Server Error"):
        errors += [error for _, error in errors_of_all(room, name, partial(reply_to, status=reply))]
    secrets = {secret for secret in bench.secrets.values() if len(secret) >= SHORTEST_SECRET}
    for option in bench.secrets:
        error = _try_garbled(bench, option, lambda store: store.get(name))
        errors += [error] if error else []
        secrets.add(_garbled(bench.secrets[option]))
    for error in errors:
        told = "".join(traceback.format_exception(error)) + repr(error) + error.advice
        for link in _links(error):
            told += repr(link) + str(link)
        require(not any(secret in told for secret in secrets), f"a secret stands in the error {type(error).__name__}")


def _check_no_secret_in_words(room: Room) -> None:
    bench = line_of(room)
    told = repr(bench.options) + repr(bench.store) + str(bench.store) + repr(vars(bench.store))
    open_words = {str(value) for name, value in vars(bench.options).items() if name not in bench.secrets}
    for name, secret in bench.secrets.items():
        if len(secret) < SHORTEST_SECRET or secret in open_words:
            continue  # an ordinary word, or told anyway: emulators use one word for both halves of a key
        require(secret not in told, f"the option {name} stands in the store's own words")


def _links(error: BaseException | None) -> list[BaseException]:
    """Return `error` and all that it was raised from."""
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _words(error: StoreError) -> str:
    return f"{type(error).__name__}: {error}"


PROMISES = (
    Promise("a wrong credential is refused", _check_wrong_credential, faulty=True),
    Promise("a missing bucket is said to be missing", _check_missing_place, faulty=True),
    Promise("what is forbidden is said to be forbidden, and does nothing", _check_forbidden, faulty=True),
    Promise("an expired token is a refusal, not an outage", _check_expired, faulty=True),
    Promise("after a refusal the next call works", _check_works_again, faulty=True),
    Promise("no error tells a secret", _check_no_secret_in_errors, faulty=True),
    Promise("no secret stands in the words for a store", _check_no_secret_in_words, faulty=True),
)
