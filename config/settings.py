"""Every setting of the product, checked once at the start.

Each setting is an environment variable with the prefix ``TRADEACTORS_`` or a line of ``.env`` in the current
directory, or a file in SECRETS_DIR; the environment wins, then ``.env``. A part whose URL is empty is *embedded*:
`tradeactors up` starts it on this machine.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from config.api_settings import ApiSettings, Port
from config.files import ENCODING, UnreadableFile, lines_of, mistakes_of_others, refusal_of, refuse_unreadable_files
from config.login_settings import LoginSettings, Registration
from config.notification_settings import LogSettings, NotificationSettings
from config.secret_store import StoredSecrets, create_secrets, is_fernet_key, read_secrets
from config.values import (
    absolute_path,
    alert_addresses,
    database_address,
    echo_address,
    encrypted_beyond_this_machine,
    node_address,
    node_and_port,
    public_addresses,
    redis_address,
    secret_web_address,
    socket_root,
    split,
    time_of_day,
    two_durations,
    web_root,
)

PREFIX = "TRADEACTORS_"
ENV_FILE = ".env"

Broker = Literal["kite", "paper"]
PAPER_TOKEN_FILE = "paper_token"  # noqa: S105 - the name of the file, in DATA_DIR
Calendar = Literal["XNSE", "24x7"]
SecretsPolicy = Literal["required", "engine", "create", "optional"]

_IST_NAMES = frozenset({"Asia/Kolkata", "Asia/Calcutta"})
_DEFAULT_CALENDARS: Mapping[Broker, Calendar] = {"kite": "XNSE", "paper": "24x7"}
_SECRET_FIELDS = frozenset({
    "database_url", "redis_url", "jwt_secret", "encryption_keys", "feed_api_key", "feed_access_token", "alert_urls",
    "heartbeat_url", "smtp_password", "vapid_private_key", "telegram_bot_token",
})  # fmt: skip


class SettingsError(Exception):
    """The settings cannot be used; `problems` holds one sentence for each, naming its variable, never a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


WebRoot = Annotated[str, AfterValidator(web_root)]
SocketRoot = Annotated[str, AfterValidator(socket_root)]
KiteWebRoot = Annotated[WebRoot, AfterValidator(encrypted_beyond_this_machine)]
KiteSocketRoot = Annotated[SocketRoot, AfterValidator(encrypted_beyond_this_machine)]
TimeOfDay = Annotated[time, BeforeValidator(time_of_day)]


class Settings(LoginSettings, ApiSettings, NotificationSettings, LogSettings):
    """All settings, immutable. Build it with `load_settings`, which also finds unknown names and the secrets.

    Names ending in ``_s`` are seconds. A port of 0 lets the stack choose a free one.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: Annotated[str, AfterValidator(database_address)] = Field(default="", repr=False)
    redis_url: Annotated[str, AfterValidator(redis_address)] = Field(default="", repr=False)
    ray_address: Annotated[str, AfterValidator(node_and_port)] = ""
    ray_node_address: Annotated[str, AfterValidator(node_address)] = ""

    kite_root: KiteWebRoot = "https://api.kite.trade"
    kite_ws_root: KiteSocketRoot = "wss://ws.kite.trade"
    paper_root: WebRoot = ""
    paper_ws_root: SocketRoot = ""
    brokers: Annotated[tuple[Broker, ...], NoDecode] = ("paper",)
    feed_broker: Broker | None = None
    feed_api_key: SecretStr = SecretStr("")
    feed_access_token: SecretStr = SecretStr("")
    feed_credentials_file: Path | None = None
    feed_lag_limit_s: float = Field(default=5.0, gt=0, le=300)
    calendar: Calendar | None = None
    calendar_overrides: Path | None = None
    mis_cutoff: TimeOfDay = time(15, 20)
    timezone: str = "Asia/Kolkata"

    jwt_secret: SecretStr = SecretStr("")
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    account_proxies: bool = False
    order_addresses: Annotated[tuple[str, ...], NoDecode, AfterValidator(public_addresses)] = ()
    address_echo_url: Annotated[str, AfterValidator(echo_address)] = ""

    order_rate_per_second: int = Field(default=10, ge=1, le=100)
    orders_per_minute: int = Field(default=400, ge=1, le=10_000)
    orders_per_day: int = Field(default=5000, ge=1, le=1_000_000)
    order_reserve_for_exits: int = Field(default=2, ge=0, le=99)
    order_timeout_s: Annotated[tuple[float, float], NoDecode, BeforeValidator(two_durations)] = (0.5, 3.0)
    order_retries: int = Field(default=3, ge=0, le=10)
    entry_quarantine_s: float = Field(default=10.0, ge=0, le=300)
    exit_quarantine_s: float = Field(default=2.0, ge=0, le=300)
    missed_grace_s: float = Field(default=5.0, gt=0, le=60)
    late_exit: Literal["sell", "hold"] = "sell"
    max_quantity: int = Field(default=100_000, ge=1, le=10_000_000)
    max_notional: int = Field(default=100_000_000, ge=1, le=10_000_000_000)
    max_strategies: int = Field(default=1000, ge=1, le=100_000)
    max_running: int = Field(default=0, ge=0, le=100_000)
    max_running_total: int = Field(default=0, ge=0, le=100_000)
    max_symbols: int = Field(default=0, ge=0, le=100_000)
    market_protection: int = Field(default=-1, ge=-1, le=100)
    execution_actors: int = Field(default=2, ge=1, le=64)
    ledger_actors: int = Field(default=1, ge=1, le=64)

    paper_port: Port = 8085
    paper_token: bool | None = None
    dashboard_port: Port = 8265
    data_dir: Path = Path("~/.local/share/tradeactors")
    secrets_dir: Path | None = None
    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode, AfterValidator(alert_addresses)] = ()
    alert_repeat_minutes: int = Field(default=60, ge=0, le=10_080)
    heartbeat_url: Annotated[SecretStr, AfterValidator(secret_web_address)] = SecretStr("")
    failpoints: Path | None = None

    _split_lists = field_validator("brokers", "encryption_keys", "alert_urls", "order_addresses", mode="before")(split)

    @field_validator("brokers")
    @classmethod
    def _check_brokers(cls, value: tuple[Broker, ...]) -> tuple[Broker, ...]:
        if not value:
            raise ValueError("must name at least one of kite, paper")
        return tuple(dict.fromkeys(value))

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value := value.strip())
        except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:  # OSError: a directory of zones, such as Asia
            raise ValueError("is not a known time zone, such as Asia/Kolkata") from unknown
        return value

    @field_validator("market_protection")
    @classmethod
    def _check_market_protection(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must be -1 (chosen by the broker) or a percentage from 1 to 100")
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _check_jwt_secret(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and len(value.get_secret_value().encode()) < 32:
            raise ValueError("must be at least 32 bytes long")
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _check_encryption_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, key in enumerate(value, start=1):
            if not is_fernet_key(key.get_secret_value()):
                raise ValueError(f"key {number} of {len(value)} is not 32 bytes in urlsafe base64")
        return value

    @field_validator("data_dir", "secrets_dir", "calendar_overrides", "failpoints", "feed_credentials_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else absolute_path(value)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.feed_broker and self.feed_broker not in self.brokers:
            raise ValueError(f"{PREFIX}FEED_BROKER must be one of {PREFIX}BROKERS.")
        if self.feed_broker == "paper" and "kite" in self.brokers:
            raise ValueError(
                f"{PREFIX}FEED_BROKER must not be paper where {PREFIX}BROKERS has kite: "
                "invented prices would decide about real positions."
            )
        if self.feed_credentials_file is not None and self.feed_api_key.get_secret_value():
            raise ValueError(f"{PREFIX}FEED_CREDENTIALS_FILE stands in place of {PREFIX}FEED_API_KEY; set one of them.")
        if bool(self.feed_api_key.get_secret_value()) != bool(self.feed_access_token.get_secret_value()):
            raise ValueError(f"{PREFIX}FEED_API_KEY and {PREFIX}FEED_ACCESS_TOKEN must be set together.")
        if self.timezone not in _IST_NAMES and "XNSE" in map(self.calendar_for, self.brokers):
            raise ValueError(f"{PREFIX}TIMEZONE must be Asia/Kolkata, in which the sessions of XNSE are reckoned.")
        if self.order_reserve_for_exits >= self.order_rate_per_second:
            raise ValueError(f"{PREFIX}ORDER_RESERVE_FOR_EXITS must be below {PREFIX}ORDER_RATE_PER_SECOND.")
        if self.failpoints is not None and self.brokers != ("paper",):
            raise ValueError(f"{PREFIX}FAILPOINTS kills processes on purpose: only where {PREFIX}BROKERS is paper.")
        return self

    @property
    def paper_embedded(self) -> bool:
        """Whether `up` starts the paper exchange: users may connect to it and no address of one is set."""
        return "paper" in self.brokers and not self.paper_root

    @property
    def feed_source(self) -> Broker:
        """The broker that the FEED_ credentials are for: FEED_BROKER, else kite if it is one of BROKERS.

        Each broker has a feed of its own; that of any other uses the credentials of its connected users.
        """
        return self.feed_broker or ("kite" if "kite" in self.brokers else self.brokers[0])

    @property
    def registration_mode(self) -> Registration:
        """Who may register: REGISTRATION, else anyone only where no broker has real money."""
        return self.registration or ("invited" if "kite" in self.brokers else "open")

    @property
    def paper_token_wanted(self) -> bool:
        """Whether the paper exchange's controls want their token: PAPER_TOKEN, else where a broker has real money."""
        return "kite" in self.brokers if self.paper_token is None else self.paper_token

    @property
    def docs_served(self) -> bool:
        """Whether the API describes itself to browsers: API_DOCS, else only where no broker has real money."""
        return "kite" not in self.brokers if self.api_docs is None else self.api_docs

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which users write their buy and sell times."""
        return ZoneInfo(self.timezone)

    def broker_root(self, broker: Broker) -> str:
        """The HTTP root of a broker's API, without a trailing slash."""
        if broker == "kite":
            return self.kite_root
        return self.paper_root or f"http://127.0.0.1:{self.paper_port}"

    def broker_ws_root(self, broker: Broker) -> str:
        """The WebSocket root of a broker's market data, as `KiteTicker(root=...)` wants it."""
        if broker == "kite":
            return self.kite_ws_root
        return self.paper_ws_root or "ws" + self.broker_root("paper").removeprefix("http")

    def calendar_for(self, broker: Broker) -> Calendar:
        """The trading calendar of a broker: CALENDAR, else XNSE for kite and 24x7 for paper."""
        return self.calendar or _DEFAULT_CALENDARS[broker]

    def environment(self) -> dict[str, str]:
        """The settings that were set explicitly, as variables for a process that we start; secrets are left out."""
        values = self.model_dump(mode="json", include=self.model_fields_set - _SECRET_FIELDS, exclude_none=True)
        return {PREFIX + name.upper(): _as_variable(value) for name, value in values.items()}


def load_settings(
    *, secrets: SecretsPolicy = "required", env_file: str | None = ENV_FILE, **overrides: Any
) -> Settings:
    """Read and check all settings; `overrides` (by attribute name) win over the environment.

    JWT_SECRET and ENCRYPTION_KEYS are given by the operator or else come from DATA_DIR/secrets.json, which `up` keeps.
    With `secrets="create"` that file is made when the database is embedded; "engine" asks for the keys alone, as only
    the API signs tokens; with "optional" both may stay empty.

    Raises:
        SettingsError: an unknown variable, an invalid value, a missing secret, or one that others may have planted.
    """
    return _with_secrets(given_settings(env_file, **overrides), secrets)


def given_settings(env_file: str | None = ENV_FILE, **overrides: Any) -> Settings:
    """The settings as the operator gives them, without what DATA_DIR keeps.

    Raises:
        SettingsError: an unknown variable or an invalid value.
    """
    try:
        variables = {**lines_of(env_file), **os.environ}
        if mistakes := mistakes_of_others(variables):
            raise SettingsError(mistakes)
        files = _secrets_directory(variables)
    except UnreadableFile as unreadable:
        raise SettingsError([f"{unreadable}."]) from None
    problems = _unknown_variables([*variables, *(path.name for path in files.iterdir())] if files else variables)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(_env_file=env_file, _env_file_encoding=ENCODING, _secrets_dir=files, **given)
    except ValidationError as invalid:
        raise SettingsError(problems + _sentences(invalid)) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _secrets_directory(variables: Mapping[str, str | None]) -> Path | None:
    name = f"{PREFIX}SECRETS_DIR"
    given = next((value for variable, value in variables.items() if value and variable.upper() == name), None)
    if given is None:
        return None
    try:
        directory = absolute_path(Path(given))
    except ValueError as homeless:
        raise SettingsError([f"{name} {homeless}."]) from None
    if not directory.is_dir() or not os.access(directory, os.R_OK | os.X_OK):
        raise SettingsError(
            [f"{name} {directory} is not a directory that can be read: name one with files that this user may read."]
        )
    refuse_unreadable_files(path for path in directory.iterdir() if path.name.upper().startswith(PREFIX))
    return directory


def _unknown_variables(names: Iterable[str]) -> list[str]:
    known = {name.upper() for name in Settings.model_fields}
    problems = []
    for name in sorted({name for name in names if name.upper().startswith(PREFIX)}):
        bare = name.upper().removeprefix(PREFIX)
        if bare not in known:
            near = difflib.get_close_matches(bare, known, n=1)
            problems.append(
                f"{name} is not a setting{f'; did you mean {PREFIX}{near[0]}?' if near else ': remove it.'}"
            )
    return problems


def _sentences(invalid: ValidationError) -> list[str]:
    problems = []
    for error in invalid.errors(include_input=False, include_url=False, include_context=False):
        message = error["msg"].removeprefix("Value error, ")
        if error["type"].startswith("bool"):
            message = "must be true or false"
        name = PREFIX + str(error["loc"][0]).upper() + " " if error["loc"] else ""
        problems.append(f"{name}{message.replace('Input should', 'should').removesuffix('.')}.")
    return list(dict.fromkeys(problems))


def _with_secrets(settings: Settings, policy: SecretsPolicy) -> Settings:
    filled = _fill(settings, _stored_secrets(settings, policy))
    wanted = ("encryption_keys",) if policy == "engine" else ("jwt_secret", "encryption_keys")
    missing = [name for name in wanted if not _is_set(getattr(filled, name))]
    if missing and policy != "optional":
        raise SettingsError(
            [f"{PREFIX}{name.upper()} is required, because {PREFIX}DATABASE_URL is set or no `tradeactors up` has made "
             f"the secrets of {settings.data_dir}: set it, or name another directory (--data-dir)." for name in missing]
        )  # fmt: skip
    return filled


def _stored_secrets(settings: Settings, policy: SecretsPolicy) -> StoredSecrets | None:
    try:
        if policy == "create" and not settings.database_url:
            return create_secrets(settings.data_dir, keys_elsewhere=bool(settings.encryption_keys))
        return read_secrets(settings.data_dir)
    except OSError as refused:
        where = refused.filename or settings.data_dir
        raise SettingsError([f"{PREFIX}DATA_DIR: {where} cannot be used: {refusal_of(refused)}."]) from refused
    except ValueError as damaged:
        raise SettingsError([f"{damaged}."]) from damaged


def _fill(settings: Settings, stored: StoredSecrets | None) -> Settings:
    if stored is None:
        return settings
    update: dict[str, object] = {}
    if not _is_set(settings.jwt_secret):
        update["jwt_secret"] = SecretStr(stored.jwt_secret)
    if not settings.encryption_keys:
        update["encryption_keys"] = tuple(SecretStr(key) for key in stored.encryption_keys)
    address = urlsplit(settings.redis_url)
    # `up` hands out unix://default@/path so that the password is in no process's environment.
    if address.username and address.password is None:
        user, host = quote(address.username), address.netloc.rpartition("@")[2]
        update["redis_url"] = urlunsplit(address._replace(netloc=f"{user}:{quote(stored.redis_password)}@{host}"))
    return settings.model_copy(update=update)


def _is_set(value: SecretStr | tuple[SecretStr, ...]) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _as_variable(value: object) -> str:
    return ",".join(str(part) for part in value) if isinstance(value, list) else str(value)
