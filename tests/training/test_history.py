import torch
import torch.nn.functional as F

from src.training.history import History


def test_several_steps_are_stored_as_one_by_one():
    torch.manual_seed(0)
    steps = [(torch.randn(6, 4), torch.randint(4, (6,)), torch.rand(())) for _ in range(5)]
    singly, together = History(5), History(5)
    for step in steps:
        singly.append(*step)
    together.extend(steps[:2])
    together.append(*steps[2])
    together.extend(steps[3:])
    assert len(together) == 5
    assert torch.equal(together.steps(), singly.steps())
    assert torch.equal(together.steps(2), singly.steps()[3:])
    logits, target, penalty = steps[1]
    loss, stored_penalty, hits = together.steps()[1].tolist()
    torch.testing.assert_close(loss, F.cross_entropy(logits, target).item())
    assert (stored_penalty, hits) == (penalty.item(), (logits.argmax(dim=1) == target).sum().item())
