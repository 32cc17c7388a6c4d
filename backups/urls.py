"""Addresses of weddings, vaults, snapshots, jobs and recoveries."""

from django.urls import path

from backups.views import copies, documents, jobs, kits, recovery, snapshots, uploads, validations, vaults, weddings

urlpatterns = [
    path("weddings/", weddings.wedding_list, name="weddings"),
    path("weddings/new/", weddings.wedding_new, name="wedding-new"),
    path("weddings/<uuid:wedding_id>/", weddings.wedding_page, name="wedding"),
    path("weddings/<uuid:wedding_id>/back-up/", weddings.wedding_back_up, name="wedding-back-up"),
    path("weddings/<uuid:wedding_id>/recover/", recovery.wedding_recover, name="wedding-recover"),
    path("weddings/<uuid:wedding_id>/recovery-kit/", kits.recovery_kit, name="recovery-kit"),
    path("weddings/<uuid:wedding_id>/vaults/new/", vaults.vault_new, name="vault-new"),
    path("vaults/<uuid:vault_id>/sources/new/", vaults.source_new, name="source-new"),
    path("vaults/<uuid:vault_id>/copies/new/", copies.copy_new, name="copy-new"),
    path("locations/<uuid:location_id>/copies/", copies.copies_at, name="location-copies"),
    path("vaults/<uuid:vault_id>/trust/", vaults.vault_trust_now, name="vault-trust"),
    path("vaults/<uuid:vault_id>/upload/", uploads.upload_page, name="upload"),
    path("vaults/<uuid:vault_id>/upload/pieces/", uploads.upload_pieces, name="upload-pieces"),
    path("vaults/<uuid:vault_id>/upload/kept/", uploads.upload_kept, name="upload-kept"),
    path("vaults/<uuid:vault_id>/documents/new/", documents.folder_new, name="document-folder-new"),
    path("documents/<uuid:folder_id>/", documents.folder_page, name="document-folder"),
    path("documents/<uuid:folder_id>/fill/", documents.folder_fill, name="document-folder-fill"),
    path("documents/<uuid:folder_id>/share/", documents.folder_share_now, name="document-folder-share"),
    path("documents/<uuid:folder_id>/unshare/", documents.folder_unshare_now, name="document-folder-unshare"),
    path("documents/<uuid:folder_id>/invite/", documents.folder_invite_now, name="document-folder-invite"),
    path("snapshots/<uuid:snapshot_id>/", snapshots.snapshot_page, name="snapshot"),
    path("snapshots/<uuid:snapshot_id>/file/", snapshots.snapshot_file, name="snapshot-file"),
    path("organisations/", vaults.organisation_list, name="organisations"),
    path("organisations/new/", vaults.organisation_new, name="organisation-new"),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/<uuid:job_id>/", jobs.job_page, name="job"),
    path("jobs/<uuid:job_id>/cancel/", jobs.job_cancel_now, name="job-cancel"),
    path("jobs/<uuid:job_id>/retry/", jobs.job_retry_now, name="job-retry"),
    path("jobs/<uuid:job_id>/zip/", snapshots.job_zip, name="job-zip"),
    path("locations/<uuid:location_id>/validate/", validations.location_validate_now, name="location-validate"),
    path("locations/<uuid:location_id>/validation/", validations.location_validation, name="location-validation"),
    path("recovery/", recovery.recovery_overview, name="recovery"),
]
