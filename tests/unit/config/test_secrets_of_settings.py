"""Where secrets come from, and which process needs which."""

import base64
import os
from pathlib import Path

import pytest

from config.secret_store import SECRETS_FILE, create_secrets
from config.settings import PREFIX, SecretsPolicy, SettingsError, load_settings

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OTHER_KEY = base64.urlsafe_b64encode(b"o" * 32).decode()
JWT_SECRET = "j" * 32
EXTERNAL = "postgresql+psycopg://trader:pg-password@db.example/trading"
POLICIES: tuple[SecretsPolicy, ...] = ("create", "required", "engine")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADEACTORS_DATA_DIR", str(tmp_path / "data"))


def test_planted_secrets_stop_the_start_in_one_sentence(tmp_path: Path) -> None:
    create_secrets(tmp_path / "data")
    (tmp_path / "data" / SECRETS_FILE).chmod(0o666)

    for policy in POLICIES:
        with pytest.raises(SettingsError, match="may be written by others") as raised:
            load_settings(secrets=policy)
        assert len(raised.value.problems) == 1
        assert "\n" not in str(raised.value)


def test_a_ray_node_needs_no_secret_that_only_the_api_uses() -> None:
    settings = load_settings(secrets="engine", database_url=EXTERNAL, encryption_keys=KEY)

    assert not settings.jwt_secret.get_secret_value()
    with pytest.raises(SettingsError, match="TRADEACTORS_JWT_SECRET"):
        load_settings(database_url=EXTERNAL, encryption_keys=KEY)
    with pytest.raises(SettingsError, match="TRADEACTORS_ENCRYPTION_KEYS"):
        load_settings(secrets="engine", database_url=EXTERNAL)


def test_secrets_may_be_files_so_that_no_environment_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"DATABASE_URL": EXTERNAL, "JWT_SECRET": JWT_SECRET, "ENCRYPTION_KEYS": f"{KEY},{OTHER_KEY}\n"}
    for name, value in files.items():
        (tmp_path / f"{PREFIX}{name}").write_text(value)
    monkeypatch.setenv(f"{PREFIX}SECRETS_DIR", str(tmp_path))

    settings = load_settings()

    assert settings.database_url == EXTERNAL
    assert settings.jwt_secret.get_secret_value() == JWT_SECRET
    assert [key.get_secret_value() for key in settings.encryption_keys] == [KEY, OTHER_KEY]
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", f"{EXTERNAL}2")
    assert load_settings().database_url == f"{EXTERNAL}2"
    (tmp_path / f"{PREFIX}JWT_SECERT").write_text(JWT_SECRET)
    with pytest.raises(SettingsError, match="did you mean TRADEACTORS_JWT_SECRET"):
        load_settings()
    monkeypatch.setenv(f"{PREFIX}SECRETS_DIR", str(tmp_path / "away"))
    with pytest.raises(SettingsError, match=r"TRADEACTORS_SECRETS_DIR .* is not a directory"):
        load_settings()
