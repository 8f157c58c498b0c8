"""The training images that `norm.stats=precise` recomputes the statistics from."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from src.data.sources import load
from src.data.splits import make_splits
from src.norms.bn import BatchNorm
from src.training.evaluate import BATCH
from src.training.network import make_network
from src.training.precise import settle


@dataclass
class Recorded(BatchNorm):
    """BatchNorm that keeps the batches it is given."""

    batches: ClassVar[list[Tensor]] = []

    def settle(self, model, batches):
        self.batches[:] = batches


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(BATCH // 5, [BATCH, BATCH, BATCH // 5]), (BATCH + 1, [BATCH + 1] * 2)]
)
def test_statistics_come_from_the_stored_images_in_whole_batches_of_about_the_evaluations_size(
    config, batch_size, sizes
):
    config.norm = Recorded(eps=1e-5, momentum=0.1, stats="precise")
    config.data = replace(config.data, images=sum(sizes) + 30, batch_size=batch_size)  # 20 of them are for validation
    images = load(config.data)
    splits, model = make_splits(config.data, images), make_network(config, images.source)
    measured = settle(model, splits, config, {"val/loss": 1.5, "val/accuracy": 0.25, "train/loss": 2.0})
    assert [len(batch) for batch in Recorded.batches] == sizes
    assert torch.equal(torch.cat(Recorded.batches), splits.train.normalise(splits.train.images[: sum(sizes)]))
    assert (measured["val/loss_ema"], measured["val/accuracy_ema"], measured["train/loss"]) == (1.5, 0.25, 2.0)
    assert measured["val/loss"] != 1.5
