"""joblib's pool of processes (loky) as a place to train."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.normlab.engine_launcher import EngineLauncher
from hydra_plugins.normlab.local_launcher import LocalLauncherConf
from src.config import Config
from src.workers.engines import train_here
from src.workers.places import cores


@dataclass
class JoblibLauncherConf(LocalLauncherConf):
    """`hydra.launcher`: as the local launcher's."""

    _target_: str = "hydra_plugins.normlab.joblib_launcher.JoblibLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="joblib_keys", node=JoblibLauncherConf, provider="normlab")


class JoblibLauncher(EngineLauncher):
    """Keeps one job's end from the others, which `joblib.Parallel` does not."""

    needs = ("joblib", "joblib")

    @contextlib.contextmanager
    def engine(self, threads: int) -> Iterator["Pool"]:
        """A pool that ends with the sweep."""
        pool = Pool(self._workers or max(cores() // threads, 1))
        try:
            yield pool
        finally:
            pool.close()


class Pool:
    """Processes that take one job after another."""

    def __init__(self, places: int) -> None:
        self.places = places

    def _executor(self) -> Any:
        from joblib.externals.loky import get_reusable_executor

        return get_reusable_executor(max_workers=self.places, timeout=600)  # a new one where the last has broken

    def submit(self, config: Config, folder: Path) -> Any:
        """Give a job to the pool."""
        return self._executor().submit(train_and_end_with, os.getpid(), config, folder, Path.cwd())

    def ended(self, future: Any) -> str | None:
        """What became of it; a process of the pool that dies takes along what runs in the others."""
        if not future.done():
            return None
        try:
            error: str = future.result()
        except (Exception, CancelledError) as died:
            return f"joblib: {type(died).__name__}: {str(died).partition('. ')[0]}"
        return error

    def stop(self, future: Any) -> None:
        """End the pool, and with it the jobs."""
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._executor().shutdown(wait=True, kill_workers=True)


def train_and_end_with(command: int, config: Config, folder: Path, place: Path) -> str:
    """Train in a process of the pool, which does not outlive the process `command`."""
    multiprocessing.set_start_method("forkserver", force=True)  # loky's own is not known where jobs are forked
    _watch(command)
    return train_here(config, folder, place)


@functools.cache
def _watch(command: int) -> None:
    def end() -> None:
        while os.getppid() == command:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end, daemon=True).start()
