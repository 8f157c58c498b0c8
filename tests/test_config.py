import ast
import copy
import dataclasses
import math
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from src.bad_input import BadInput
from src.config import (
    KEYS,
    OPTIONS,
    SOURCES,
    Config,
    Regularization,
    UnusedKeyError,
    affects_results,
    check_config,
    optional_packages,
)
from src.models.timm import Timm
from src.schema import flatten
from src.sweep.overrides import CONF_FOLDER, group_options
from src.sweep.suggestions import GROUP_NODES, PRESET_GROUPS
from src.sweep.trees import to_config
from tests.world import configuration

PROJECT = Path(__file__).parents[1]
GROUPS = group_options()
PRESETS = [f"{group}={option}" for group in PRESET_GROUPS for option in GROUPS[group]]
EVERY_OPTION = [
    f"{group}={option}" for group, options in GROUPS.items() if group not in PRESET_GROUPS for option in options
]
MUST_GIVE = {f"data={name}": ["data.root=somewhere"] for name in ("idx", "folder", "npz")}
MUST_GIVE["optimizer=schedulefree"] = ["schedule=constant"]
SMALLEST, LARGEST_SEED = math.ulp(0), 2**32 - 1


def just_below(number: float) -> float:
    return math.nextafter(number, -math.inf)


# Each key's values at the edges of its range: those that are taken and those that are not.
RANGES: dict[str, tuple[str, list[object], list[object]]] = {
    "norm.eps": ("norm=bn", [SMALLEST, 1000.0], [0.0, -SMALLEST, math.nextafter(1000, 1001)]),
    "norm.alpha": ("norm=dyt", [SMALLEST, 1000.0], [0.0, -SMALLEST, math.nextafter(1000, 1001)]),
    "norm.momentum": ("norm=bn", [SMALLEST, 1.0], [0.0, -SMALLEST, math.nextafter(1, 2)]),
    "norm.frozen_share": ("norm=bn norm.stats=frozen", [SMALLEST, 0.8], [0.0, -SMALLEST, 1.0]),
    "norm.chunk": ("norm=ghost", [2, 64], [0, 1, -1]),
    "norm.groups": ("norm=gn", [1], [0, -1]),
    "sweep.max_jobs": ("norm=bn", [1], [0, -1]),
    "sweep.same_failures": ("norm=bn", [1], [0, -1]),
    "seeds": ("norm=bn", [1, 2**32, None, "auto"], [0, -1, 2**32 + 1, "AUTO"]),
    "compare.equal": ("norm=bn", [SMALLEST, 100.0], [0.0, -SMALLEST, 100.1]),
    "compare.looks": (
        "norm=bn",
        [[2], [2, 3], [5, 10, 20]],
        [[], [1, 2], [3, 2], [2, 2], [2.0], [True, 2], ["2"], 5, "2,3"],
    ),
    "reg.l1": ("regularization=none", [0.0, 1e300], [-SMALLEST]),
    "reg.l2": ("regularization=none", [0.0, 1e300], [-SMALLEST]),
    "reg.weight_decay": ("regularization=none", [0.0, 1e300], [-SMALLEST]),
    "reg.clip": ("regularization=none", [0.0, 1e300], [-SMALLEST]),
    "reg.ema": ("regularization=none", [0.0, just_below(1)], [-SMALLEST, 1.0]),
    "reg.sam": ("regularization=none", [0.0, 1e300], [-SMALLEST]),
    "reg.dropout": ("regularization=none", [0.0, 0.999], [-SMALLEST, math.nextafter(0.999, 1)]),
    "reg.label_smoothing": ("regularization=none", [0.0, 0.999], [-SMALLEST, math.nextafter(0.999, 1)]),
    "reg.stochastic_depth": ("model=resnet", [0.0, 0.999], [-SMALLEST, math.nextafter(0.999, 1)]),
    "optimizer.lr": ("optimizer=sgd", [1e-12, 1e300], [0.0, just_below(1e-12)]),
    "optimizer.momentum": ("optimizer=rmsprop", [0.0, just_below(1)], [-SMALLEST, 1.0]),
    "optimizer.beta1": ("optimizer=adam", [0.0, just_below(1)], [-SMALLEST, 1.0]),
    "optimizer.beta2": ("optimizer=adam", [0.0, just_below(1)], [-SMALLEST, 1.0]),
    "optimizer.alpha": ("optimizer=rmsprop", [0.0, just_below(1)], [-SMALLEST, 1.0]),
    "optimizer.eps": ("optimizer=adam", [SMALLEST, 1000.0], [0.0, math.nextafter(1000, 1001)]),
    "optimizer.adam_lr": ("optimizer=muon", [1e-12, 1e300], [0.0, just_below(1e-12)]),
    "optimizer.warmup_steps": ("optimizer=schedulefree schedule=constant", [0, 1], [-1]),
    "optimizer.momentum_decay": ("optimizer=nadam", [0.0, 1.0], [-SMALLEST, math.nextafter(1, 2)]),
    "schedule.step_epochs": ("schedule=step", [1], [0, -1]),
    "schedule.gamma": ("schedule=step", [SMALLEST, 1.0], [0.0, math.nextafter(1, 2)]),
    "schedule.warmup": ("schedule=onecycle", [SMALLEST, just_below(1)], [0.0, 1.0]),
    "data.batch_size": ("data=mnist", [1, 10**6], [0, -1]),
    "data.validation": ("data=mnist", [1, 10**6], [0, -1]),
    "data.split_seed": ("data=mnist", [0, LARGEST_SEED], [-1, LARGEST_SEED + 1]),
    "data.limit": ("data=mnist", [1, None], [0, -1]),
    "data.label_noise": ("data=mnist", [0.0, 1.0], [-SMALLEST, math.nextafter(1, 2)]),
    "data.noise_seed": ("data=mnist data.label_noise=1", [0, LARGEST_SEED], [-1, LARGEST_SEED + 1]),
    "data.classes": ("data=synthetic", [2, 100], [1, 101]),
    "data.channels": ("data=synthetic", [1, 3], [0, 2, 4]),
    "data.size": ("data=synthetic", [28, 32], [4, 7, 30, 1025, 1028]),
    "data.images": ("data=synthetic", [1], [0, -1]),
    "data.test_images": ("data=synthetic", [1], [0, -1]),
    "data.noise": ("data=synthetic", [0.0, 1e300], [-SMALLEST]),
    "augmentation.padding": ("augmentation=crop_flip", [0, 16], [-1, 17]),
    "augmentation.hole": ("augmentation=cutout", [1, 1024], [0, -1, 1025]),
    "augmentation.alpha": ("augmentation=mixup", [SMALLEST, 1000.0], [0.0, -SMALLEST, math.nextafter(1000, 1001)]),
    "augmentation.beta": ("augmentation=cutmix", [SMALLEST, 1000.0], [0.0, -SMALLEST, math.nextafter(1000, 1001)]),
    "model.width": ("model=cnn", [1, 1024], [0, -4, 1025, 10**12]),
    "model.heads": ("model=vit", [1, 96], [0, -4, 1025]),
    "epochs": ("model=cnn", [1, 10**6], [0, -1]),
    "seed": ("model=cnn", [0, LARGEST_SEED], [-1, LARGEST_SEED + 1]),
    "init_seed": ("model=cnn", [0, LARGEST_SEED, None], [-1, LARGEST_SEED + 1]),
    "order_seed": ("model=cnn", [0, LARGEST_SEED, None], [-1, LARGEST_SEED + 1]),
    "threads": ("model=cnn", [1, 1024], [0, -1, 1025]),
}


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def tree():
    """`tree("norm=gn")` is what Hydra composes for that command, a copy of its own."""
    kept: dict[tuple[str, ...], DictConfig] = {}

    def get(*words: str) -> DictConfig:
        if words not in kept:
            kept[words] = compose("config", list(words))
        return copy.deepcopy(kept[words])

    return get


@pytest.fixture(scope="module")
def composed(tree):
    """`composed("norm=gn")` is the configuration of that command, a copy of its own."""
    kept: dict[tuple[str, ...], Config] = {}

    def get(*words: str) -> Config:
        if words not in kept:
            kept[words] = to_config(tree(*words))
        return copy.deepcopy(kept[words])

    return get


def set_leaf(config: Config, path: str, value: object) -> None:
    section, _, name = path.rpartition(".")
    setattr(getattr(config, section) if section else config, name, value)


def refusal(config: Config) -> str:
    with pytest.raises(BadInput) as refused:
        check_config(config)
    assert len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


def test_the_defaults_can_be_trained(composed):
    check_config(composed())


@pytest.mark.parametrize("option", EVERY_OPTION)
def test_every_option_composes_over_the_schema_and_can_be_trained(option, composed):
    check_config(composed(option, *MUST_GIVE.get(option, [])))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_composes_and_varies_what_exists(preset):
    params = compose("config", [preset], return_hydra_config=True).hydra.sweeper.params
    assert params
    assert all(name in KEYS or name in GROUPS for name in params)


def test_a_seed_that_drives_nothing_is_refused(composed):
    config = composed()
    config.seed, config.init_seed, config.order_seed = 2, 0, 1
    assert refusal(config).startswith("normlab: seed=2 has no effect with init_seed=0 order_seed=1")
    for change in ({"seed": 0}, {"init_seed": None}, {"order_seed": None}):
        check_config(dataclasses.replace(config, **change))


def test_each_source_of_variance_is_a_key_of_a_job_that_takes_any_seed():
    assert all(affects_results(path) and KEYS[path].limits == KEYS["seed"].limits for path in SOURCES)


def test_every_name_that_the_schema_knows_has_a_file_and_the_other_way_round():
    for section in OPTIONS:
        assert sorted(KEYS[f"{section}.name"].choices) == GROUPS[section]


def test_an_options_file_is_named_for_what_it_chooses():
    for section in OPTIONS:
        for option in GROUPS[section]:
            assert OmegaConf.load(CONF_FOLDER / section / f"{option}.yaml").name == option


@pytest.mark.parametrize("option", EVERY_OPTION)
def test_an_options_file_sets_exactly_what_the_option_reads(option):
    group, name = option.split("=")
    node = GROUP_NODES.get(group, group)
    given = set(OmegaConf.load(CONF_FOLDER / group / f"{name}.yaml"))
    read = {
        path.rpartition(".")[2]
        for path, key in KEYS.items()
        if path.startswith(f"{node}.") and (not key.read_by or name in key.read_by)
    }
    if group == "regularization" and name != "none":  # every key that a method leaves out is off
        assert given < read
        return
    assert given == read - ({"system_metrics"} if option == "tracking=none" else set())


YAML_LINES = {path: path.read_text(encoding="utf-8").splitlines() for path in sorted(CONF_FOLDER.rglob("*.yaml"))}


@pytest.mark.parametrize("path", [path for path in KEYS if not path.endswith(".name")])
def test_every_key_is_explained_where_it_is_set(path):
    section, _, name = path.rpartition(".")
    group = {node: group for group, node in GROUP_NODES.items()}.get(section, section)
    files = sorted((CONF_FOLDER / group).glob("*.yaml")) if group else []
    assert any(
        re.match(rf" *{name}: \S+ +# \S", line)
        for file in files or [CONF_FOLDER / "config.yaml"]
        for line in YAML_LINES[file]
    )


@pytest.mark.parametrize("file", YAML_LINES, ids=lambda file: file.relative_to(CONF_FOLDER).as_posix())
def test_every_file_opens_by_saying_what_it_is(file):
    lines = [line for line in YAML_LINES[file] if not line.startswith("# @package")]
    assert re.match(r"# .{12,}", lines[0])


def test_every_key_with_a_range_is_tried_at_its_edges():
    assert {path for path, key in KEYS.items() if key.limits or path == "data.channels"} == set(RANGES)


@pytest.mark.parametrize("path", RANGES)
def test_a_value_at_the_edge_of_its_range_is_taken(path, composed):
    words, inside, _ = RANGES[path]
    for value in inside:
        config = composed(*words.split())
        set_leaf(config, path, value)
        check_config(config)


@pytest.mark.parametrize("path", RANGES)
def test_a_value_just_outside_its_range_is_refused_by_name(path, composed):
    words, _, outside = RANGES[path]
    wrong = [math.nan, math.inf, -math.inf] if KEYS[path].type in (float, float | None) else [1.5]
    for value in [*outside, *wrong, True, "abc", ""]:
        config = composed(*words.split())
        set_leaf(config, path, value)
        assert f"{path}={value}" in refusal(config), value


@pytest.mark.parametrize("path", [path for path, key in KEYS.items() if not key.optional])
def test_null_is_refused_where_a_value_is_needed(path, composed):
    config = composed()
    set_leaf(config, path, None)
    assert path in refusal(config)


UNREAD = [
    (f"{section}={option}", path)
    for path, key in KEYS.items()
    for section in [path.split(".")[0]]
    for option in (KEYS[f"{section}.name"].choices if key.read_by else ())
    if option not in key.read_by
]


@pytest.mark.parametrize(("option", "path"), UNREAD)
def test_a_key_that_the_option_does_not_have_is_refused(option, path, tree):
    composed = tree(option, *MUST_GIVE.get(option, []))
    value = RANGES[path][1][-1] if path in RANGES else True if bool in typing.get_args(KEYS[path].type) else "text"
    OmegaConf.update(composed, path, True if path == "tracking.system_metrics" else value, force_add=True)
    with pytest.raises(UnusedKeyError) as refused:
        to_config(composed)
    told = str(refused.value)
    assert f"{option} does not use" in told
    assert all(f"{option.split('=')[0]}={reader}" in told for reader in KEYS[path].read_by)


@pytest.mark.parametrize("option", EVERY_OPTION)
def test_what_an_option_reads_must_be_given(option, composed):
    section, name = option.split("=")
    config = composed(option, *MUST_GIVE.get(option, []))
    optional = ("data.root", "tracking.uri", *(["data.channels"] if name == "folder" else []))
    for path, key in KEYS.items():
        if path.startswith(f"{section}.") and name in key.read_by and not key.automatic and path not in optional:
            without = copy.deepcopy(config)
            set_leaf(without, path, None)
            told = refusal(without)
            assert path in told
            assert "or null" not in told


def test_groups_must_divide_the_channels_of_every_layer(composed):
    for width in range(1, 13):
        for groups in range(1, 2 * width + 2):
            config = composed("norm=gn")
            config.model.width, config.norm.groups = width, groups
            if width % groups == 0:
                check_config(config)
                continue
            told = refusal(config)
            assert f"norm.groups={groups} does not divide the {width} channels of layer conv1" in told
            way_on = re.search(r"write: norm=gn norm\.groups=(\d+)$", told)
            assert way_on
            config.norm.groups = int(way_on[1])
            check_config(config)
            assert config.norm.groups == max(number for number in range(1, groups) if width % number == 0)


# What a key was before it came, and still is where nobody names it: to change one makes old jobs other jobs.
OFF = {
    **dict.fromkeys(("reg.l1", "reg.l2", "reg.dropout", "reg.label_smoothing", "reg.stochastic_depth"), 0.0),
    **{"reg.l1_method": "subgradient", **dict.fromkeys(("reg.weight_decay", "reg.clip", "reg.ema", "reg.sam"), 0.0)},
    "data.label_noise": 0.0,
    "data.noise_seed": 0,
    **dict.fromkeys(("deterministic", "nondeterministic", "plan", "tracking.system_metrics"), False),
    **{"norm.stats": "ema", "norm.frozen_share": 0.2, "model.weight_standardization": False},
    **{"augmentation.name": "none", "precision": "float32", "device": "auto", "execution": "auto", "resume": "auto"},
    **{"sweep.max_jobs": 200, "sweep.cells": [], "sweep.on_failure": "continue", "sweep.same_failures": 3},
    **{"compare.equal": 0.1, "compare.looks": [5, 10, 20], "scale": "small"},
}


def test_what_is_off_stays_what_it_is():
    assert {path: item.default for path, item in KEYS.items() if item.default not in (None, "???")} == OFF


def test_a_job_is_what_it_computes_and_not_where_or_how_it_is_asked_for():
    assert all(map(affects_results, ("norm.name", "reg.l1", "data.limit", "model.width", "epochs", "seed", "threads")))
    assert not any(
        map(
            affects_results,
            ("tracking.uri", "tracking.name", "sweep.cells", "device", "execution", "resume", "plan", "scale"),
        )
    )


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "mps"])
def test_a_device_may_be_named(device, composed):
    config = composed()
    config.device = device
    check_config(config)


@pytest.mark.parametrize(
    "device", ["gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "cpu:1", "cpu:", "auto:0", "", "cuda 0"]
)
def test_another_device_is_refused(device, composed):
    config = composed()
    config.device = device
    assert "device=" in refusal(config)


@pytest.mark.parametrize("name", ["idx", "folder", "npz"])
def test_the_users_own_dataset_needs_its_place(name, composed):
    assert refusal(composed(f"data={name}")).endswith(f"data={name} data.root=FOLDER")


@pytest.mark.parametrize("words", [["data=folder", "data.root=somewhere"], ["data=synthetic"]])
def test_a_size_that_the_network_does_not_accept_is_refused_before_the_images_are_read(words, composed):
    config = composed(*words)
    config.data.size = 64
    assert "data.size=64: model=cnn does not accept 64 x 64 pixels" in refusal(config)


def test_nesterov_needs_momentum(composed):
    config = composed("optimizer=sgd")
    config.optimizer.momentum = 0.0
    assert "optimizer.momentum" in refusal(config)
    config.optimizer.nesterov = False
    check_config(config)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("ema", 0.9, "reg.ema=0.9 does not work with optimizer=schedulefree: it averages the weights itself"),
        ("l1_method", "proximal", "reg.l1_method=proximal does not work with optimizer=schedulefree"),
    ],
)
def test_a_schedule_free_optimizer_refuses_what_its_averages_do_not_allow(key, value, told):
    reg = Regularization(l1=1e-5, **{key: value})
    with pytest.raises(BadInput) as refused:
        reg.check("schedulefree")
    assert told in str(refused.value)
    assert str(refused.value).endswith("write: reg.ema=0" if key == "ema" else "write: reg.l1_method=subgradient")
    reg.check("adam")


def test_a_refusal_is_short_however_long_the_value_is(composed):
    config = composed()
    config.norm.name = "x\n" * 2000
    refusal(config)


def test_an_example_of_how_to_write_it_is_one_that_works(composed):
    for path, key in KEYS.items():
        if key.choices:
            option = next((f"{section}={name}" for name in key.read_by[:1] for section in [path.split(".")[0]]), None)
            config = composed(*([option] if option else []))
            set_leaf(config, path, "nonsense")
            assert re.search(rf"write: {path}=({'|'.join(key.choices)})$", refusal(config)), path


class Readers(ast.NodeVisitor):
    """Finds the keys that a module reads: attributes of names that are annotated, or matched, as a part of `Config`."""

    def __init__(self) -> None:
        self.read: set[str] = set()
        self._kinds: dict[str, type] = {}

    def kind(self, node: ast.AST | None) -> type | None:
        """Return the part of the configuration that an expression is."""
        if isinstance(node, ast.Attribute):
            owner = self.kind(node.value)
            known = Config if node.attr == "config" else None  # such as `request.config`
            found = typing.get_type_hints(owner).get(node.attr) if owner else self._kinds.get(ast.unparse(node), known)
            return found if dataclasses.is_dataclass(found) else None
        return self._kinds.get(node.id) if isinstance(node, ast.Name) else None

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._kinds |= {"self": PARTS[node.name]} if node.name in PARTS else {}
        self.generic_visit(node)
        self._kinds.pop("self", None)

    def visit_arg(self, node: ast.arg) -> None:
        name = ast.unparse(node.annotation).split(".")[-1] if node.annotation else ""
        if name in PARTS:
            self._kinds[node.arg] = PARTS[name]

    def visit_Assert(self, node: ast.Assert) -> None:
        if isinstance(node.test, ast.Call) and ast.unparse(node.test.func) == "isinstance":
            kind = PARTS.get(ast.unparse(node.test.args[1]))
            self._kinds |= {ast.unparse(node.test.args[0]): kind} if kind else {}

    def visit_Match(self, node: ast.Match) -> None:
        for case in node.cases:
            if isinstance(case.pattern, ast.MatchClass):
                option = PARTS[ast.unparse(case.pattern.cls).split(".")[-1]]
                self._kinds[ast.unparse(node.subject)] = option
                self.read |= {f"{option.__name__}.{name}" for name in case.pattern.kwd_attrs}
            for statement in case.body:
                self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            pairs = zip(target.elts, node.value.elts, strict=False) if both else [(target, node.value)]
            for name, value in pairs:
                if found := self.kind(value):
                    self._kinds[ast.unparse(name)] = found
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if ast.unparse(node.annotation) in PARTS:
            self._kinds[ast.unparse(node.target)] = PARTS[ast.unparse(node.annotation)]
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if owner := self.kind(node.value):
            self.read.add(f"{owner.__name__}.{node.attr}")
        self.generic_visit(node)


PARTS = {
    part.__name__: part
    for found in [
        Config,
        *typing.get_type_hints(Config).values(),
        *(o for one in OPTIONS.values() for o in one.values()),
    ]
    if dataclasses.is_dataclass(found)
    for part in found.__mro__
    if dataclasses.is_dataclass(part)
}


NOT_READ = {"deterministic"}  # it has no effect, but the keys of old jobs hold it


def unread(*, without: str = "") -> set[str]:
    """Return the keys that no module under `src` and `hydra_plugins` reads, apart from `config.py` and one more."""
    read: set[str] = set()
    for folder in ("src", "hydra_plugins"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            if path.name not in ("config.py", without):
                finder = Readers()
                finder.visit(ast.parse(path.read_text(encoding="utf-8")))
                read |= finder.read
    sections = typing.get_type_hints(Config)

    def is_read(path: str) -> bool:
        section, _, leaf = path.rpartition(".")
        if section in OPTIONS:
            options = OPTIONS[section].values()
            return leaf == "name" or any(
                f"{part.__name__}.{leaf}" in read
                for option in options
                if hasattr(option, leaf)
                for part in option.__mro__
            )
        return f"{sections[section].__name__ if section else 'Config'}.{leaf}" in read

    return {path for path in KEYS if not is_read(path)} - NOT_READ


def test_every_key_of_the_configuration_is_read_somewhere():
    assert not unread()


def test_a_key_that_no_module_reads_is_found():
    assert unread(without="bn.py") == {"norm.stats", "norm.frozen_share"}
    assert {"optimizer.beta2", "schedule.warmup"} <= unread(without="optimizers.py")


def test_a_configuration_holds_the_keys_of_its_options_alone(composed):
    config = composed("norm=gn")
    expected = {
        path for path, key in KEYS.items() if not key.read_by or getattr(config, path.split(".")[0]).name in key.read_by
    }
    assert set(flatten(dataclasses.asdict(config))) == set(flatten(config)) == expected


def test_only_options_that_compute_with_an_optional_package_name_it():
    config = configuration("bn")
    assert optional_packages(config) == []
    config.model = Timm(arch="resnet18")
    assert optional_packages(config) == ["timm"]
