"""What each provider's promises were proved against: the most real server that runs in the tests."""

from __future__ import annotations

PROVED_AGAINST = {
    "local": "a real folder on a real disk",
    "carbonite": "a real folder; the Carbonite client itself takes no part",
    "s3": "OpenStack Swift with its S3 interface (checks signatures and checksums), not Amazon's own servers",
    "r2": "OpenStack Swift with R2's checksum profile, behind a proxy that answers as R2's documentation says",
    "b2": "OpenStack Swift with B2's checksum profile, behind a proxy that answers as B2's documentation says",
    "wasabi": "OpenStack Swift with Wasabi's checksum profile, behind a proxy that answers as its documentation says",
    "gcs": "an emulator of Cloud Storage, not Google's own servers",
    "azure": "Azurite, Microsoft's own emulator, not Azure's own servers",
    "supabase": "a small fake with the measured quirks of Supabase Storage, not a Supabase project",
    "supabase_s3": "a small fake with the measured quirks of Supabase's S3 endpoint, not a Supabase project",
    "dropbox": "a small fake, reached through Dropbox's own SDK, not Dropbox itself",
    "box": "a small fake, reached through Box's own SDK, not Box itself",
}
