"""Connecting this process to the Ray cluster as a driver."""

import os

import ray

from actors.runtime.names import NAMESPACE
from config.embedded_ray import ray_environment
from config.settings import Settings


def connect(settings: Settings) -> None:
    """Become a driver of the cluster at RAY_ADDRESS; a second call does nothing.

    Ray reads its own settings from the environment, so ours are put there first, unless the operator has set them.
    """
    for name, value in ray_environment(settings).items():
        os.environ.setdefault(name, value)
    ray.init(
        address=settings.ray_address or "auto",
        namespace=NAMESPACE,
        ignore_reinit_error=True,
        log_to_driver=False,
        configure_logging=False,
    )
