"""Each network has its own number of epochs and its own learning rates, which null stands for."""

import shutil
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from src.bad_input import BadInput
from src.config import KEYS, Config, automatic_values
from src.models import NETWORKS
from src.models.cnn import CNN
from src.options import OPTIMIZERS
from src.runs.identity import applies, find_varying_keys, identity, job_key, job_settings
from src.sweep.grid import Grid
from src.sweep.overrides import CONF_FOLDER
from src.sweep.trees import to_config

MINE = {
    "optimizer/mine.yaml": "name: sgd\nmomentum: 0.5\n",  # without a learning rate
    "model/mine.yaml": "name: resnet\ndepth: 32\n",
    "experiment/short.yaml": "# @package _global_\nepochs: 2\noptimizer:\n  lr: 0.5\n",
}


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Iterator[Grid]:
    conf = shutil.copytree(CONF_FOLDER, tmp_path_factory.mktemp("automatic") / "conf")
    for name, text in MINE.items():
        (conf / name).write_text(text)
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield Grid(GlobalHydra.instance().config_loader(), "config")


def values(config: Config) -> tuple[int, float]:
    return config.epochs, config.optimizer.lr


def key(config: Config) -> str:
    return job_key(identity(config, "d" * 64))


@pytest.mark.parametrize("model", NETWORKS)
def test_every_network_has_epochs_and_a_learning_rate_for_every_optimizer(model):
    for optimizer in OPTIMIZERS:
        own_values = automatic_values({"model.name": model, "optimizer.name": optimizer})
        chosen = {"optimizer.name": optimizer}
        assert own_values.keys() == {path for path, item in KEYS.items() if item.automatic and applies(path, chosen)}
        for path, value in own_values.items():
            KEYS[path].check(value)


def test_the_values_are_the_same_if_hydra_composes_the_job(grid):
    config = grid.compose({"model": "resnet", "optimizer": "sgd"})
    assert values(config) == (NETWORKS["resnet"].epochs, NETWORKS["resnet"].learning_rates["sgd"])
    assert repr(config) == repr(to_config(compose("config", ["model=resnet", "optimizer=sgd"])))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_job_has_the_same_key_whether_a_number_is_typed_or_not(grid, optimizer):
    epochs, lr = str(CNN.epochs), str(CNN.learning_rates[optimizer])
    typed = grid.compose({"optimizer": optimizer, "epochs": epochs, "optimizer.lr": lr})
    null = grid.compose({"optimizer": optimizer, "epochs": "null", "optimizer.lr": "null"})
    assert key(typed) == key(null) == key(grid.compose({"optimizer": optimizer}))


def test_null_means_the_networks_own_value_even_if_a_preset_has_another(grid):
    resnet = NETWORKS["resnet"]
    own = (resnet.epochs, resnet.learning_rates["sgd"])
    words = {"model": "resnet", "optimizer": "sgd", "experiment": "short"}
    assert values(grid.compose(words)) == (2, 0.5)
    assert values(grid.compose(words | {"epochs": "null", "optimizer.lr": "null"})) == own
    assert values(grid.compose(words | {"epochs": "null", "optimizer.lr": "0.25"})) == (own[0], 0.25)


def test_a_users_own_network_and_optimizer_take_the_values_of_those_that_they_name(grid):
    config = grid.compose({"model": "mine", "optimizer": "mine"})
    assert values(config) == (NETWORKS["resnet"].epochs, NETWORKS["resnet"].learning_rates["sgd"])


def test_another_key_may_refer_to_an_automatic_value(grid):
    for null in ({}, {"epochs": "null", "optimizer.lr": "null"}):
        config = grid.compose({"model": "course", "reg.l1": "${optimizer.lr}", "data.batch_size": "${epochs}"} | null)
        assert (config.data.batch_size, config.reg.l1) == values(config)
        assert values(config) == (NETWORKS["course"].epochs, NETWORKS["course"].learning_rates["adam"])


def test_a_network_without_a_learning_rate_for_the_optimizer_asks_for_one(grid, monkeypatch):
    monkeypatch.setattr(CNN, "learning_rates", {"adam": 0.1})
    fresh = Grid(GlobalHydra.instance().config_loader(), "config")
    for words in ({}, {"optimizer.lr": "null"}):
        with pytest.raises(BadInput, match=r"model=cnn has no optimizer\.lr of its own for optimizer=sgd") as refused:
            fresh.compose({"optimizer": "sgd"} | words)
    assert str(refused.value).endswith("allowed: a finite number >= 1e-12\n  write: optimizer.lr=NUMBER")


def test_muon_trains_other_parameters_with_the_networks_learning_rate_for_adam(grid):
    config = grid.compose({"optimizer": "muon", "optimizer.adam_lr": "null", "optimizer.lr": "0.5"})
    assert (config.optimizer.lr, config.optimizer.adam_lr) == (0.5, CNN.learning_rates["adam"])


def test_a_networks_own_values_are_no_factors_beside_the_network(grid):
    def varied(*words: dict[str, str]) -> list[str]:
        return find_varying_keys(job_settings(grid.compose(word)) for word in words)

    cnn, course = {"model": "cnn"}, {"model": "course"}
    assert varied(cnn, course) == ["model.name"]
    assert varied(cnn, course | {"optimizer": "sgd"}) == ["optimizer.name", "model.name"]
    assert varied(cnn, course | {"epochs": "1"}) == ["model.name", "epochs"]
    assert varied(cnn, cnn | {"optimizer.lr": "0.5"}) == ["optimizer.lr"]


def test_a_key_with_one_value_per_option_is_no_factor_beside_the_option(grid):
    def varied(*words: dict[str, str]) -> list[str]:
        return find_varying_keys(job_settings(grid.compose(word)) for word in words)

    bn, rms = {"norm": "bn"}, {"norm": "rms"}  # their eps differ
    assert varied(bn, rms) == ["norm.name"]
    assert varied(bn, rms, rms | {"norm.eps": "1e-3"}) == ["norm.name", "norm.eps"]
    assert varied(bn, bn | {"norm.eps": "1e-3"}) == ["norm.eps"]
    assert varied(bn, rms | {"optimizer.eps": "1e-3"}) == ["norm.name", "optimizer.eps"]


def test_cfg_shows_the_numbers(typed):
    words = typed("--cfg", "job", "model=course", "optimizer=sgd", "epochs=null")
    course = NETWORKS["course"]
    assert words[-2:] == [f"optimizer.lr={course.learning_rates['sgd']}", f"epochs={course.epochs}"]
    assert typed("--cfg", "job", "epochs=3", "optimizer.lr=0.5")[-2:] == ["epochs=3", "optimizer.lr=0.5"]
