import pytest
import torch

from src.bad_input import BadInput
from src.config import check_config
from src.training.device import device_facts, pick_execution
from tests.world import configuration

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "device", "expected"),
    [("auto", CPU, "eager"), ("auto", GPU, "graph"), ("eager", GPU, "eager"), ("graph", GPU, "graph")],
)
def test_steps_run_as_graphs_only_on_an_nvidia_gpu(name, device, expected):
    assert pick_execution(name, device) == expected


def test_the_journal_names_the_device_and_how_steps_run(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "NVIDIA H200")  # this test needs no GPU
    assert device_facts(configuration(), CPU) == {"device": "cpu", "execution": "eager"}
    expected = {"device": "cuda:1", "execution": "graph", "gpu": "NVIDIA H200"}
    assert device_facts(configuration(), torch.device("cuda:1")) == expected


@pytest.mark.parametrize("refuse", [lambda: pick_execution("graph", CPU), lambda: check_config(graph_on_the_cpu())])
def test_a_graph_on_the_cpu_is_refused(refuse):
    with pytest.raises(BadInput, match="execution=graph needs an NVIDIA GPU, but device=cpu"):
        refuse()


def graph_on_the_cpu():
    config = configuration()
    config.execution, config.device = "graph", "cpu"
    return config
