import torch

from src.training.streams import generator, stream_seed


def test_streams_of_a_seed_are_all_different():
    streams = [
        (seed, *stream) for seed in (0, 1, 11) for stream in (("weights",), ("order", 1), ("order", 11), ("dropout", 1))
    ]
    assert len({stream_seed(*stream) for stream in streams}) == len(streams)
    assert all(0 <= stream_seed(*stream) < 2**63 for stream in streams)


def test_a_stream_is_the_same_wherever_it_is_drawn():
    torch.manual_seed(0)
    first = torch.rand(4, generator=generator(5, "order", 2))
    torch.rand(100)
    assert torch.equal(first, torch.rand(4, generator=generator(5, "order", 2)))


def test_the_numbers_behind_a_seed_never_change():
    assert stream_seed(0, "order", 1) == 4489457307835839548  # the first 63 bits of the SHA-256 of 0/order/1
