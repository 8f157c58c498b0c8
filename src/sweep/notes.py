"""The sentences of a plan about settings that are possible, but surprising or unwise."""

from collections.abc import Sequence

from src.config import Config
from src.sweep.grid import GridJob
from src.wording import counted
from src.workers.machine import shares_gpus

SMALL_BATCH = 4  # images; below about 8, BatchNorm loses accuracy (Wu & He 2018, arXiv 1803.08494, figure 1)


def warning_lines(jobs: Sequence[GridJob]) -> list[str]:
    """Return the sentences that every sweep prints, each once: about augmentation, regularisation and optimizer."""
    lines = [job.config.augmentation.warning(job.config.data) for job in jobs]
    for config, images in ((job.config, job.image_count) for job in jobs):
        lines += config.reg.warnings(config.optimizer.name, images // config.data.batch_size * config.epochs)
        if not config.optimizer.capturable and shares_gpus(config):
            optimizer = f"optimizer={config.optimizer.name}"
            lines.append(f"{optimizer} runs without CUDA graphs, because its step uses Python numbers")
    return list(filter(None, dict.fromkeys(lines)))


def note_lines(configs: Sequence[Config]) -> list[str]:
    """Return at most two lines for a dry run: about statistics of few images, and about L2 on weights before a norm."""
    lines = []
    small = {config.norm.name: count for config in configs if 0 < (count := _images_per_mean(config)) <= SMALL_BATCH}
    if small:
        norms = " and ".join(f"norm={name}" for name in small)
        few = counted(min(small.values()), "image")
        lines.append(f"note: {norms} with statistics of {few} is noisy; try norm.stats=precise or norm=gn")
    if any(config.reg.l2 and _ignores_scale(config) for config in configs):
        source = "van Laarhoven 2017, arXiv 1706.05350"
        lines.append(f"note: before a norm, reg.l2 mainly changes the weights' effective learning rate ({source})")
    return lines


def _images_per_mean(config: Config) -> int:
    """Return how many images share a mean; 0 if the norm uses one image alone, or other statistics in evaluation."""
    chunk: int = getattr(config.norm, "chunk", config.data.batch_size)  # of norm=ghost
    is_batch_norm = config.norm.uses_batch and getattr(config.norm, "stats", "ema") == "ema"
    return min(chunk, config.data.batch_size) if is_batch_norm else 0


def _ignores_scale(config: Config) -> bool:
    """Whether a norm follows each hidden layer and divides by a statistic, so that larger weights change nothing."""
    return config.norm.has_statistics and config.model.norm_after_each_layer
