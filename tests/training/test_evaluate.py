import math

import pytest
import torch
from torch import nn

from src.data.splits import Split
from src.training.evaluate import BATCH, predict, score


def test_loss_and_accuracy_are_the_plain_formulas():
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.25, 0.25, 0.5]])
    loss, accuracy = score(probabilities.log(), torch.tensor([0, 1, 2, 2]))
    assert loss == pytest.approx(-(math.log(0.5) + math.log(0.8) + math.log(0.2) + math.log(0.5)) / 4)
    assert accuracy == 0.75


def test_predictions_come_for_every_image_in_order():
    count = 2 * BATCH + 3
    images = torch.linspace(-3, 3, count)[:, None, None, None].expand(count, 1, 1, 2)
    found = predict(nn.Flatten(), Split(images, torch.zeros(count, dtype=torch.int64)), torch.device("cpu"))
    assert found.shape == (count, 2)
    torch.testing.assert_close(found.exp(), torch.full((count, 2), 0.5))
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    split = Split(images, torch.zeros(count, dtype=torch.int64))
    expected = model(images).log_softmax(dim=1)
    torch.testing.assert_close(predict(model, split, torch.device("cpu")), expected)


def test_evaluation_leaves_running_statistics_alone():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict(model.train(), Split(torch.randn(5, 1, 2, 2), torch.zeros(5, dtype=torch.int64)), torch.device("cpu"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
