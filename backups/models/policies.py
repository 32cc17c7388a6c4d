"""Policies: how many proved copies, how often, and what is kept for how long."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Policy(models.Model):
    """How many proved copies make a snapshot acknowledged, how often, and what is kept.

    A snapshot stays while any of the rules keeps it; 0 switches a rule off (`backups.policy.retention`).
    """

    name = models.CharField(max_length=60, unique=True)
    copies_needed = models.PositiveSmallIntegerField(default=3)
    failure_domains_needed = models.PositiveSmallIntegerField(default=2)
    interval_minutes = models.PositiveIntegerField(default=24 * 60)
    keep_last = models.PositiveSmallIntegerField(default=3)
    keep_within_days = models.PositiveSmallIntegerField(
        default=14, help_text="every snapshot of so many days before the newest stays"
    )
    keep_hourly = models.PositiveSmallIntegerField(default=48)
    keep_daily = models.PositiveSmallIntegerField(default=14)
    keep_weekly = models.PositiveSmallIntegerField(default=8)
    keep_monthly = models.PositiveSmallIntegerField(default=24)
    keep_yearly = models.PositiveSmallIntegerField(default=7)
    wedding_days_before = models.PositiveSmallIntegerField(
        default=1, help_text="days before the wedding that count as days around it, at the venue"
    )
    wedding_days_after = models.PositiveSmallIntegerField(default=2, help_text="days after it that do")
    keep_wedding_days = models.PositiveSmallIntegerField(
        default=365, help_text="every snapshot of the days around the wedding stays for so many days"
    )
    finals_years = models.PositiveSmallIntegerField(
        default=7, help_text="photos and video: the newest snapshot of each month stays for so many years"
    )
    contract_years = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="documents: the same for so many years; empty: as the wedding's country asks for",
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.name
