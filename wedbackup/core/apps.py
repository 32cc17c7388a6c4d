from django.apps import AppConfig
from django.db.backends.signals import connection_created


class CoreConfig(AppConfig):
    name = "wedbackup.core"
    label = "core"

    def ready(self) -> None:
        from wedbackup.core import checks  # noqa: F401 - registers itself
        from wedbackup.core.rowsecurity import start_as_platform
        from wedbackup.core.storable import make_storable

        connection_created.connect(make_storable, dispatch_uid="any text can be stored")
        connection_created.connect(start_as_platform, dispatch_uid="row security starts as platform")
