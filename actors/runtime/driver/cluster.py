"""Connecting this process to the Ray cluster as a driver. Nothing here imports Ray before its environment is set."""

import ipaddress
import logging
import os
import sys

from actors.runtime.names import NAMESPACE
from config.ray_settings import LOOPBACK_ONLY, ray_environment
from config.settings import Settings


def prepare(settings: Settings) -> None:
    """Put Ray's settings into this process's environment, unless the operator has set them there.

    Ray reads them when it is imported, so this comes first.

    Raises:
        RuntimeError: Ray has been imported already, with other settings.
    """
    wanted = ray_environment(settings)
    if not _on_this_machine(settings.ray_address):
        del wanted[LOOPBACK_ONLY]
    late = [name for name in wanted if name not in os.environ]
    if late and "ray" in sys.modules:
        raise RuntimeError(f"Ray was imported before {', '.join(late)} was set")
    for name in late:
        os.environ[name] = wanted[name]


def _on_this_machine(address: str) -> bool:
    host = address.rpartition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"", "localhost"}


def connect(settings: Settings) -> None:
    """Become a driver of the cluster at RAY_ADDRESS; a second call does nothing."""
    prepare(settings)
    import ray

    # it warns that its SIGTERM handler is not set, which is what we want
    logging.getLogger("ray._private.worker").setLevel(logging.ERROR)
    ray.init(
        address=settings.ray_address or "auto",
        _node_ip_address=settings.ray_node_address or None,
        namespace=NAMESPACE,
        ignore_reinit_error=True,
        log_to_driver=False,
        configure_logging=False,
    )
