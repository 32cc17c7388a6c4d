from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "wedbackup.core"
    label = "core"
