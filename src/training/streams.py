"""Separate random streams for initial weights, batch order, dropout and augmentation.

With one seed, all norms and penalties get the same initial weights and batches: no stream depends on another.
Each epoch has its own streams, so a resumed job draws the same numbers as an uninterrupted one.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterator

import torch

from src.config import Config


def init_seed(config: Config) -> int:
    """Return the seed of a job's initial weights: its `init_seed`, or its `seed` if that is null."""
    return config.seed if config.init_seed is None else config.init_seed


def order_seed(config: Config) -> int:
    """Return the seed of a job's batch order, dropout and augmentation: its `order_seed`, or `seed` if that is null."""
    return config.seed if config.order_seed is None else config.order_seed


def stream_seed(seed: int, *stream: str | int) -> int:
    """Return the seed of one random stream of a job, such as `("order", epoch)`: an integer below 2**63."""
    digest = hashlib.sha256("/".join(map(str, (seed, *stream))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *stream: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of random numbers for one stream of a job's seed."""
    return torch.Generator(device).manual_seed(stream_seed(seed, *stream))


class DropoutStream:
    """The random numbers of a job's dropout, which torch draws from its default generator.

    A job that runs in the main thread has the default generator to itself.  In other threads, other jobs use it too, so
    the job has a generator of its own, which replaces the default generator during the job's steps.

    If a step needs a second pass with the same random numbers, a second generator draws them.  A CUDA graph can neither
    read nor reset a generator's state, but it can record two generators with equal seeds.
    """

    _default_generator_in_use = threading.RLock()

    def __init__(self, device: torch.device, *, repeats: bool = False) -> None:
        is_alone = threading.current_thread() is threading.main_thread()
        self._generator = None if is_alone else torch.Generator(device)
        self.repeating_generator = torch.Generator(device) if repeats else None

    def seed(self, seed: int) -> None:
        """Start the random numbers of an epoch."""
        if self._generator is None:
            torch.manual_seed(seed)
        else:
            self._generator.manual_seed(seed)
        if self.repeating_generator is not None:
            self.repeating_generator.manual_seed(seed)

    def active(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which torch draws this job's random numbers; other jobs' contexts wait for its end."""
        return contextlib.nullcontext() if self._generator is None else self._replace_default(self._generator)

    def repeated(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which torch draws the random numbers of the latest first pass again.

        Each step must draw as many numbers in this context as in its first pass.
        """
        assert self.repeating_generator is not None
        return self._replace_default(self.repeating_generator)

    @contextlib.contextmanager
    def _replace_default(self, generator: torch.Generator) -> Iterator[None]:
        with self._default_generator_in_use:
            if generator.device.type == "cuda":
                default = torch.cuda.default_generators[generator.device.index or 0]
                other = default.graphsafe_get_state()
                default.graphsafe_set_state(generator.graphsafe_get_state())  # shares the state, does not copy it
                try:
                    yield
                finally:
                    default.graphsafe_set_state(other)
            else:
                default, state = torch.default_generator, torch.get_rng_state()
                default.set_state(generator.get_state())
                try:
                    yield
                finally:
                    generator.set_state(default.get_state())
                    default.set_state(state)
