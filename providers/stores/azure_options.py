"""Where a container is at Azure, who we are there, and what it is told about our objects."""

from __future__ import annotations

import contextlib
import enum
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from providers.stores.options import InvalidOptions, LineOptions, option

MEBIBYTE = 1024 * 1024
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")


class Tier(enum.StrEnum):
    """Access tiers, in the provider's words."""

    ACCOUNT = "account"  # whatever the account's default is
    HOT = "Hot"
    COOL = "Cool"
    COLD = "Cold"
    ARCHIVE = "Archive"


@dataclass(frozen=True, kw_only=True)
class AzureOptions(LineOptions):
    """Where the container is and who we are there. One of the two secrets is enough; the token wins over the key."""

    account: str = option("Storage account", env="AZURE_STORAGE_ACCOUNT")
    container: str = option("Container", env="AZURE_BACKUP_CONTAINER")
    sas_token: str = option(
        "SAS token",
        default="",
        secret=True,
        env="AZURE_STORAGE_SAS_TOKEN",
        text="For this container, with the rights rcwl (and d to prune).",
    )
    account_key: str = option(
        "Account key",
        default="",
        secret=True,
        env="AZURE_STORAGE_KEY",
        text="Instead of a token. It may do everything in the whole account.",
    )
    endpoint_url: str = option(
        "Address",
        default="",
        env="AZURE_ENDPOINT_URL",
        text="Empty for the public Azure; https://ACCOUNT.blob... of another cloud or a private endpoint.",
    )
    prefix: str = option("Folder in the container", default="", text="Names begin with it; empty for all of it.")
    tier: Tier = option(  # noqa: RUF009 - `option` makes a field, each call its own
        "Access tier of packs",
        default=Tier.ACCOUNT,
        text="Hot, Cool, Cold (online), Archive (hours to read), or account for its default, as all else has.",
    )
    object_lock: bool = option("Objects can be locked", default=False, text="With version-level immutability only.")
    single_put_bytes: int = option("Largest single upload [bytes]", default=64 * MEBIBYTE)
    part_bytes: int = option("Block of a larger upload [bytes]", default=16 * MEBIBYTE)
    list_page: int = option("Objects per page of a listing", default=5000)

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise InvalidOptions("option account: 3 to 24 small letters and digits, no address")
        if not _CONTAINER.fullmatch(self.container):
            raise InvalidOptions("option container: 3 to 63 small letters, digits and single dashes, no path")
        if not (self.sas_token or self.account_key):
            raise InvalidOptions("option sas_token or account_key: one of them is needed")
        parts = urlsplit(self.endpoint_url)
        if self.endpoint_url and (parts.scheme not in ("https", "http") or not parts.netloc):
            raise InvalidOptions("option endpoint_url: write it with https:// in front")
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise InvalidOptions(
                "option endpoint_url: only https://host or https://host:port; the container goes apart"
            )
        if not 0 < self.single_put_bytes <= 5000 * MEBIBYTE:
            raise InvalidOptions("option single_put_bytes: Azure takes up to 5000 MiB (5242880000) in one request")
        if not 64 * 1024 <= self.part_bytes <= 4000 * MEBIBYTE:
            raise InvalidOptions("option part_bytes: from 64 KiB (65536) to 4000 MiB (4194304000)")
        if not 1 <= self.list_page <= 5000:
            raise InvalidOptions("option list_page: from 1 to 5000")

    @property
    def account_url(self) -> str:
        """The account's address; behind a bare IP address or localhost (emulators) its name is part of the path."""
        url = self.endpoint_url.rstrip("/") or f"https://{self.account}.blob.core.windows.net"
        host = urlsplit(url).hostname or ""
        with contextlib.suppress(ValueError):
            host = "localhost" if ipaddress.ip_address(host) else host
        return f"{url}/{self.account}" if host == "localhost" else url
