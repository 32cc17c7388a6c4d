"""What each provider's promises were proved against: the most real server that runs in the tests."""

from __future__ import annotations

PROVED_AGAINST = {
    "local": "a real folder on a real disk",
    "carbonite": "a real folder; the Carbonite client itself takes no part",
    "s3": "OpenStack Swift with its S3 interface (checks signatures and checksums), not Amazon's own servers",
    "r2": "OpenStack Swift with R2's checksum profile; R2's own refusals are played as documented",
    "b2": "OpenStack Swift with B2's checksum profile; B2's own refusals are played as documented",
    "wasabi": "OpenStack Swift with Wasabi's checksum profile; its own refusals are played as documented",
    "gcs": "an emulator of Cloud Storage; sessions, preconditions, pages and rights are played as documented",
    "azure": "Azurite, Microsoft's own emulator, not Azure's own servers",
    "supabase": "a small fake with the measured quirks of Supabase Storage, not a Supabase project",
    "supabase_s3": "a small fake with the measured quirks of Supabase's S3 endpoint, not a Supabase project",
    "dropbox": "a small fake, reached through Dropbox's own SDK, not Dropbox itself",
    "box": "a small fake, reached through Box's own SDK, not Box itself",
}
