"""All settings in one frozen tree, read once from the environment; `aspora config explain` prints this file's content.

Standard library only: the command line reads settings before it imports anything heavy.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from aspora.db.data_dir import SYSTEM_DATA_DIR, default_data_dir
from aspora.meta.errors import StatusError
from aspora.meta.names import did_you_mean
from aspora.meta.urls import is_plain_http_url

PREFIX = "ASPORA_"
_SECRET_KEY_BYTES = 32


_PLACE_VARIABLES = frozenset({f"{PREFIX}DATA_DIR", "HOME", "XDG_DATA_HOME"})


class SettingsError(ValueError):
    """A setting is unknown or can't be read; the message names it and what would do."""


class _Unshown(ValueError):
    """A value that is not what it should be and may hold a credential by mistake; it is not repeated."""


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _file(text: str) -> str:
    return str(_path(text))


def _flag(text: str) -> bool:
    folded = text.strip().lower()
    if folded in {"1", "true", "yes", "on"}:
        return True
    if folded in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("write true or false")


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("write a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"must be {low} to {high}")
        return value

    return parse


def _micro_usd(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        micro_usd = Decimal(text.strip()).scaleb(6)
        amount = int(micro_usd)
    except (ArithmeticError, ValueError):
        amount, micro_usd = -1, Decimal(0)
    if amount != micro_usd or not 0 <= amount <= 10**15:
        raise ValueError("write dollars like 2500.00, with six decimals at most")
    return amount


def _secret_key(text: str) -> str:
    try:
        found = len(bytes.fromhex(text.strip()))
    except ValueError:
        found = 0
    if found != _SECRET_KEY_BYTES:
        raise ValueError("must be 64 hex digits; set the right key, or unset it to read the secret key file")
    return text


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return text

    return parse


def _endpoint_url(text: str) -> str:
    if not is_plain_http_url(text.strip()):
        raise _Unshown("is not a URL without user, password and query; write it like http://127.0.0.1:8000/v1")
    return text.strip()


def _folder_or_url(text: str) -> str:
    return text if "://" in text else _file(text)


def _redis_url(text: str) -> str:
    if not text.strip().startswith(("redis://", "rediss://", "unix://")):
        raise _Unshown("is not the URL of a Redis; write it like redis://127.0.0.1:6379/0")
    return text.strip()


def _setting(doc: str, default: Any, parse: Callable[[str], Any] = str, *, env: str = "", secret: bool = False) -> Any:
    return field(default=default, metadata={"doc": doc, "parse": parse, "env": env, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator can choose. Secrets are never printed."""

    data_dir: Path = _setting(
        "Folder of everything Aspora keeps: database, artifacts, logs, keys.", SYSTEM_DATA_DIR, _path
    )
    database_url: str = _setting(
        "PostgreSQL (15 or newer) to use instead of the embedded one, as postgresql://….", "", secret=True
    )
    artifacts_url: str = _setting(
        "Where artifacts lie: empty for a folder in the data directory, else a folder that all machines share or"
        " s3://bucket/prefix, with endpoint and credentials in the AWS_ variables.",
        "",
        _folder_or_url,
    )
    redis_url: str = _setting(
        "Redis that executors share as a cache of artifacts, as redis://…; it may be away, and is never trusted.",
        "",
        _redis_url,
        secret=True,
    )
    host: str = _setting("Address the gateway listens on.", "127.0.0.1")
    port: int = _setting("Port of the gateway; 0 picks a free one.", 7700, _number(0, 65535))
    tls_cert: str = _setting("Certificate chain (PEM) for HTTPS.", "", _file)
    tls_key: str = _setting("Private key (PEM) of the certificate.", "", _file)
    allow_plaintext: bool = _setting(
        "Permit listening beyond loopback without TLS, for use behind a proxy that ends TLS.", False, _flag
    )
    drain_seconds: int = _setting(
        "How long `aspora gateway` still takes requests at a stop, once /readyz fails, for a load balancer to notice.",
        3,
        _number(0, 600),
    )
    metrics_host: str = _setting("Address of the executors' and controllers' /metrics.", "127.0.0.1")
    metrics_port: int = _setting(
        "Port of the executors' and controllers' own /metrics, /healthz and /readyz; 0 for none.", 0, _number(0, 65535)
    )
    executor_slots: int = _setting("Executions an executor runs at once.", 16, _number(1, 1024))
    sandbox_driver: str = _setting("Sandbox driver that runs handlers; there is no silent downgrade.", "process")
    sandbox_warm: int = _setting("Handler processes kept started ahead of need.", 4, _number(0, 256))
    node_lease_seconds: int = _setting("How long an executor is trusted without a sign of life.", 10, _number(2, 600))
    record_days: int = _setting(
        "Days that executions and what belongs to them are kept; what is not over stays longer, model calls and budgets"
        " 92 days at least.",
        90,
        _number(1, 36500),
    )
    keep_revisions: int = _setting(
        "Revisions of a skill that stay, besides those that serve, run or are less than a day old.",
        10,
        _number(0, 10_000),
    )
    stop_grace_seconds: int = _setting("How long running work may take to end at a stop.", 10, _number(0, 3600))
    secret_key: str = _setting(
        "Key that secrets are sealed with, as 64 hex digits; empty reads it from the secret key file.",
        "",
        _secret_key,
        secret=True,
    )
    secret_key_file: str = _setting(
        "File of that key; empty for `secret.key` in the data directory, made at the first start.", "", _file
    )
    openrouter_api_key: str = _setting(
        "Key for OpenRouter, which serves the default models.", "", env="OPENROUTER_API_KEY", secret=True
    )
    model_url: str = _setting("Any OpenAI-compatible endpoint to use for every model alias instead.", "", _endpoint_url)
    model_api_key: str = _setting("Key for that endpoint, where it wants one.", "", secret=True)
    model_name: str = _setting("Model name to send to that endpoint for every alias; empty keeps upstream ids.", "")
    platform_monthly_usd: int | None = _setting(
        "Cap on what all model calls of a calendar month (UTC) cost, in dollars like 2500.00; empty for none.",
        None,
        _micro_usd,
    )
    platform_model_calls_per_month: int = _setting(
        "Cap on the number of model calls in a calendar month (UTC).", 1_000_000, _number(1, 10**12)
    )
    url: str = _setting("Gateway that the command line talks to; empty finds the one of the data directory.", "")
    api_key: str = _setting(
        "Key that the command line sends; empty uses the data directory's admin key, for the Aspora there alone.",
        "",
        secret=True,
    )
    ca_file: str = _setting(
        "Certificates (PEM) that the command line trusts in place of the system's, for a gateway with one of your own.",
        "",
        _file,
    )
    domain: str = _setting("Domain that the command line uses when -d is absent.", "")
    skills_root: str = _setting(
        "Folder where the command line looks for skills by id; empty walks up to `skills/`.", ""
    )
    log_level: str = _setting("debug, info, warning or error.", "info", _one_of("debug", "info", "warning", "error"))
    log_format: str = _setting("console for people, json for machines.", "console", _one_of("console", "json"))

    @property
    def artifacts_dir(self) -> Path:
        """Folder of the local object store."""
        return self.data_dir / "artifacts"

    @property
    def secret_key_path(self) -> Path:
        """File of the key that secrets are sealed with."""
        return Path(self.secret_key_file) if self.secret_key_file else self.data_dir / "secret.key"

    @property
    def runtime_dir(self) -> Path:
        """Folder of copies of binaries that other operating-system users must reach."""
        return self.data_dir / "runtime"


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """One setting as people see it: its variable, what it does, its value (secrets hidden) and where that came from."""

    name: str
    env: str
    doc: str
    default: str
    value: str
    source: str


def env_name(setting: Any) -> str:
    """The environment variable of a dataclass field of `Settings`."""
    return setting.metadata["env"] or PREFIX + setting.name.upper()


def load_settings(environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the environment once; `overrides` (from options) win; an unknown `ASPORA_…` variable is refused.

    Raises:
        SettingsError: Names the variable, its problem and what would do; never its value when that is a secret.
    """
    known = {env_name(f): f for f in fields(Settings)}
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            raise SettingsError(f"unknown setting {name!r}{did_you_mean(name, known)}")
    values: dict[str, Any] = {"data_dir": default_data_dir(environ, uid=os.geteuid())}
    for name, setting in known.items():
        text = environ.get(name)
        if text is None or text == "":
            continue
        try:
            values[setting.name] = setting.metadata["parse"](text)
        except ValueError as e:
            shown = "" if setting.metadata["secret"] or isinstance(e, _Unshown) else f" is {text!r}:"
            raise SettingsError(f"{name}{shown} {e}") from None
    values.update({k: v for k, v in (overrides or {}).items() if v is not None})
    return Settings(**values)


def place_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """What a command in a hint needs behind it to mean the same data directory: ` --data-dir …`, or ""."""
    try:
        usual = load_settings({k: v for k, v in environ.items() if k in _PLACE_VARIABLES}).data_dir
    except StatusError:
        usual = None
    return "" if usual == settings.data_dir else f" --data-dir {shlex.quote(str(settings.data_dir))}"


def with_full_paths(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The environment for a process that works in another folder: files that were named from here are named in full."""
    files = {env_name(f): str(getattr(settings, f.name)) for f in fields(Settings) if f.metadata["parse"] is _file}
    return {**environ, **files, "ASPORA_ARTIFACTS_URL": settings.artifacts_url}


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment less the variables of secret settings."""
    secret = {env_name(f) for f in fields(Settings) if f.metadata["secret"]}
    return {name: text for name, text in environ.items() if name not in secret}


def explain_settings(settings: Settings, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> list[SettingInfo]:
    """Every setting with its value and source, for `aspora config explain`."""
    rows: list[SettingInfo] = []
    for f in fields(Settings):
        value, env = getattr(settings, f.name), env_name(f)
        source = "option" if overrides.get(f.name) is not None else "environment" if environ.get(env) else "default"
        default = "depends on the user" if f.name == "data_dir" else str(f.default)
        shown = ("(set)" if value else "") if f.metadata["secret"] else str(value)
        rows.append(SettingInfo(f.name, env, f.metadata["doc"], default, shown, source))
    return rows
