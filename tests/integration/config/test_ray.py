"""The local Ray: one start for all that is claimed of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from config.ray_settings import STARTING_NICENESS, TOKEN_FILE, may_take_priority_back
from config.stack.stack import Part
from tests.kit.stack import running_stack

pytestmark = pytest.mark.stack

# A second process, as the API will be: no more than the environment that the stack hands out.
DRIVER = """
import json, os, ray
from actors.runtime.hosts.actor_options import environment_of
from config.settings import load_settings
settings = load_settings()
ray.init(address=settings.ray_address, namespace="tradeactors", log_to_driver=False)

class Strategy:
    def surroundings(self):
        import config.settings
        return {"nice": os.nice(0), "data_dir": os.environ["TRADEACTORS_DATA_DIR"],
                "secret": "TRADEACTORS_JWT_SECRET" in os.environ, "ip": ray.util.get_node_ip_address(),
                "same_secret": config.settings.load_settings().jwt_secret == settings.jwt_secret}

actor = ray.remote(Strategy).options(
    name="strategy:1", lifetime="detached", num_cpus=0, resources={"order_gateway": 1}
).remote()
settings_inside = ray.get(actor.surroundings.remote())

niceness = ray.remote(lambda: os.nice(0)).options(num_cpus=0, runtime_env=environment_of("json"))
settings_inside["nice_of_execution"] = ray.get(niceness.remote())
print(json.dumps(settings_inside))
"""


def dashboard_actors(url: str, token: str) -> dict[str, str]:
    answer = httpx.get(f"{url}/api/v0/actors", headers={"Authorization": f"Bearer {token}"}, timeout=20)
    answer.raise_for_status()
    return {actor["name"]: actor["state"] for actor in answer.json()["data"]["result"]["result"]}


def listening_addresses(session: str) -> set[str]:
    """The local IPv4/IPv6 addresses on which processes of a Ray session listen, in the kernel's hexadecimal."""
    sockets: set[str] = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and session in (entry / "cmdline").read_bytes().decode(errors="replace"):
                sockets |= {str(descriptor.readlink()) for descriptor in (entry / "fd").iterdir()}
        except OSError:
            continue
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def test_a_second_process_joins_ray_with_the_token_and_only_this_machine_can_reach_it() -> None:
    with running_stack((Part.RAY,), migrate=False) as stack:
        done = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        assert seen == {
            "nice": os.nice(0) + (STARTING_NICENESS if may_take_priority_back() else 0),
            "nice_of_execution": os.nice(0),
            "data_dir": str(stack.settings.data_dir),
            "secret": False,
            "ip": "127.0.0.1",
            "same_secret": True,
        }

        token = (stack.settings.data_dir / TOKEN_FILE).read_text()
        assert (stack.settings.data_dir / TOKEN_FILE).stat().st_mode & 0o077 == 0
        assert dashboard_actors(stack.urls["dashboard"], token) == {"strategy:1": "ALIVE"}
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            dashboard_actors(stack.urls["dashboard"], "wrong")

        assert stack._ray is not None
        session = str(stack._ray.session_root)
        assert listening_addresses(session) <= {"0100007F", "0000000000000000FFFF00000100007F"}
        logs = stack.log_directory
        assert (logs / "ray" / "raylet.out").exists()
    assert not Path(session).exists()
