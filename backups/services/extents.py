"""What each source held and how it changed: kept with every snapshot, judged against the best that is trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max, Q, QuerySet, Sum

from backups.engine.backup.selection import FoundSource
from backups.engine.format.gonames import quote_name, unquote_name
from backups.models import Snapshot, Source, SourceExtent, Vault
from backups.policy.suspicion import (
    Baseline,
    Churn,
    PlaceFound,
    churn_suspicion,
    is_rewritten,
    lost_files,
    place_reasons,
    tell,
)
from wedbackup.core.clock import Clock

BEST_OF = timedelta(days=30)
REASON_CHARS = 300
_Key = tuple[str, str]  # source, place


@dataclass(frozen=True, slots=True)
class Judged:
    """What a backup found, judged.

    suspicion: in words, which source, or disk below one, looks wrong and how; "" when none does.
    extents:   to be kept with the snapshot.
    """

    suspicion: str
    extents: list[SourceExtent]


@dataclass(frozen=True, slots=True)
class _Trusted:
    """The snapshots of a vault that are the measure.

    newest:  of those that nothing speaks against.   since: number of the one about which a person gave a word, or 0.
    extents: of the young ones since then, and always of the newest.
    """

    newest: Snapshot | None
    since: int
    extents: QuerySet[SourceExtent]


def sources_judge(vault: Vault, sources: Sequence[FoundSource], *, clock: Clock) -> Judged:
    """Judge each source, and each disk below it, by itself: what it holds and how it changed."""
    trusted = _trusted(vault, clock)
    best = _baselines(trusted, {source.name: _mark(source) for source in sources})
    extents: list[SourceExtent] = []
    for source in sources:
        own, *mounts = _extents(source)
        if not source.missing:
            most = best.get((source.name, source.name), Baseline(0, 0)).files
            _judge_changes(vault, own, source, most, trusted.since, clock)
        extents += [own, *mounts]
    found = {(row.source, row.path): _place(row) for row in extents}
    if trusted.newest is not None and not best:
        reasons = _whole_reasons(trusted.newest, found.values())
    else:
        here = {source.name for source in sources}  # one that a person removed is no loss
        gone = {key: PlaceFound(key[1], 0, 0) for key in best if key[0] in here and key not in found}
        found |= gone
        reasons = place_reasons([(place, best.get(key)) for key, place in found.items()])
    for row in extents:
        if row.alarm:
            reasons[row.path] = " ".join(filter(None, (reasons.get(row.path), row.alarm)))
    paths = [place.path for place in found.values()]
    return Judged(tell(reasons, [*paths, *reasons])[:REASON_CHARS], extents)


def extents_record(snapshot: Snapshot, judged: Judged) -> None:
    """Keep with a snapshot what each source held, and each disk below it."""
    for row in judged.extents:
        row.snapshot = snapshot
    SourceExtent.unscoped.bulk_create(judged.extents)


def known_mounts(vault: Vault, source: Source, *, clock: Clock) -> tuple[bytes, ...]:
    """Return where disks were mounted below a source, so that they are counted although they are gone."""
    kept = _trusted(vault, clock).extents.filter(source=source.path).exclude(path=source.path)
    return tuple(sorted(unquote_name(path) for path in set(kept.values_list("path", flat=True))))


def _extents(source: FoundSource) -> Iterator[SourceExtent]:
    """Return the rows of a source, its own first."""
    yield SourceExtent(
        source=source.name,
        path=source.name,
        files=source.files,
        size_bytes=source.size_bytes,
        device=source.device,
        missing=source.missing[:REASON_CHARS],
        left_out=[[one.pattern, one.files, one.folders] for one in source.left_out.values()],
        patterns=_mark(source),
        odd=None if source.missing else source.odd,
    )
    for mount in source.mounts:
        if not source.missing:  # else its disks went with it, which is said once
            yield SourceExtent(
                source=source.name,
                path=quote_name(mount.path),
                files=mount.files,
                size_bytes=mount.size_bytes,
                device=mount.device,
                mounted=mount.mounted,
                patterns=_mark(source),
            )


def _mark(source: FoundSource) -> str:
    """Return what tells the patterns of a source from others, "" when there are none."""
    patterns = "\n".join(sorted(source.left_out))
    return hashlib.sha256(patterns.encode()).hexdigest()[:16] if patterns else ""


def _place(row: SourceExtent) -> PlaceFound:
    return PlaceFound(row.path, row.files, row.size_bytes, row.device, row.mounted, row.missing)


def _judge_changes(vault: Vault, row: SourceExtent, source: FoundSource, most: int, since: int, clock: Clock) -> None:
    """Count into `row` what changed badly, and raise its alarm if it is too much, or was and nobody has looked.

    most: files that the source held at its best.   since: number of the snapshot that a person has judged last.
    """
    changes = source.changes
    rows = SourceExtent.unscoped.filter(snapshot__vault=vault, source=row.source, path=row.path, missing="").order_by()
    before = rows.order_by("-snapshot__number").select_related("snapshot").first()
    held = before.files if before is not None else 0
    gone = lost_files(before=held, now=row.files, new=changes.new, moved=changes.moved)
    replaced = min(gone, changes.spoiled_new)
    row.spoiled, row.noisy, row.relabelled = changes.spoiled + replaced, changes.noisy, changes.relabelled
    if before is not None and before.odd is not None:  # what a run saw that was killed before it could tell
        came = changes.noisy + changes.copied_odd + changes.spoiled_new - replaced
        row.spoiled = max(row.spoiled, source.odd - before.odd - came)
    if is_rewritten(changes.rewritten, max(most, held)):
        row.spoiled = max(row.spoiled, changes.rewritten)
    young = rows.filter(snapshot__taken_at__gte=clock.utcnow() - BEST_OF, snapshot__number__gt=since)
    earlier = young.aggregate(spoiled=Sum("spoiled"), noisy=Sum("noisy"), relabelled=Sum("relabelled"))
    churn = Churn(row.spoiled, row.noisy, row.relabelled) + Churn(**{name: n or 0 for name, n in earlier.items()})
    row.alarm = churn_suspicion(churn, max(most, held))
    if not row.alarm and before is not None and before.snapshot.number > since:
        row.alarm = before.alarm


def _trusted(vault: Vault, clock: Clock) -> _Trusted:
    trusted = Snapshot.unscoped.filter(vault=vault, suspicion="")
    newest = trusted.first()
    word = Snapshot.unscoped.filter(vault=vault, trusted_at__isnull=False).first()
    since = word.number if word is not None else 0
    young = Q(snapshot__taken_at__gte=clock.utcnow() - BEST_OF) | Q(snapshot=newest)
    extents = SourceExtent.unscoped.filter(young, snapshot__in=trusted, snapshot__number__gte=since).order_by()
    return _Trusted(newest, since, extents)


def _baselines(trusted: _Trusted, patterns: Mapping[str, str]) -> dict[_Key, Baseline]:
    """patterns: marks of those that each source has now."""
    devices: dict[_Key, set[int]] = {}
    for source, path, device in trusted.extents.values_list("source", "path", "device").distinct():
        if device:
            devices.setdefault((source, path), set()).add(device)
    last = {(row.source, row.path): row for row in SourceExtent.unscoped.filter(snapshot=trusted.newest)}
    best: dict[_Key, Baseline] = {}
    kinds = trusted.extents.values("source", "path", "patterns").annotate(most=Max("files"), largest=Max("size_bytes"))
    for source, path, mark, most, largest in kinds.values_list("source", "path", "patterns", "most", "largest"):
        key, comparable = (source, path), mark == patterns.get(source)
        if key in best and best[key].comparable:
            continue
        best[key] = Baseline(
            most,
            largest,
            frozenset(devices.get(key, ())),
            mounted=key in last and last[key].mounted,
            missing=key in last and bool(last[key].missing),
            comparable=comparable,
        )
    return best


def _whole_reasons(before: Snapshot, found: Iterable[PlaceFound]) -> dict[str, str]:
    """Compare the sum with a snapshot of the time when nothing was kept about each source."""
    places = [*found]
    whole = PlaceFound(
        "all its folders together", sum(place.files for place in places), sum(place.size_bytes for place in places)
    )
    missing: list[tuple[PlaceFound, Baseline | None]] = [(place, None) for place in places if place.missing]
    return place_reasons([*missing, (whole, Baseline(before.file_count, before.source_bytes))])
