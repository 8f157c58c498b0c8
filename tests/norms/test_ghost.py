import copy

import pytest
import torch
import torch.nn.functional as F

from src.bad_input import BadInput
from src.norms.bn import BatchNorm
from src.norms.ghost import GhostBatchNorm
from tests.norms.reference import EPS, C, N, activations, layer, tokens, vectors

INPUTS = {"map": activations(), "tokens": tokens(), "vector": vectors()}
LAYOUTS = pytest.mark.parametrize("layout", INPUTS)
CHUNK = 2


def ghost(chunk: int = CHUNK) -> GhostBatchNorm:
    return GhostBatchNorm(eps=EPS, momentum=0.3, chunk=chunk)


def channels_first(values):
    """The values with the channels as their second dimension, of maps, tokens or vectors."""
    return values.movedim(-1, 1) if values.ndim == 3 else values


@LAYOUTS
def test_each_chunk_is_normalised_with_its_own_mean_and_variance(layout):
    values = INPUTS[layout]
    norm = layer(ghost(), layout)
    gain, bias = (parameter.detach() for parameter in norm.parameters())
    moved = channels_first(values)
    chunks = moved.reshape(N // CHUNK, CHUNK, C, -1)  # (chunks, images, channels, values)
    mean = chunks.mean(dim=(1, 3), keepdim=True)
    deviation = (((chunks - mean) ** 2).mean(dim=(1, 3), keepdim=True) + EPS).sqrt()
    expected = ((chunks - mean) / deviation * gain[:, None] + bias[:, None]).reshape(moved.shape)
    torch.testing.assert_close(channels_first(norm(values)), expected, rtol=1e-6, atol=1e-9)


@LAYOUTS
def test_gradients_are_those_of_separate_batches(layout):
    values, weights = INPUTS[layout].clone().requires_grad_(), torch.randn(INPUTS[layout].shape, dtype=torch.float64)
    norm = layer(ghost(), layout)
    (norm(values) * weights).sum().backward()
    expected, gain, bias = (
        INPUTS[layout].clone().requires_grad_(),
        *(p.detach().requires_grad_() for p in norm.parameters()),
    )
    loss = sum(
        (channels_first(weights_) * F.batch_norm(channels_first(chunk), None, None, gain, bias, True, 0.0, EPS)).sum()
        for chunk, weights_ in zip(expected.split(CHUNK), weights.split(CHUNK), strict=True)
    )
    loss.backward()
    torch.testing.assert_close(values.grad, expected.grad, rtol=1e-6, atol=1e-9)
    for one, other in zip(norm.parameters(), (gain, bias), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=1e-9)


@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_chunk_gives_the_bits_of_batchnorm(layout, dtype):
    ours, theirs = layer(ghost(N), layout).to(dtype), layer(BatchNorm(eps=EPS, momentum=0.3), layout).to(dtype)
    one, other = (INPUTS[layout].to(dtype).requires_grad_() for _ in range(2))
    outputs, expected = ours(one), theirs(other)
    assert torch.equal(outputs, expected)
    outputs.square().sum().backward()
    expected.square().sum().backward()
    assert torch.equal(one.grad, other.grad)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
    assert torch.equal(ours.eval()(one), theirs.eval()(other))


@LAYOUTS
def test_each_chunk_in_turn_moves_the_running_averages(layout):
    """Algorithm 1 of Hoffer et al. 2017: with n chunks, the k-th one has the weight (1 - momentum)^(n - k) momentum."""
    values, norm = channels_first(INPUTS[layout]), layer(ghost(), layout)
    norm(INPUTS[layout])
    chunks = [chunk.transpose(0, 1).reshape(C, -1) for chunk in values.split(CHUNK)]
    weights = [0.7 ** (len(chunks) - 1 - k) * 0.3 for k in range(len(chunks))]
    mean = sum(weight * chunk.mean(dim=1) for weight, chunk in zip(weights, chunks, strict=True))
    variance = 0.7 ** len(chunks) + sum(
        weight * chunk.var(dim=1) for weight, chunk in zip(weights, chunks, strict=True)
    )
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-6, atol=1e-9)


@LAYOUTS
def test_evaluation_uses_the_running_averages(layout):
    norm = layer(ghost(), layout)
    norm(INPUTS[layout])
    expected = F.batch_norm(
        channels_first(INPUTS[layout]), norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, EPS
    )
    torch.testing.assert_close(channels_first(norm.eval()(INPUTS[layout])), expected, rtol=1e-6, atol=1e-9)


def test_one_training_step_is_that_of_batchnorm_on_each_chunk():
    norm, images = layer(ghost()), activations()
    reference = layer(BatchNorm(eps=EPS, momentum=0.3))
    for model, outputs in (
        (norm, norm(images)),
        (reference, torch.cat([reference(chunk) for chunk in images.split(CHUNK)])),
    ):
        outputs.tanh().sum().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[name], rtol=1e-6, atol=0)


def test_an_image_of_another_chunk_changes_nothing():
    norm, images = layer(ghost()), activations()
    changed = torch.cat([images[:CHUNK], 3 * images[CHUNK:] + 1])
    before, after = copy.deepcopy(norm)(images), norm(changed)
    assert torch.equal(before[:CHUNK], after[:CHUNK])
    changed = torch.cat([images[:1], 3 * images[1:CHUNK] + 1, images[CHUNK:]])
    assert not torch.equal(norm(changed)[0], before[0])


def test_the_chunk_must_divide_the_batch():
    ghost(4).check_training(8, epochs=1)
    with pytest.raises(BadInput, match=r"norm.chunk=4 does not divide data.batch_size=6\n.*2, 3, 6\n.*norm.chunk=3"):
        ghost(4).check_training(6, epochs=1)
    with pytest.raises(
        BadInput, match=r"norm.chunk=32 does not divide data.batch_size=16\n.*2, 4, 8, 16\n.*norm.chunk=16"
    ):
        ghost(32).check_training(16, epochs=1)
    with pytest.raises(BadInput, match=r"norm.chunk=2 does not divide data.batch_size=9\n.*3, 9\n.*norm.chunk=3"):
        ghost(2).check_training(9, epochs=1)
    with pytest.raises(BadInput, match=r"data.batch_size=1\n  allowed: data.batch_size=2 or more"):
        ghost(4).check_training(1, epochs=1)
