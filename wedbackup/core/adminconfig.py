"""Makes the admin site ours: entered by role, with a trail of what was changed."""

from django.contrib.admin.apps import AdminConfig


class SiteConfig(AdminConfig):
    default_site = "wedbackup.core.adminsite.PlatformSite"
