"""Run training steps as CUDA graphs, which launch all kernels of several steps with one call.

For a small network, launching the kernels one by one takes Python 3 ms a step, and the GPU waits.  A graph repeats the
same kernels on the same memory, so it computes the same bits.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.training.history import History
from src.training.optimizers import Schedule
from src.training.streams import DropoutStream

Outputs = tuple[Tensor, Tensor, Tensor]
"""The logits, target and penalty of a step."""
EAGER_STEPS = 2  # first steps without a graph: libraries choose kernels, and the optimizer creates its state
STEPS_PER_GRAPH = 8  # recording a step takes as long as an eager step, so many steps per graph would not pay


@dataclass(frozen=True)
class Recording:
    """A graph of some steps, with the tensors that it reads and writes; they stay at the same place in memory."""

    graph: torch.cuda.CUDAGraph
    indices: Tensor  # (steps, batch): the images of each step
    rates: Tensor  # (groups, steps): the learning rate of each parameter group in each step
    outputs: list[Outputs]


class GraphedSteps:
    """Runs the steps of an epoch as CUDA graphs; a graph is recorded when it is first needed.

    The first `EAGER_STEPS` steps run without a graph.  They and all replays are real training steps, and a
    recording computes nothing, so graphs leave no trace in weights, statistics or random streams.

    A step must read no value from the device, and must change its tensors in place.  All calls must run on one stream,
    not on the default stream.
    """

    def __init__(
        self,
        train_batch: Callable[[Tensor], Outputs],
        optimizer: Optimizer,
        dropout: DropoutStream,
        augment_generator: torch.Generator,
    ) -> None:
        """Create the steps from `train_batch`, which trains on the images with the given indices (batch,)."""
        self._train_batch, self._optimizer = train_batch, optimizer
        self._dropout, self._augment_generator = dropout, augment_generator
        self._recordings: dict[int, Recording] = {}
        self._eager_steps = EAGER_STEPS

    def run(self, batches: Tensor, history: History, schedule: Schedule, after_step: Callable[[], None]) -> None:
        """Train on the images `batches` (steps, batch), and call `after_step` after each graph."""
        rates = schedule.next_rates(len(batches)).to(batches.device)  # (groups, steps)
        position = 0
        while position < len(batches):
            if self._eager_steps:
                self._eager_steps -= 1
                for group, rate in zip(self._optimizer.param_groups, rates[:, position], strict=True):
                    group["lr"].copy_(rate)
                history.append(*self._train_batch(batches[position]))
                position += 1
            else:
                end = position + STEPS_PER_GRAPH if position + STEPS_PER_GRAPH <= len(batches) else position + 1
                history.extend(self._replay(batches[position:end], rates[:, position:end]))
                position = end
            after_step()
        schedule.skip(len(batches))

    def forget(self) -> None:
        """Discard the graphs, because the next steps run other kernels; new graphs are recorded as at the start."""
        self._recordings.clear()
        self._eager_steps = EAGER_STEPS

    def _replay(self, batches: Tensor, rates: Tensor) -> Sequence[Outputs]:
        """Repeat one step for each of `batches`, and return the steps' outputs, which the next replay overwrites."""
        steps = len(batches)
        if steps not in self._recordings:
            self._recordings[steps] = self._record(batches.clone(), rates.clone())
        recording = self._recordings[steps]
        recording.indices.copy_(batches)
        recording.rates.copy_(rates)
        recording.graph.replay()
        return recording.outputs

    def _record(self, indices: Tensor, rates: Tensor) -> Recording:
        groups = self._optimizer.param_groups
        own_rates = [group["lr"] for group in groups]
        # Each graph has its own memory pool.  Graphs may share one only if they never run at the same time, and the
        # graphs of several jobs do (torch's notes on CUDA, "Sharing memory across captures").
        graph, outputs = torch.cuda.CUDAGraph(), []
        graph.register_generator_state(self._augment_generator)
        if self._dropout.repeating_generator is not None:
            graph.register_generator_state(self._dropout.repeating_generator)
        with self._dropout.active():  # also because a process can record only one graph at a time
            # `torch.cuda.graph` would also wait for the whole GPU and empty its cache, which holds up other jobs.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                for batch, step_rates in zip(indices, rates.unbind(dim=1), strict=True):
                    for group, rate in zip(groups, step_rates, strict=True):
                        group["lr"] = rate
                    outputs.append(self._train_batch(batch))  # launches nothing: CUDA only notes the kernels
            except Exception as error:
                with contextlib.suppress(Exception):  # the recording is already invalid
                    graph.capture_end()
                if isinstance(error, torch.OutOfMemoryError):  # the job can continue once other jobs have ended
                    raise
                reason = str(error).partition("\n")[0]
                raise RuntimeError(
                    f"a step cannot run as a CUDA graph, but does with execution=eager: {reason}"
                ) from error
            graph.capture_end()
        for group, rate in zip(groups, own_rates, strict=True):
            group["lr"] = rate
        return Recording(graph, indices, rates, outputs)
