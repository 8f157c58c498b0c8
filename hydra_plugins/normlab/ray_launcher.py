"""A Ray cluster as a place to train."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.normlab.engine_launcher import EngineLauncher
from src.bad_input import BadInput
from src.config import Config
from src.workers.engines import train_here


@dataclass
class RayLauncherConf:
    """`hydra.launcher`; the keys are explained in `conf/hydra/launcher/ray.yaml`."""

    _target_: str = "hydra_plugins.normlab.ray_launcher.RayLauncher"
    address: str | None = None
    cpus: float | None = None
    gpus: float = 0.0
    init: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/launcher", name="ray_keys", node=RayLauncherConf, provider="normlab")


class RayLauncher(EngineLauncher):
    """One Ray task a job."""

    needs = ("ray", "ray")

    def __init__(self, address: str | None, cpus: float | None, gpus: float, init: Mapping[str, Any]) -> None:
        super().__init__()
        self._address, self._cpus, self._gpus, self._init = address, cpus, gpus, dict(init)

    def places(self, threads: int, device: str) -> int:
        """How many jobs are trained at once; a cluster elsewhere is not asked for a plan: one after another."""
        return 1 if self._address else super().places(threads, device)

    @contextlib.contextmanager
    def engine(self, threads: int) -> Iterator["Cluster"]:
        """The cluster at the address, or one on this machine that ends with the sweep.

        Raises:
            BadInput: where there is none.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # as MLflow's, unless the user chose otherwise
        import ray

        on_sigterm = signal.getsignal(signal.SIGTERM)
        _check_reachable(self._address or "")
        where = {"address": self._address} if self._address else {"address": "local", "include_dashboard": False}
        try:
            ray.init(**{"log_to_driver": False, "logging_level": "ERROR", **where, **self._init})
        except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
            raise _unusable(self._address, error) from error
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in its place
        try:
            cluster = Cluster(self._cpus or threads, self._gpus)
            if self._address is None and not cluster.places:  # elsewhere a node may still come
                wanted = f"cpus={self._cpus or threads:g} and gpus={self._gpus:g}"
                raise BadInput(f"this machine has no room for a job with hydra.launcher.{wanted}", "what it has")
            yield cluster
        finally:
            ray.shutdown()


class Cluster:
    """As many jobs as its nodes have processors and GPUs for."""

    def __init__(self, cpus: float, gpus: float) -> None:
        import ray

        self._ray, self._wants = ray, {"CPU": cpus, "GPU": gpus}
        # Ray's own retries would train again what has failed, and nobody would hear of it.
        self._train = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(train_here)

    @property
    def places(self) -> int:
        """What the nodes that are there now have room for."""
        there = self._ray.cluster_resources()
        return min(int(there.get(name, 0) // wanted) for name, wanted in self._wants.items() if wanted)

    def submit(self, config: Config, folder: Path) -> Any:
        """Give a job to the cluster."""
        return self._train.remote(config, folder, Path.cwd())

    def ended(self, reference: Any) -> str | None:
        """What became of it."""
        if not self._ray.wait([reference], timeout=0)[0]:
            return None
        try:
            error: str = self._ray.get(reference)
        except Exception as died:  # its process or node is gone, or it never came to train
            said = str(getattr(died, "cause", None) or died).strip()
            return f"Ray: {type(died).__name__}: {said.partition(chr(10))[0]}"
        return error

    def stop(self, reference: Any) -> None:
        """Interrupt it."""
        self._ray.cancel(reference)


def _check_reachable(address: str) -> None:
    """Refuse an address where nobody listens, for which Ray waits for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and host and "//" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise _unusable(address, error) from error


def _unusable(address: str | None, error: Exception) -> BadInput:
    what = f"hydra.launcher.address={address or 'null'}: {str(error).partition(chr(10))[0]}"
    return BadInput(what, "HOST:PORT of a cluster; auto on one of its machines", "ray start --head, and this again")
