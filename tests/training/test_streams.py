import threading

import torch

from src.training.streams import DropoutStream, generator, stream_seed


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


def test_jobs_in_threads_draw_the_dropout_of_a_job_alone():
    """Two threads take turns with steps; each draws what the main thread draws with the same seed."""
    dropout, turns = torch.nn.Dropout(0.5), threading.Barrier(2, timeout=10)

    def draw(seed, found, wait=lambda: None):
        stream = DropoutStream(torch.device("cpu"))
        stream.seed(seed)
        for _ in range(3):
            wait()
            with stream.active():
                found.append(dropout(torch.ones(50)).tolist())

    expected: dict[int, list[list[float]]] = {1: [], 2: []}
    found: dict[int, list[list[float]]] = {1: [], 2: []}
    for seed, numbers in expected.items():
        draw(seed, numbers)
    state = torch.get_rng_state()
    threads = [threading.Thread(target=draw, args=(seed, found[seed], turns.wait)) for seed in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
    assert torch.equal(torch.get_rng_state(), state)
