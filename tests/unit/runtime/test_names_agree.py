"""Names that stand twice, since strategies must not import the settings (they would load pydantic)."""

from actors.runtime import names
from actors.runtime.hosts.actor_classes import ORDER_GATEWAY
from config import ray_settings


def test_actors_and_the_embedded_ray_mean_the_same_namespace_and_resource() -> None:
    assert names.NAMESPACE == ray_settings.NAMESPACE
    assert set(ray_settings.RESOURCES) == {ORDER_GATEWAY}
