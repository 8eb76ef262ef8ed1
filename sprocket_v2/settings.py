"""Django's settings, one file, from the environment. Every name is in `.env.example`; nothing is needed for the embedded default."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

from sprocket_v2.errors import SetupError

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _data_dir() -> Path:
    """One folder for all data: named, else `.sprocket` beside a checkout, else the user's own data folder."""
    named = env.str("SPROCKET_DATA_DIR", default="")
    if named:
        return Path(named).absolute()
    if (BASE_DIR / "manage.py").is_file():
        return BASE_DIR / ".sprocket"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "sprocket"


def _private_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _secret_key() -> str:
    """Django's own key: from a file that is named, else made once in the data folder (0600)."""
    file = Path(env.str("SPROCKET_SECRET_KEY_FILE", default="") or KEYS_DIR / "django.key")
    if not file.is_file():
        if env.str("SPROCKET_SECRET_KEY_FILE", default=""):
            raise SetupError(f"{file} is not there", hint="SPROCKET_SECRET_KEY_FILE has to name a file", where="settings")
        _private_folder(file.parent)
        part = file.with_name(f".{file.name}.{os.getpid()}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(64))
        os.replace(part, file)
    return file.read_text().strip()


def _seconds(name: str, default: float, least: float) -> float:
    """A length of time; too short a one would take work from those who are still at it."""
    found: float = env.float(name, default=default)
    if found < least:
        raise SetupError(f"{name} is {found:g}, the least is {least:g}", hint=f"leave it out for {default:g} seconds", where="settings")
    return found


SPROCKET_DATA_DIR = _private_folder(_data_dir())
KEYS_DIR = SPROCKET_DATA_DIR / "keys"
SPROCKET_BASE_URL = env.str("SPROCKET_BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
SPROCKET_BROKER_URL = env.str("SPROCKET_BROKER_URL", default="")
SPROCKET_STATE_URL = env.str("SPROCKET_STATE_URL", default="")
SPROCKET_MASTER_KEY_FILE = Path(env.str("SPROCKET_MASTER_KEY_FILE", default="") or KEYS_DIR / "secret.key")
SPROCKET_CACHE_DIR = Path(
    env.str("SPROCKET_CACHE_DIR", default="") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sprocket"
)
SPROCKET_WEBHOOK_LOCAL = env.bool("SPROCKET_WEBHOOK_LOCAL", default=False)
SPROCKET_DRIFT_EVERY_HOURS = env.int("SPROCKET_DRIFT_EVERY_HOURS", default=6)
SPROCKET_LEASE_S = _seconds("SPROCKET_LEASE_S", 45.0, 2.0)
SPROCKET_RECONCILE_EVERY_S = _seconds("SPROCKET_RECONCILE_EVERY_S", 15.0, 0.5)
SIGN_IN_LINK_MINUTES = 15

SECRET_KEY = _secret_key()
DEBUG = env.bool("SPROCKET_DEBUG", default=False)
_HOST = urlsplit(SPROCKET_BASE_URL).hostname or "127.0.0.1"
ALLOWED_HOSTS = env.list("SPROCKET_ALLOWED_HOSTS", default=[_HOST, "127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = [SPROCKET_BASE_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "orgs",
    "blueprints",
    "provisioning",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "sprocket_v2.urls"
ASGI_APPLICATION = "sprocket_v2.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates" / "pages"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "sprocket_v2.pages.tabs",
            ],
        },
    }
]

# The address holds a password, so it may come from a file.
if env.str("SPROCKET_DATABASE_URL_FILE", default=""):
    _database = env.db_url_config(Path(env.str("SPROCKET_DATABASE_URL_FILE")).read_text().strip())
else:
    _database = env.db_url("SPROCKET_DATABASE_URL", default=f"sqlite:///{SPROCKET_DATA_DIR / 'db.sqlite3'}")
DATABASES: dict[str, Any] = {"default": _database}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Measured: with deferred transactions 643 of 800 concurrent read-then-write attempts failed, with immediate ones none.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "organizations"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
_HTTPS = SPROCKET_BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_NAME = "sprocket_session"
CSRF_COOKIE_NAME = "sprocket_csrf"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["sprocket_v2.uploads.InMemory"]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = _private_folder(SPROCKET_DATA_DIR / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files are served from the source folder, found by their plain names: one process, no collection step in the embedded default.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "stream": sys.stderr}},
    "root": {"handlers": ["stderr"], "level": env.str("SPROCKET_LOG_LEVEL", default="WARNING")},
}
