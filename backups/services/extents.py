"""What each source held: kept with every snapshot, and compared with the best that is trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max, Q, QuerySet

from backups.engine.backup.selection import FoundSource
from backups.engine.format.gonames import quote_name, unquote_name
from backups.models import Snapshot, Source, SourceExtent, Vault
from backups.policy.suspicion import Baseline, PlaceFound, places_suspicion
from wedbackup.core.clock import Clock

BEST_OF = timedelta(days=30)
REASON_CHARS = 300
_Key = tuple[str, str]  # source, place


@dataclass(frozen=True, slots=True)
class _Kept:
    """The extents that are trusted: since a person's word, if there is one, and not too old; always the newest."""

    newest: Snapshot
    extents: QuerySet[SourceExtent]


def extents_record(snapshot: Snapshot, sources: Sequence[FoundSource]) -> None:
    """Keep with a snapshot what each source held, and each disk below it."""
    SourceExtent.unscoped.bulk_create(
        SourceExtent(
            snapshot=snapshot,
            source=source,
            path=place.path,
            files=place.files,
            size_bytes=place.size_bytes,
            device=place.device,
            mounted=place.mounted,
            missing=place.missing[:REASON_CHARS],
            left_out=left_out,
        )
        for (source, _), place, left_out in _found(sources)
    )


def sources_suspicion(vault: Vault, sources: Sequence[FoundSource], *, clock: Clock) -> str:
    """Return in words which source, or disk below one, looks wrong against its best, "" when none does."""
    kept = _kept(vault, clock)
    found = {key: place for key, place, _ in _found(sources)}
    if kept is not None and not kept.extents.exists():
        return _whole_suspicion(kept.newest, found.values())
    best = _baselines(kept) if kept is not None else {}
    here = {source.name for source in sources}  # one that a person removed is no loss
    gone = {key: PlaceFound(key[1], 0, 0) for key in best if key[0] in here and key not in found}
    return places_suspicion([(place, best.get(key)) for key, place in (found | gone).items()])


def known_mounts(vault: Vault, source: Source, *, clock: Clock) -> tuple[bytes, ...]:
    """Return where disks were mounted below a source, so that they are counted although they are gone."""
    kept = _kept(vault, clock)
    if kept is None:
        return ()
    paths = kept.extents.filter(source=source.path).exclude(path=source.path).values_list("path", flat=True)
    return tuple(sorted(unquote_name(path) for path in set(paths)))


def _found(sources: Iterable[FoundSource]) -> Iterator[tuple[_Key, PlaceFound, list[list[str | int]]]]:
    for source in sources:
        left_out: list[list[str | int]] = [[one.pattern, one.files, one.folders] for one in source.left_out.values()]
        own = PlaceFound(source.name, source.files, source.size_bytes, source.device, missing=source.missing)
        yield (source.name, source.name), own, left_out
        if source.missing:
            continue  # its disks went with it, which is said once
        for mount in source.mounts:
            path = quote_name(mount.path)
            place = PlaceFound(path, mount.files, mount.size_bytes, mount.device, mount.mounted)
            yield (source.name, path), place, []


def _kept(vault: Vault, clock: Clock) -> _Kept | None:
    trusted = Snapshot.unscoped.filter(vault=vault, suspicion="")
    newest = trusted.first()
    if newest is None:
        return None
    young = Q(snapshot__taken_at__gte=clock.utcnow() - BEST_OF) | Q(snapshot=newest)
    extents = SourceExtent.unscoped.filter(young, snapshot__in=trusted).order_by()
    word = trusted.filter(trusted_at__isnull=False).first()
    if word is not None:
        extents = extents.filter(snapshot__taken_at__gte=word.taken_at)
    return _Kept(newest, extents)


def _baselines(kept: _Kept) -> dict[_Key, Baseline]:
    devices: dict[_Key, set[int]] = {}
    for source, path, device in kept.extents.values_list("source", "path", "device").distinct():
        if device:
            devices.setdefault((source, path), set()).add(device)
    last = {(row.source, row.path): row for row in SourceExtent.unscoped.filter(snapshot=kept.newest)}
    best = kept.extents.values("source", "path").annotate(most=Max("files"), largest=Max("size_bytes"))
    return {
        key: Baseline(
            most,
            largest,
            frozenset(devices.get(key, ())),
            mounted=key in last and last[key].mounted,
            missing=key in last and bool(last[key].missing),
        )
        for source, path, most, largest in best.values_list("source", "path", "most", "largest")
        for key in [(source, path)]
    }


def _whole_suspicion(before: Snapshot, found: Iterable[PlaceFound]) -> str:
    """Compare the sum with a snapshot of the time when nothing was kept about each source."""
    places = [*found]
    whole = PlaceFound(
        "all its folders together", sum(place.files for place in places), sum(place.size_bytes for place in places)
    )
    missing: list[tuple[PlaceFound, Baseline | None]] = [(place, None) for place in places if place.missing]
    return places_suspicion([*missing, (whole, Baseline(before.file_count, before.source_bytes))])
