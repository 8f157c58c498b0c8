"""Build the network of a job."""

import torch
from torch import nn

from src.config import Config
from src.data.images import Source
from src.training.streams import DropoutStream, generator, init_seed


def make_network(config: Config, source: Source) -> nn.Module:
    """Return a job's network for the images of a dataset; its initial weights depend only on `init_seed(config)`."""
    with DropoutStream(torch.device("cpu")).active():  # layers draw initial values, which `initialise` replaces
        model = _build_network(config, source)
    config.model.initialise(model, generator(init_seed(config), "weights"))
    return model


def count_parameters(config: Config, source: Source) -> int:
    """Return the number of parameters of a job's network; this allocates no memory for the weights."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _build_network(config, source).parameters())


def _build_network(config: Config, source: Source) -> nn.Module:
    network, norm = config.model, config.model.norm_layer(config.norm)
    model = network.build(source.channels, source.size, len(source.classes), norm, config.reg.dropout)
    network.change_layers(model)
    if config.reg.stochastic_depth:
        network.set_stochastic_depth(model, config.reg.stochastic_depth)
    return model
