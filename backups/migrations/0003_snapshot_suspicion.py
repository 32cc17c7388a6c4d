"""A snapshot of an empty or shrunk source says so, so that neither comparison nor recovery starts from it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("backups", "0002_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="snapshot",
            name="suspicion",
            field=models.CharField(blank=True, help_text="why its source looked wrong as a whole", max_length=300),
        ),
        migrations.AddIndex(
            model_name="snapshot",
            index=models.Index(fields=["vault", "-taken_at"], name="snapshot_by_vault"),
        ),
    ]
