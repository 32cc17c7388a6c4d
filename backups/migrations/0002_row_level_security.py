"""Row-level security on PostgreSQL: the second wall between tenants (wedbackup.core.rowsecurity)."""

from django.db import migrations

ALLOWED = "string_to_array(current_setting('wedbackup.organisations', true), ',')"
PLATFORM = "current_setting('wedbackup.organisations', true) = '*'"

# What a row must satisfy to be seen or written. A sub-select sees only what its own table's policy lets through.
RULES = {
    "backups_vault": f"organisation_id::text = ANY({ALLOWED})",
    "backups_job": f"organisation_id::text = ANY({ALLOWED})",
    "backups_wedding": "id IN (SELECT wedding_id FROM backups_weddingvendor)",
    "backups_weddingvendor": f"organisation_id::text = ANY({ALLOWED})",
    "backups_source": "vault_id IN (SELECT id FROM backups_vault)",
    "backups_copy": "vault_id IN (SELECT id FROM backups_vault)",
    "backups_snapshot": "vault_id IN (SELECT id FROM backups_vault)",
    "backups_snapshotcopy": "snapshot_id IN (SELECT id FROM backups_snapshot)",
    "backups_jobmove": "job_id IN (SELECT id FROM backups_job)",
}


def enable(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for table, rule in RULES.items():
        schema_editor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # The application owns its tables; without FORCE the owner would be exempt.
        schema_editor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        schema_editor.execute(f"CREATE POLICY tenant ON {table} USING ({PLATFORM} OR {rule})")


def disable(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for table in RULES:
        schema_editor.execute(f"DROP POLICY tenant ON {table}")
        schema_editor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        schema_editor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


class Migration(migrations.Migration):
    dependencies = [("backups", "0001_initial")]
    operations = [migrations.RunPython(enable, disable)]
