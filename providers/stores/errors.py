"""What can go wrong at a location: the only errors that leave a store, each with what a person should do now.

A provider maps its own exceptions to these; nobody above asks which provider it was.
"""

from __future__ import annotations

from wedbackup.core.logs import redact


class StoreError(Exception):
    """Anything that went wrong at a location. The original exception is kept as `__cause__`.

    The message may hold what a server or a proxy answered, which may be what we sent: secrets are taken out of it.

    retryable:   whether the same call may succeed when simply tried again.
    retry_after: how long the provider asks us to wait [s], if it said so.
    advice:      one sentence for a person: what to do now.
    """

    retryable = True
    advice = "Try again; if it stays, look at the provider's status page."

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(redact(message))
        self.retry_after = retry_after


class ObjectNotFound(StoreError):
    retryable = False
    advice = "The object is gone from this location; run a repair from another copy."


class InvalidName(StoreError):
    retryable = False
    advice = 'Rename it: no control characters, none of \\ : * ? " < > |, no dot in front, no dot or space at an end.'


class AccessDenied(StoreError):
    retryable = False
    advice = "Check the credential of this location: key, secret and its rights."


class CredentialExpired(AccessDenied):
    """A token that was good and is no longer."""

    advice = "Renew the token at the provider and enter it as this location's new credential."


class ClockSkewed(AccessDenied):
    advice = "The clocks differ too much: set this machine's clock (NTP), then try again."


class Rejected(StoreError):
    """The provider understood the request and will refuse it every time."""

    retryable = False
    advice = "Check this location's settings (address, region, bucket, options) and validate it again."


class WrongRegion(Rejected):
    advice = "Set the region that the bucket is really in (the provider's console shows it), then validate again."


class Unsupported(Rejected):
    """The provider has no such feature; its capabilities say so."""

    advice = "Choose another provider for this, or leave the option off."


class Archived(StoreError):
    """The object is in an archive class and has to be brought back before it can be read."""

    retryable = False
    advice = "Ask for it to be brought back from the archive class; that takes hours. Use another copy meanwhile."


class LocationMissing(StoreError):
    """The bucket, container or folder itself does not exist."""

    retryable = False
    advice = (
        "Look at the provider whether it was renamed or removed, and correct its name here. If it is gone for good, "
        "switch this location off; copies are made elsewhere."
    )


class LocationFull(StoreError):
    retryable = False
    advice = "Free or add space at this location, or raise its quota."


class ReadOnly(StoreError):
    retryable = False
    advice = "This location is read-only now; wait for the recovery or maintenance to end."


class ChecksumMismatch(StoreError):
    """What arrived is not what was sent; nothing wrong was kept."""

    advice = "The line or the disk corrupts bytes; the piece is sent again. If it stays, check the hardware."


class ObjectCorrupt(ChecksumMismatch):
    """What is stored is not what it should be: trying again cannot help."""

    retryable = False
    advice = "This copy is damaged; run a repair from another copy and check the disk or the provider."


class Throttled(StoreError):
    advice = "The provider asks for a slower pace; lower this location's rate limit."


class StoreUnavailable(StoreError):
    """No usable answer: refused, reset, timed out, 5xx."""

    advice = "The provider or the network is down; copies go to the other locations meanwhile."


class NoAnswer(StoreUnavailable):
    """The server took the request and stayed silent until the time limit.

    Worth trying later, but not within the same call: the silence has used up the caller's patience already.
    """


class BreakerOpen(StoreError):
    """Not even tried: the location failed too often a moment ago."""

    retryable = False
    advice = "The location is being left alone until its next probe; nothing to do unless it stays."


class Paused(StoreError):
    """Not even tried: a person has paused the traffic with this location."""

    retryable = False
    advice = "Nothing is wrong: what is missing there is caught up once an admin resumes it on the location's page."


# Only these say that the location itself is in trouble. A missing object, a refused credential, a full disk (it can
# still be read) or a cancelled call says nothing about whether the next call is answered.
LOCATION_TROUBLE = (StoreUnavailable, Throttled, LocationMissing)

# These say nothing at all about the location: it was not asked.
UNTRIED = (BreakerOpen, Paused)
