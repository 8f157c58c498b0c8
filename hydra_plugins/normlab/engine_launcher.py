"""Hydra's interface to engines, which each launcher of one completes."""

import importlib.util
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.normlab.local_launcher import LocalLauncher
from src.bad_input import BadInput
from src.options import Data
from src.workers.engines import Engine, run
from src.workers.processes import Audience, Outcome, Task


class EngineLauncher(LocalLauncher):
    """Hydra's interface to an engine."""

    needs: ClassVar[tuple[str, str]]  # the package that an engine is, and the extra that installs it

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before `launch`.

        Raises:
            BadInput: where the engine is not installed.
        """
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        package, extra = self.needs
        if importlib.util.find_spec(package) is None:
            chosen = config.hydra.runtime.choices["hydra/launcher"]
            raise BadInput(f"hydra/launcher={chosen} needs: pip install 'normlab[{extra}]'")

    def prepare(self, data: Data) -> None:
        """Nothing is trained in this process's children."""

    @abstractmethod
    def engine(self, threads: int) -> AbstractContextManager[Engine]:
        """The engine, for jobs of so many threads each."""

    def _outcomes(
        self, tasks: Sequence[Task], go_on: Callable[[Outcome], bool], audience: Audience
    ) -> Iterator[Outcome]:
        with self.engine(max(task.config.threads for task in tasks)) as engine:
            yield from run(engine, tasks, go_on, audience)
