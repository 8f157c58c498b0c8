"""A Hydra launcher that trains jobs on a Ray cluster: one Ray task per job, or for several jobs that share a GPU."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.normlab.local_launcher import LocalLauncher
from src.bad_input import BadInput
from src.config import Config
from src.workers.engines import RemoteEngine, check_installed, train_here
from src.workers.gpu_worker import MAX_JOBS_PER_GPU
from src.workers.machine import can_share_gpus
from src.workers.queue import Engine


@dataclass
class RayLauncherConf:
    """The keys of `hydra.launcher`; `conf/hydra/launcher/ray.yaml` explains them."""

    _target_: str = "hydra_plugins.normlab.ray_launcher.RayLauncher"
    address: str | None = None
    cpus: float | None = None
    gpus: float = 0.0
    jobs_per_gpu: int = 8
    init: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/launcher", name="ray_keys", node=RayLauncherConf, provider="normlab")


class RayLauncher(LocalLauncher):
    """Trains jobs on an existing Ray cluster, or on a temporary one on this machine."""

    is_local = False

    def __init__(
        self, address: str | None, cpus: float | None, gpus: float, init: Mapping[str, Any], jobs_per_gpu: int = 8
    ) -> None:
        check_installed("ray", "ray", "ray")
        super().__init__(jobs_per_gpu=jobs_per_gpu)
        if gpus < 0 or (gpus > 1 and gpus % 1):
            problem = f"hydra.launcher.gpus={gpus:g} cannot be used"
            raise BadInput(problem, "0, a fraction such as 0.25, or a whole number", "hydra.launcher.gpus=1")
        self._address, self._cpus, self._gpus, self._init = address, cpus, gpus, dict(init)

    def slots(self, threads: int, config: Config) -> int:
        """Return how many jobs run at once; on an existing cluster, which a dry run does not ask, those of one task."""
        return self.places(config) if self._address else super().slots(threads, config)

    def places(self, config: Config) -> int:
        """Return how many jobs a Ray task trains at once; a fraction of a GPU is a place in a task with a whole GPU."""
        if not (self._gpus and can_share_gpus(config)):
            return 1
        if self._gpus < 1:
            return min(int(1 / self._gpus + 1e-9), MAX_JOBS_PER_GPU)
        return int(self._gpus) * self._jobs_per_gpu

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
            places = self.places(config)
            gpus = max(self._gpus, 1) if places > 1 else self._gpus
            engine = _Cluster(self._cpus or threads, gpus, places, places // max(int(gpus), 1))
            if self._address is None and not engine.slots:  # an existing cluster may still grow
                required = f"hydra.launcher.cpus={self._cpus or threads:g} and hydra.launcher.gpus={self._gpus:g}"
                raise BadInput(f"this machine cannot provide {required}", "at most the machine's CPUs and GPUs")
            yield engine
        finally:
            ray.shutdown()


class _Cluster(RemoteEngine):
    def __init__(self, cpus: float, gpus: float, places: int, jobs_per_gpu: int) -> None:
        import ray

        self._ray, self._required = ray, {"CPU": cpus, "GPU": gpus}
        self.places, self._jobs_per_gpu = places, jobs_per_gpu
        # Ray must not retry: it would train a failed job again, and the command would not know.
        self._train = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(train_here)

    @property
    def slots(self) -> int:  # type: ignore[override]  # a property, because nodes come and go
        """How many jobs the cluster's current nodes can run at once."""
        resources = self._ray.cluster_resources()
        tasks = min(int(resources.get(name, 0) // required) for name, required in self._required.items() if required)
        return tasks * self.places

    def start_training(self, jobs: Sequence[tuple[Config, Path]]) -> Any:
        return self._train.remote(jobs, Path.cwd(), self._jobs_per_gpu)

    def training_errors(self, reference: Any) -> list[str] | str | None:
        if not self._ray.wait([reference], timeout=0)[0]:
            return None
        try:
            return list(self._ray.get(reference))
        except Exception as ray_error:
            reason = str(getattr(ray_error, "cause", None) or ray_error).strip()
            return f"Ray: {type(ray_error).__name__}: {reason.partition(chr(10))[0]}"

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
