"""Weddings, vaults, jobs, policies and organisations in the admin site."""

from backups.admin import jobs, organisations, vaults, weddings

__all__ = ["jobs", "organisations", "vaults", "weddings"]
