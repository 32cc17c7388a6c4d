from django.db import migrations

from wedbackup.core import audit_guard


def install(apps, schema_editor):
    audit_guard.install(schema_editor.connection)


def remove(apps, schema_editor):
    audit_guard.remove(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0002_audit_head_and_heartbeat'),
    ]

    operations = [
        migrations.RunPython(install, remove),
    ]
