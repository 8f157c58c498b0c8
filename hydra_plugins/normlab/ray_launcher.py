"""A Hydra launcher that trains jobs on a Ray cluster: one Ray task per job."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.normlab.local_launcher import LocalLauncher
from src.bad_input import BadInput
from src.config import Config
from src.workers.engines import RemoteEngine, check_installed, train_here
from src.workers.queue import Engine


@dataclass
class RayLauncherConf:
    """The keys of `hydra.launcher`; `conf/hydra/launcher/ray.yaml` explains them."""

    _target_: str = "hydra_plugins.normlab.ray_launcher.RayLauncher"
    address: str | None = None
    cpus: float | None = None
    gpus: float = 0.0
    init: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/launcher", name="ray_keys", node=RayLauncherConf, provider="normlab")


class RayLauncher(LocalLauncher):
    """Trains jobs on an existing Ray cluster, or on a temporary one on this machine."""

    is_local = False

    def __init__(self, address: str | None, cpus: float | None, gpus: float, init: Mapping[str, Any]) -> None:
        check_installed("ray", "ray", "ray")
        super().__init__()
        self._address, self._cpus, self._gpus, self._init = address, cpus, gpus, dict(init)

    def slots(self, threads: int, config: Config) -> int:
        """Return how many jobs run at once, but 1 for an existing cluster, because a dry run does not connect to it."""
        return 1 if self._address else super().slots(threads, config)

    @contextlib.contextmanager
    def start_engine(self, threads: int, config: Config) -> Iterator[Engine]:
        """Yield the cluster at `address`, or one on this machine that ends with the sweep.  Raises `BadInput`."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        sigterm_handler = signal.getsignal(signal.SIGTERM)
        _check_reachable(self._address or "")
        cluster = {"address": self._address} if self._address else {"address": "local", "include_dashboard": False}
        try:
            ray.init(**{"log_to_driver": False, "logging_level": "ERROR", **cluster, **self._init})
        except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
            raise _address_refusal(self._address, error) from error
        finally:
            signal.signal(signal.SIGTERM, sigterm_handler)  # ray.init replaces the handler
        try:
            engine = _Cluster(self._cpus or threads, self._gpus)
            if self._address is None and not engine.slots:  # an existing cluster may still grow
                required = f"hydra.launcher.cpus={self._cpus or threads:g} and hydra.launcher.gpus={self._gpus:g}"
                raise BadInput(f"this machine cannot provide {required}", "at most the machine's CPUs and GPUs")
            yield engine
        finally:
            ray.shutdown()


class _Cluster(RemoteEngine):
    def __init__(self, cpus: float, gpus: float) -> None:
        import ray

        self._ray, self._required = ray, {"CPU": cpus, "GPU": gpus}
        # Ray must not retry: it would train a failed job again, and the command would not know.
        self._train = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(train_here)

    @property
    def slots(self) -> int:  # type: ignore[override]  # a property, because nodes come and go
        """How many jobs the cluster's current nodes can run at once."""
        resources = self._ray.cluster_resources()
        return min(int(resources.get(name, 0) // required) for name, required in self._required.items() if required)

    def start_training(self, config: Config, folder: Path) -> Any:
        return self._train.remote(config, folder, Path.cwd())

    def training_error(self, reference: Any) -> str | None:
        if not self._ray.wait([reference], timeout=0)[0]:
            return None
        try:
            error: str = self._ray.get(reference)
        except Exception as ray_error:
            reason = str(getattr(ray_error, "cause", None) or ray_error).strip()
            return f"Ray: {type(ray_error).__name__}: {reason.partition(chr(10))[0]}"
        return error

    def cancel(self, reference: Any) -> None:
        self._ray.cancel(reference)


def _check_reachable(address: str) -> None:
    """Raise `BadInput` for an address where no server listens; Ray would retry for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and host and "//" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise _address_refusal(address, error) from error


def _address_refusal(address: str | None, error: Exception) -> BadInput:
    problem = f"Ray cannot use hydra.launcher.address={address or 'null'}: {str(error).partition(chr(10))[0]}"
    return BadInput(problem, "HOST:PORT, or auto on a cluster's machine", advice="ray start --head, then this command")
