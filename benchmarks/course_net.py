"""normlab's course network, written as in a course, for the baseline on colour images."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F


class CourseNet(nn.Module):
    """normlab's course network; takes images (N, 3, 32, 32) and returns logits (N, 10)."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm1 = norm(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.norm2 = norm(32)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.norm3 = norm(64)
        self.transition = nn.Conv2d(64, 32, 1, bias=False)
        self.norm4 = norm(32)
        self.conv4 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.norm5 = norm(64)
        self.fc = nn.Linear(64, 10)
        for weight in self.parameters():
            if weight.ndim >= 2:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10)."""
        x = F.relu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        x = F.relu(self.norm2(F.max_pool2d(self.conv2(x), 2)))
        x = F.relu(self.norm3(F.max_pool2d(self.conv3(x), 2)))
        x = F.relu(self.norm4(self.transition(x)))
        x = F.relu(self.norm5(self.conv4(x)))
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits
