"""Other actors by name, and who this process is: every Ray call of the engine between actors goes through here.

A call that Ray could not complete raises `PeerUnavailable`; whether it took effect is not known, and every command is
safe to repeat. Errors of the application come through as they are.
"""

import functools
from typing import Any

import ray
from ray.exceptions import RayActorError, RaySystemError, RayTaskError

from actors.ports.common import PeerUnavailable
from actors.runtime.names import NAMESPACE


class Peers:
    """Handles by name, remembered: they outlive restarts. After a failed call the name is looked up again."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    def handle(self, name: str) -> Any:
        """The actor's handle.

        Raises:
            PeerUnavailable: no actor of that name exists now.
        """
        handle = self._handles.get(name)
        if handle is None:
            try:
                handle = ray.get_actor(name, namespace=NAMESPACE)
            except ValueError as error:
                raise PeerUnavailable(f"{name} does not exist") from error
            self._handles[name] = handle
        return handle

    def meet(self, name: str, handle: Any) -> None:
        """Remember the handle that a peer gave of itself: a message to one that died for good would be lost unseen."""
        self._handles[name] = handle

    def forget(self, name: str) -> None:
        """Look the actor up again at the next call."""
        self._handles.pop(name, None)

    async def call(self, name: str, method: str, *arguments: Any) -> Any:
        """Call and wait for the answer.

        Raises:
            PeerUnavailable: the actor died, is restarting, or does not exist.
        """
        try:
            return await getattr(self.handle(name), method).remote(*arguments)
        except (RayActorError, RaySystemError) as error:
            self.forget(name)
            raise PeerUnavailable(f"{name}: {type(error).__name__}") from error
        except RayTaskError as error:
            raise error.as_instanceof_cause() from error  # type: ignore[no-untyped-call]

    def tell(self, name: str, method: str, *arguments: Any) -> None:
        """Call without an answer. A peer that is gone loses the message."""
        try:
            getattr(self.handle(name), method).options(num_returns=0).remote(*arguments)
        except (PeerUnavailable, RayActorError):
            self.forget(name)


@functools.cache
def own_handle() -> Any:
    """The handle of the actor that this process is."""
    return ray.get_runtime_context().current_actor


@functools.cache
def own_name() -> str:
    """The name of the actor that this process is."""
    return str(ray.get_runtime_context().get_actor_name())


@functools.cache
def own_node() -> str:
    """The Ray node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


@functools.cache
def own_host() -> str:
    """The address of that node, as the other nodes know it."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
