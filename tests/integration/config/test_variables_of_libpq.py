"""Variables that an operator has set for databases of his own do not reach the embedded one."""

import os
from pathlib import Path

import psycopg
import pytest

from config.backup.create import make_backup
from config.settings import PREFIX
from config.stack.stack import Part
from tests.kit.stack import environment, no_settings_in_environment, running_stack, stack_settings

pytestmark = pytest.mark.stack

SET_FOR_OTHERS = {
    "PGOPTIONS": "-c search_path=elsewhere -c default_transaction_read_only=on",
    "PGSERVICE": "none.of.ours",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCLIENTENCODING": "SJIS",
    "PGTZ": "Pacific/Kiritimati",
}


def test_a_stack_starts_and_is_backed_up_whatever_was_set_for_other_databases(tmp_path: Path) -> None:
    with environment(SET_FOR_OTHERS), running_stack((Part.POSTGRES,)) as stack:
        url = os.environ[f"{PREFIX}DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        with no_settings_in_environment(), environment(SET_FOR_OTHERS):
            made = make_backup(stack_settings(stack.settings.data_dir), tmp_path / "backup.tar")
        assert made.manifest.while_running
