import fnmatch
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from config.ray_settings import CLUSTER_SETTINGS, PRELOADED, RAY_SETTINGS

FILE = Path(__file__).parents[3] / "ray_cluster.yaml"
ONE_MACHINE_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
LAUNCHER = """
import sys, yaml
from ray.autoscaler._private.util import prepare_config, validate_config
validate_config(prepare_config(yaml.safe_load(open(sys.argv[1], encoding="utf-8"))))
"""


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def test_rays_schema_accepts_the_file(cluster: dict[str, Any]) -> None:
    ray = importlib.util.find_spec("ray")  # found, not imported: Ray reads its settings at its import
    assert ray is not None
    assert ray.origin is not None
    schema = json.loads((Path(ray.origin).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(cluster, schema)


def test_the_launcher_accepts_the_file_with_its_defaults_filled_in() -> None:
    launched = subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(FILE)], check=False, capture_output=True, text=True, timeout=120
    )
    assert launched.returncode == 0, launched.stderr


def test_every_node_gets_our_ray_settings(cluster: dict[str, Any]) -> None:
    written = cluster["setup_commands"][0]
    settings = {**RAY_SETTINGS, **CLUSTER_SETTINGS}
    wanted = {f"{name}={value}" for name, value in settings.items() if name not in ONE_MACHINE_ONLY}
    wanted.add(f"RAY_preload_python_modules={PRELOADED}")
    assert wanted <= set(written.split())
    assert not any(name in written for name in ONE_MACHINE_ONLY)


def test_packages_come_from_the_hashed_lock_file_only(cluster: dict[str, Any]) -> None:
    installs = [command for command in cluster["setup_commands"] if "pip install" in command]
    assert installs
    for command in installs:
        assert "--require-hashes" in command or "--no-deps --no-build-isolation" in command


def test_only_nodes_with_a_registered_address_are_order_gateways(cluster: dict[str, Any]) -> None:
    start = cluster["worker_start_ray_commands"][-1]
    assert start.count("order_gateway") == 2
    assert "test -e /etc/tradeactors/order_gateway &&" in start


def test_the_head_carries_no_actors(cluster: dict[str, Any]) -> None:
    start = cluster["head_start_ray_commands"][-1]
    assert "--num-cpus=0" in start
    assert "order_gateway" not in start


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_ray_starts_with_our_settings(cluster: dict[str, Any], commands: str) -> None:
    assert cluster[commands][-1].startswith(". ~/tradeactors_ray.sh")


def test_what_a_site_must_fill_in_is_marked(cluster: dict[str, Any]) -> None:
    provider, auth = cluster["provider"], cluster["auth"]
    token = cluster["file_mounts"]["~/tradeactors_ray_token"]
    for value in (provider["head_ip"], *provider["worker_ips"], *auth.values(), token):
        assert re.fullmatch(r"<[a-z0-9-]+>", value)


@pytest.mark.parametrize("name", [".env", ".env.production", "client.pem", "tls.key"])
def test_no_secret_of_the_operators_directory_is_copied_to_the_nodes(cluster: dict[str, Any], name: str) -> None:
    # rsync compares a pattern without a slash with the last part of a path, in every directory
    patterns = [pattern for pattern in cluster["rsync_exclude"] if "/" not in pattern]
    assert any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
