"""The settings of what users and operators hear: ways to notify, and the log; part of `config.settings.Settings`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode

from config.values import (
    bot_token,
    encrypted_beyond_this_machine,
    mail_host,
    mail_sender,
    notification_scheme,
    split,
    vapid_key,
    web_root,
)


class NotificationSettings(BaseSettings):
    """The mail server, the key by which push services know this deployment, and its bot at Telegram. Each is offered
    only if it is set."""

    smtp_host: Annotated[str, AfterValidator(mail_host)] = ""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: Annotated[str, AfterValidator(mail_sender)] = ""
    vapid_private_key: Annotated[SecretStr, AfterValidator(vapid_key)] = SecretStr("")
    telegram_bot_token: Annotated[SecretStr, AfterValidator(bot_token)] = SecretStr("")
    telegram_api: Annotated[str, AfterValidator(web_root), AfterValidator(encrypted_beyond_this_machine)] = (
        "https://api.telegram.org"
    )

    notification_schemes: Annotated[
        tuple[Annotated[str, AfterValidator(notification_scheme)], ...], NoDecode, BeforeValidator(split)
    ] = ()

    @property
    def mail_offered(self) -> bool:
        """Whether notices can be sent by e-mail."""
        return bool(self.smtp_host)

    @property
    def push_offered(self) -> bool:
        """Whether notices can be sent to browsers."""
        return bool(self.vapid_private_key.get_secret_value())

    @property
    def telegram_offered(self) -> bool:
        """Whether notices can be sent to chats of Telegram, and commands come from there."""
        return bool(self.telegram_bot_token.get_secret_value())

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if self.smtp_host and not self.smtp_from:
            raise ValueError("TRADEACTORS_SMTP_FROM must name the sender's address if TRADEACTORS_SMTP_HOST is set.")
        if bool(self.smtp_user) != bool(self.smtp_password.get_secret_value()):
            raise ValueError("TRADEACTORS_SMTP_USER and TRADEACTORS_SMTP_PASSWORD are set together, or neither.")
        if self.smtp_password.get_secret_value() and self.smtp_security == "none":
            raise ValueError("TRADEACTORS_SMTP_SECURITY must not be none with a password: it would cross the network.")
        return self


class LogSettings(BaseSettings):
    """How the log is written, and whether CloudWatch reads figures out of it."""

    log_format: Literal["json", "console"] = "json"
    log_metrics: Literal["none", "cloudwatch"] = "none"

    @model_validator(mode="after")
    def _check_log(self) -> Self:
        if self.log_metrics == "cloudwatch" and self.log_format != "json":
            raise ValueError("TRADEACTORS_LOG_METRICS=cloudwatch needs TRADEACTORS_LOG_FORMAT=json: it reads no other.")
        return self
