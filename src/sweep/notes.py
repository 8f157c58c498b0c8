"""The notes of a plan about settings that are possible but unwise."""

from collections.abc import Sequence

from src.config import Config

SMALL_BATCH = 4  # images; below about 8, BatchNorm loses accuracy (Wu & He 2018, arXiv 1803.08494, figure 1)
NETWORKS_WITH_LATE_NORMS = ("cnn", "course", "resnet", "mlp", "vgg", "airbench")  # a norm follows each hidden layer


def note_lines(configs: Sequence[Config]) -> list[str]:
    """Return at most two lines: about statistics of few images, and about L2 on weights before a norm."""
    lines = []
    small = {config.norm.name: count for config in configs if 0 < (count := _images_per_mean(config)) <= SMALL_BATCH}
    if small:
        norms = " and ".join(f"norm={name}" for name in small)
        few = f"{min(small.values())} image{'s' if min(small.values()) > 1 else ''}"
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
    has_statistics = config.norm.axes.get(config.model.layout, "nothing") != "nothing"
    return has_statistics and config.model.name in NETWORKS_WITH_LATE_NORMS
