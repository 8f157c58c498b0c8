"""A mistake is refused before Hydra is imported, with the same message as later, and no accepted command is refused."""

import random
import shlex
import shutil
from collections.abc import Sequence

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_store import ConfigStore

from src.bad_input import BadInput
from src.command import MULTIRUN
from src.sweep import composer, overrides, packaged
from src.sweep.composer import Composer
from src.sweep.flags import make_flag_parser
from src.sweep.grid import Grid
from src.sweep.option_files import make_loader
from src.sweep.overrides import CONF_FOLDER, group_options
from src.sweep.suggestions import PRESET_GROUPS
from tests.test_bad_input import CORRECTIONS, QUICK
from tests.test_readme import arguments

# Mistakes that only the whole configuration shows.
MISTAKES = [
    "norm=gn norm.groups=3",
    "-m norm=gn norm.groups=4,32",
    "norm=bn norm.groups=2",
    "-m norm=bn,gn norm.groups=2",
    "-m norm=bn,gn norm.groups=2 norm.momentum=0.2",
    "norm=in model=mlp",
    "norm=frn model=vit",
    "optimizer=sgd optimizer.momentum=0",
    "optimizer=adam optimizer.momentum=0.9",
    "optimizer=adam optimizer.adam_lr=0.1",
    "optimizer=schedulefree schedule=cosine",
    "reg.l1_method=proximal",
    "reg.ema=0.9 norm.stats=precise",
    "reg.stochastic_depth=0.1",
    "execution=graph device=cpu",
    "seed=1 init_seed=2 order_seed=3",
    "seeds=2 seed=1",
    "seeds=auto seed=1,2",
    "-m seeds=201",
    "seeds=auto norm=bn,gn sweep.max_jobs=39",
    "data=synthetic data.channels=2",
    "data=synthetic data.size=20 model=cnn",
    "model.weight_standardization=true norm=none",
    """'sweep.cells=["norm=batchnrom"]'""",
    """'sweep.cells=["norm=gn"]' norm=bn""",
    """'sweep.cells=["norm=gn","norm=bn","seeds=3"]'""",
    """'sweep.cells=["norm=gn norm.groups=2,3","norm=ln"]'""",
    """'sweep.cells=["norm=bn","norm=gn"]' norm.groups=2""",
]
# Words of which any three may form a command.
WORDS = [
    *("norm=bn", "norm=gn,ln", "norm=none", "norm.groups=2", "norm.groups=2,3", "norm.eps=1e-3", "norm.momentum=.5"),
    *("optimizer=sgd", "optimizer=adam,sgd", "optimizer.lr=null", "optimizer.lr=1,1e-2", "optimizer.momentum=0.9"),
    *("reg.l1=0,1e-5", "reg.l1=-1", "reg.ema=0.9", "reg.stochastic_depth=0.1", "reg.l1_method=proximal,subgradient"),
    *("epochs=1,2", "epochs=null", "epochs=x", "data.batch_size=1", "data.root=5", "model.width=8", "model.width=3"),
    *("seed=1", "seeds=2", "seeds=auto", "init_seed=1", "order_seed=1,null", "sweep.max_jobs=3", "device=cpu"),
    *("execution=graph", "compare.looks=[2,3]", 'sweep.cells=["norm=gn norm.groups=4","norm=ln seed=1,2"]'),
]
ACCEPTED = [
    "norm=bn,gn,ln reg.l1=0,1e-5",
    "optimizer=sgd optimizer.lr=null epochs=null data.limit=null",
    """'sweep.cells=["norm=none","norm=gn norm.groups=2,4"]' seeds=5""",
    "norm=gn experiment=null",
    "hydra/sweeper=optuna optimizer.lr=interval(0.1,1)",
    "data.root=. tracking.uri=http://127.0.0.1:5000 device=cuda:1",
]


def grid_refusal(grid: Composer, words: Sequence[str]) -> str:
    """The sweeper's refusal of a grid, or an empty text."""
    try:
        request = grid.parse_request(words, {})
        request.check_job_count(MULTIRUN)
        grid.compose_all(request)
    except BadInput as refused:
        return str(refused)
    return ""


@pytest.fixture
def refusal(typed):
    """`refusal("norm=x")` is the refusal of these words before Hydra composes, or an empty text."""

    def check(*words: str) -> str:
        try:
            typed(*words)
        except BadInput as refused:
            return str(refused)
        return ""

    return check


@pytest.fixture
def late_refusal(refusal, grid, monkeypatch):
    """The refusal of words if Hydra's parser reads every word, and Hydra composes."""

    def check(*words: str) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(overrides, "parse_plain_word", lambda word: None)
            patch.setattr(composer, "check_packaged_grid", lambda words: None)
            if text := refusal(*words):
                return text
            return grid_refusal(grid, [word for word in words if not word.startswith(("-", "hydra"))])

    return check


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_of_the_whole_configuration_is_refused_early_with_the_same_message(refusal, late_refusal, line):
    early = refusal(*shlex.split(line))
    assert early
    assert early == late_refusal(*shlex.split(line))


def test_a_wrong_word_is_refused_with_the_same_message(refusal, late_refusal):
    lines = [typed.split() for typed, _ in QUICK] + [[typed] for typed, _ in CORRECTIONS]
    early = [(words, text) for words in lines if (text := refusal(*words))]
    assert len(early) > 0.8 * len(lines)
    assert [(words, late_refusal(*words)) for words, _ in early] == early


def test_a_random_command_is_refused_exactly_if_the_sweeper_refuses_it(refusal, grid):
    draw = random.Random(2)
    lines = [draw.sample(WORDS, 3) for _ in range(300)]
    lines = [words for words in lines if len({word.partition("=")[0] for word in words}) == len(words)]
    early = [(words, refusal(*words), grid_refusal(grid, words)) for words in lines]
    assert [item for item in early if item[1] != item[2]] == []
    assert 0.2 < sum(bool(text) for _, text, _ in early) / len(early) < 0.8


@pytest.mark.parametrize("line", [*ACCEPTED, *arguments("train")])
def test_an_accepted_command_is_not_refused(refusal, monkeypatch, tmp_path, line):
    if "optuna" in line:
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install 'normlab[optuna]'")
    if "--config-dir" not in line:  # tests/sweep/test_option_files.py has the user's own options
        assert refusal(*shlex.split(line)) == ""


def test_the_packages_options_are_composed_as_by_hydra(grid):
    groups = {group: options for group, options in group_options().items() if group not in PRESET_GROUPS}
    for number in range(max(map(len, groups.values()))):  # every option occurs
        chosen = {group: options[number % len(options)] for group, options in groups.items()}
        chosen |= {"optimizer.lr": "0.1"}
        assert repr(Composer(None).compose(chosen)) == repr(grid.compose(chosen))


def test_the_sweeper_composes_the_packages_options_without_hydra_and_others_with_it(monkeypatch, tmp_path):
    composed = []
    load = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", lambda *a, **k: composed.append(a[2]) or load(*a, **k))
    path = create_config_search_path(str(CONF_FOLDER))
    packaged_grid, own_folder = (Grid(make_loader(path, more), "config") for more in ([], [str(tmp_path)]))
    assert packaged_grid.compose({"norm": "gn", "reg.l1": "0.5"}).norm.name == "gn"
    assert composed == []
    assert packaged_grid.compose({"norm": "gn", "epochs": "${threads}"}).epochs == 1
    assert composed == [["norm=gn"]]
    assert packaged_grid.compose({"experiment": "norms"}).seeds is None
    assert own_folder.compose({"norm": "ln"}).norm.name == "ln"
    assert composed == [["norm=gn"], ["experiment=norms"], ["norm=ln"]]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config", "experiment: null", "experiment: norms"),
        ("config", "hydra:", "hydra:\n  verbose: true"),
        ("config", "threads: 1 ", "optimizer: {lr: 0.5}\nthreads: 1 "),
        ("config", "threads: 1 ", "reg: {l1: 0.5}\nthreads: 1 "),
        ("config", "threads: 1 ", "threads: 2\nthreads: 1 "),
        ("config", "  - _self_\n", "  - mine\n  - _self_\n"),
        ("config", "  - _self_\n", "  - extra: foo\n  - _self_\n"),
        ("config", "  - _self_\n", "  - _self_\n  - _self_\n"),
        ("norm/bn", "# BatchNorm", "# @package reg\n# BatchNorm"),
        ("regularization/none", "# @package reg", "# @package norm"),
        ("norm/bn", "name: bn", "name: bn\neps: 1.0"),
        ("config", "hydra/sweeper: grid", "hydra/sweeper: basic"),
        ("config", "threads: 1 ", "threads: ${seed} "),
        ("norm/bn", "name: bn", "name: bn\nwidth: 2"),
        ("norm/bn", "eps: 1e-5", "eps: -1"),
        ("norm/bn", "eps: 1e-5", "# eps"),
        ("norm/bn", "eps: 1e-5", "eps: ["),
        ("optimizer/adam", "name: adam", "name: ???"),
        ("regularization/none", "l1: 0.0", "l1: many"),
    ],
)
def test_edited_files_are_left_to_hydra(monkeypatch, tmp_path, file, old, new):
    conf = shutil.copytree(CONF_FOLDER, tmp_path / "conf")
    text = (conf / f"{file}.yaml").read_text(encoding="utf-8")
    assert old in text
    (conf / f"{file}.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(packaged, "CONF_FOLDER", conf)
    with pytest.raises(packaged.NeedsHydra):
        packaged.packaged_config({})


def test_a_notebook_that_edits_a_file_between_two_commands_gets_the_new_value(monkeypatch, tmp_path):
    conf = shutil.copytree(CONF_FOLDER, tmp_path / "conf")
    monkeypatch.setattr(packaged, "CONF_FOLDER", conf)
    assert packaged.packaged_config({"norm": "gn"}).norm.groups == 4
    file = conf / "norm/gn.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("groups: 4", "groups: 2"), encoding="utf-8")
    assert packaged.packaged_config({"norm": "gn"}).norm.groups == 2


def test_options_made_by_code_and_another_main_file_are_left_to_hydra(monkeypatch):
    loader = make_loader(create_config_search_path(str(CONF_FOLDER)), [])
    assert Grid(loader, "config")._is_packaged
    assert not Grid(loader, "mine")._is_packaged
    monkeypatch.setattr(ConfigStore.instance(), "repo", dict(ConfigStore.instance().repo))
    ConfigStore.instance().store(group="norm", name="gn", node={"name": "gn", "groups": 2})
    assert not Grid(make_loader(create_config_search_path(str(CONF_FOLDER)), []), "config")._is_packaged


def test_the_parser_of_flags_has_hydras_flags():
    def described(parser):
        return {
            action.dest: (action.option_strings, action.nargs, action.const, action.default, list(action.choices or []))
            for action in parser._actions
            if action.dest != "version"
        }

    assert described(make_flag_parser()) == described(get_args_parser())
