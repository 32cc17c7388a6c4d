"""All settings, from the environment, with defaults that are safe and need no server.

Every `WEDBACKUP_X` can also be given as `WEDBACKUP_X_FILE`, a file that holds the value. Without any of them the
embedded shape starts: one process, SQLite, folders as locations. `WEDBACKUP_DATABASE_URL` and `WEDBACKUP_REDIS_URL`
switch to the production shape; the code is the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wedbackup.core import logs

BASE_DIR = Path(__file__).resolve().parent.parent


def env(name: str, default: str = "") -> str:
    """Return WEDBACKUP_<name>, or the content of the file that WEDBACKUP_<name>_FILE names, or `default`."""
    path = os.environ.get(f"WEDBACKUP_{name}_FILE")
    if path:
        return Path(path).read_text().strip()
    return os.environ.get(f"WEDBACKUP_{name}", default)


def env_flag(name: str, default: bool = False) -> bool:
    return env(name, "1" if default else "0").lower() in {"1", "true", "yes", "on"}


def env_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in env(name, default).split(",") if part.strip()]


# Everything that is not code lives below HOME: database, keys, caches, folder locations.
HOME = Path(env("HOME", str(BASE_DIR / "var"))).resolve()
KEY_FILE = Path(env("KEY_FILE_PATH", str(HOME / "keys" / "wrapping-keys.json")))
SECRET_KEY_FILE = HOME / "keys" / "django-secret"
CACHE_DIR = HOME / "cache"

PRODUCTION = env_flag("PRODUCTION")
DEBUG = False
SECRET_KEY = env("SECRET_KEY") or (
    SECRET_KEY_FILE.read_text().strip() if SECRET_KEY_FILE.exists() else "unsafe-until-setup-has-run"
)
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "wedbackup.core.adminconfig.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "wedbackup.apps.WiringConfig",
    "wedbackup.core",
    "providers",
    "backups",
    "monitoring",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "wedbackup.core.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "wedbackup.core.rowsecurity.RowSecurityMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "wedbackup.urls"
ASGI_APPLICATION = "wedbackup.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def database(url: str) -> dict[str, object]:
    """Return Django's database settings for `postgres://user:password@host:port/name`, or SQLite for ""."""
    if not url:
        HOME.mkdir(mode=0o700, parents=True, exist_ok=True)  # the first command of a fresh installation needs it
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": HOME / "wedbackup.sqlite3",
            "OPTIONS": {
                # DEFERRED gave 1,800 "database is locked" in 6 s with 8 writers; IMMEDIATE none.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
            },
        }
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


DATABASES = {"default": database(env("DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env("REDIS_URL")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
CELERY_BROKER_URL = REDIS_URL or "memory://localhost/"

AUTH_USER_MODEL = "core.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "sign-in"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
# Only production collects the static files; elsewhere they are served from where they are.
STATIC_ROOT = BASE_DIR / "static_root" if PRODUCTION else None
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False

# Daphne holds a whole request body in memory: uploads come in pieces of at most 8 MiB.
DATA_UPLOAD_MAX_MEMORY_SIZE = 9 * 1024 * 1024

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SECURE_SSL_REDIRECT = env_flag("SSL_REDIRECT", True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# One line per record without secrets; "json" for machines that read them. Integration events are always written: to
# stderr in production, to a file of their own elsewhere, so that a terminal shows what a person needs.
LOGGING = logs.config(
    env("LOG_FORMAT", "line"),
    env("LOG_LEVEL", "WARNING"),
    events_file="" if PRODUCTION else str(HOME / "integration-events.jsonl"),
)

# Jobs
WORKER_CONCURRENCY = int(env("WORKER_CONCURRENCY", "64"))  # jobs under way at once per worker process
ENGINE_PROCESSES = int(env("ENGINE_PROCESSES", str(min(4, os.cpu_count() or 2))))  # reading processes of one large job
LEASE_SECONDS = float(env("LEASE_SECONDS", "6"))
HEARTBEAT_SECONDS = float(env("HEARTBEAT_SECONDS", "2"))
