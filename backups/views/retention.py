"""What a vault keeps and why, what goes and when; legal holds; locks that were left behind."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from backups.models import Policy, Snapshot, Vault
from backups.services.holds import hold_lift, hold_set
from backups.services.retention import GRACE, owing, retention_judge
from backups.services.unlocking import vault_unlock
from backups.services.vaults import VaultSealed
from backups.views.forms import PlainForm
from wedbackup.core.access import NOT_THERE, admin_only, fetch, person, platform_only
from wedbackup.core.clock import SYSTEM_CLOCK

LINES_SHOWN = 200


class PolicyChoice(PlainForm):
    """Whose rules are tried; nothing is changed by it."""

    policy = forms.ModelChoiceField(queryset=Policy.objects.all(), empty_label=None, label="As if the policy were")


class HoldForm(PlainForm):
    reason = forms.CharField(max_length=300, label="Why it must be kept", help_text="For example: dispute, file 12/26")


class UnlockForm(PlainForm):
    sure = forms.BooleanField(
        required=False, label="No other program works with these files now: remove locks that may be held as well"
    )


@dataclass(frozen=True)
class SnapshotLine:
    """One snapshot with its verdict. goes_at: when the grace of one that goes is over, None while it only would go."""

    snapshot: Snapshot
    reasons: tuple[str, ...]
    goes_at: datetime | None


@require_GET
@platform_only
def retention_page(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """What would go by the rules, and why each of the others stays."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation", "policy")
    own = vault.policy
    form = PolicyChoice(request.GET if "policy" in request.GET else None, initial={"policy": own.pk})
    if form.is_valid():
        vault.policy = form.cleaned_data["policy"]
    judgement = retention_judge(vault)
    rows = {row.restic_id: row for row in Snapshot.objects.visible_to(request.user).filter(vault=vault)}
    kept = [verdict for verdict in judgement.verdicts if verdict.keep]
    why = Counter(reason for verdict in kept for reason in verdict.reasons)
    context: dict[str, Any] = {
        "vault": vault,
        "form": form,
        "is_trial": vault.policy != own,
        "frozen": judgement.frozen,
        "kept": len(kept),
        "why": why.most_common(),
        "going": len(judgement.going),
        "lines_going": [_line(rows[v.snapshot_id], v.reasons) for v in judgement.going[:LINES_SHOWN]],
        "lines_kept": [_line(rows[v.snapshot_id], v.reasons) for v in kept[:LINES_SHOWN]],
        "grace_days": GRACE.days,
        "owing": owing(vault),
        "hold_form": HoldForm(),
        "unlock_form": UnlockForm(),
    }
    return render(request, "backups/retention.html", context)


def _line(snapshot: Snapshot, reasons: tuple[str, ...]) -> SnapshotLine:
    return SnapshotLine(snapshot, reasons, snapshot.expired_at + GRACE if snapshot.expired_at else None)


@require_POST
@admin_only
def hold_change(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Put a legal hold on the vault, or on the snapshot that is named, or lift it."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation", "policy")
    named = request.POST.get("snapshot", "")
    held = _snapshot_named(named, vault) if named else vault
    try:
        if "lift" in request.POST:
            hold_lift(held, actor=person(request))
            messages.success(request, "The hold is lifted; the policy decides again, and nothing goes for a week.")
        else:
            hold_set(held, request.POST.get("reason", ""), actor=person(request))
            messages.success(request, "It is held: nothing of it goes until the hold is lifted.")
    except ValidationError as error:
        messages.error(request, error.messages[0])
    return redirect("retention", vault.pk)


def _snapshot_named(text: str, vault: Vault) -> Snapshot:
    try:
        return Snapshot.unscoped.select_related("vault").get(vault=vault, pk=uuid.UUID(text))
    except (ValueError, Snapshot.DoesNotExist) as exc:
        raise Http404(NOT_THERE) from exc


@require_POST
@admin_only
def unlock_now(request: HttpRequest, vault_id: uuid.UUID) -> HttpResponse:
    """Remove the locks that nobody holds any more."""
    vault = fetch(Vault, request.user, vault_id, "wedding", "organisation", "policy")
    try:
        found = vault_unlock(vault, by_force="sure" in request.POST, actor=person(request), clock=SYSTEM_CLOCK)
    except (ValidationError, VaultSealed) as error:
        messages.error(request, error.messages[0] if isinstance(error, ValidationError) else str(error))
        return redirect("retention", vault.pk)
    for each in found:
        if each.error:
            messages.warning(request, f"{each.place}: {each.error}")
        elif each.left:
            messages.warning(
                request,
                f"{each.place}: {each.removed} removed; still there: {'; '.join(each.left)}. A lock that nobody holds "
                "goes by itself after 30 minutes.",
            )
        else:
            messages.success(
                request, f"{each.place}: {each.removed} left-over locks removed; nothing stands in the way."
            )
    return redirect("retention", vault.pk)
