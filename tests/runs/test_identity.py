import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from src.config import KEYS, Config, Regularization
from src.datasets import MNIST
from src.models.cnn import CNN
from src.norms.bn import BatchNorm
from src.norms.gn import GroupNorm
from src.norms.ln import LayerNorm
from src.options import Adam, AdamW, NoTracking, OneCycle, Tracking
from src.runs import identity
from src.runs.identity import (
    CODE_PATTERNS,
    _executable_code,
    applies,
    cell_key,
    code_digest,
    find_differing_keys,
    find_varying_keys,
    is_same_config,
    job_key,
    job_settings,
    sweep_id,
)

DIGEST = "d" * 64
GOLDEN = "0182886ee50c37d015f05dd39d50d2d3bbc6bfd86ec32a272dbd029a50174d17"
# Of the same job with adamw and reg.l2=0.01, which was its weight decay then.
GOLDEN_ADAMW = "cc1ed9917c7d22c82ca23a7c4e5a252d9a54ece60a0ca362e3e715a61db1185c"


def configuration(change: Callable[[Config], None] = lambda config: None) -> Config:
    config = Config(
        norm=GroupNorm(eps=1e-5, groups=4),
        reg=Regularization(l1=1e-5),
        optimizer=Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
        schedule=OneCycle(warmup=0.25),
        data=MNIST(batch_size=64, validation=5000, split_seed=0),
        model=CNN(width=16),
        tracking=Tracking(experiment="normlab"),
        epochs=3,
        seed=0,
        threads=1,
    )
    change(config)
    return config


def key(config: Config, digest: str = DIGEST) -> str:
    return job_key(identity.identity(config, digest))


def cell(config: Config) -> str:
    return cell_key(identity.identity(config, DIGEST))


def test_a_jobs_key_never_changes():
    assert key(configuration()) == GOLDEN


def adamw(**reg: float) -> Config:
    def change(config: Config) -> None:
        config.optimizer = AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
        config.reg = dataclasses.replace(config.reg, **reg)

    return configuration(change)


def old_form(config: Config) -> dict:
    """A configuration as jobs stored it before `reg.weight_decay` existed."""
    stored = dataclasses.asdict(config)
    stored["reg"] = {name: stored["reg"][name] for name in ("l1", "l2", "dropout", "label_smoothing")}
    return stored


def test_what_adamw_did_with_l2_keeps_its_key_under_its_new_name():
    decayed, penalised = adamw(weight_decay=0.01), adamw(l2=0.01)
    assert key(decayed) == GOLDEN_ADAMW
    assert cell(decayed) != cell(penalised)
    assert len({key(config) for config in (decayed, penalised, adamw(), adamw(l2=0.01, weight_decay=0.01))}) == 4


def test_an_old_job_with_adamw_is_read_as_weight_decay():
    stored, decayed, penalised = old_form(adamw(l2=0.01)), adamw(weight_decay=0.01), adamw(l2=0.01)
    assert is_same_config(stored, decayed)
    assert not is_same_config(stored, penalised)
    assert job_settings(stored) == job_settings(decayed)
    for config in (decayed, penalised):
        assert job_settings(dataclasses.asdict(config)) == job_settings(config)


def test_an_old_job_with_another_optimizer_keeps_its_penalty():
    penalised = configuration(lambda config: setattr(config.reg, "l2", 0.01))
    stored = old_form(penalised)
    assert is_same_config(stored, penalised)
    assert job_settings(stored) == job_settings(penalised)


@dataclasses.dataclass
class LaterRegularization(Regularization):
    """A later version's, with one more key, which is off."""

    mixup: float = dataclasses.field(default=0.0, metadata=dataclasses.fields(Regularization)[0].metadata)


def test_a_key_added_later_leaves_old_jobs_alone_until_it_is_used(monkeypatch):
    monkeypatch.setitem(KEYS, "reg.mixup", dataclasses.replace(KEYS["reg.l1"], path="reg.mixup"))
    later = configuration(lambda config: setattr(config, "reg", LaterRegularization(l1=1e-5)))
    assert key(later) == GOLDEN
    later.reg.mixup = 0.2
    assert key(later) != GOLDEN


@pytest.mark.parametrize(
    "change",
    [
        lambda c: setattr(c.data, "root", "/another/place"),
        lambda c: setattr(c, "device", "cuda:1"),
        lambda c: setattr(c, "tracking", NoTracking()),
    ],
    ids=["data.root", "device", "tracking"],
)
def test_where_a_job_runs_is_no_part_of_it(change):
    assert key(configuration(change)) == key(configuration())


CHANGES = {
    "norm.groups": 2,
    "reg.l1": 2e-5,
    "reg.l2": 1e-5,
    "reg.l1_method": "proximal",
    "reg.weight_decay": 0.1,
    "reg.clip": 1.0,
    "reg.ema": 0.999,
    "reg.sam": 0.05,
    "reg.dropout": 0.1,
    "reg.stochastic_depth": 0.1,
    "optimizer.lr": 0.020000000000000004,
    "schedule.warmup": 0.3,
    "data.batch_size": 32,
    "data.split_seed": 1,
    "data.limit": 100,
    "data.label_noise": 0.2,
    "model.width": 8,
    "epochs": 4,
    "init_seed": 0,
    "order_seed": 0,
    "threads": 2,
    "precision": "bfloat16",
    "deterministic": True,
    "nondeterministic": True,
}


@pytest.mark.parametrize("path", CHANGES)
def test_what_a_job_computes_is_its_key(path):
    def change(config):
        section, _, leaf = path.rpartition(".")
        setattr(getattr(config, section) if section else config, leaf, CHANGES[path])

    assert key(configuration(change)) != key(configuration())
    assert cell(configuration(change)) != cell(configuration())


def test_other_data_is_another_job():
    assert key(configuration(), "e" * 64) != key(configuration())


def test_a_seed_makes_another_job_of_the_same_cell():
    other = configuration(lambda c: setattr(c, "seed", 1))
    assert key(other) != key(configuration())
    assert cell(other) == cell(configuration())
    assert cell(other) not in (key(other), key(configuration()))


def test_a_sweep_is_a_set_of_jobs():
    keys = [f"{number:064x}" for number in range(5)]
    assert sweep_id(keys) == sweep_id(reversed(keys))
    assert sweep_id(keys) != sweep_id(keys[:4])


def test_what_varies_is_told_norm_first_and_seed_last():
    jobs = [
        job_settings(configuration(change))
        for change in (
            lambda c: None,
            lambda c: setattr(c, "seed", 1),
            lambda c: setattr(c, "epochs", 4),
            lambda c: setattr(c, "norm", LayerNorm(eps=1e-5)),
            lambda c: setattr(c.reg, "l1", 0.0),
        )
    ]
    assert find_varying_keys(jobs) == ["norm.name", "reg.l1", "epochs", "seed"]
    assert find_varying_keys(jobs[:1]) == []


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    """A copy of the code that the digest is taken of."""
    copy = tmp_path / "src"
    shutil.copytree(Path(identity.__file__).parents[1], copy, ignore=shutil.ignore_patterns("*.gz", "__pycache__"))
    monkeypatch.setattr(identity, "__file__", str(copy / "runs" / "identity.py"))
    return copy


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("figures/figures.py", False),
        *(
            (f"{room}/__init__.py", True)
            for room in ("data", "norms", "models", "models/modules", "augmentation", "augmentation/modules")
        ),
        *((name, True) for name in ("training/loop.py", "job.py", "datasets.py", "options.py")),
    ],
)
def test_the_codes_digest_covers_the_code_that_decides_the_numbers(file, changes, source):
    before = code_digest.__wrapped__()
    (source / file).write_text((source / file).read_text() + "\nEDITED = True\n")
    assert (code_digest.__wrapped__() != before) == changes


@pytest.mark.parametrize(
    "edit",
    [
        lambda code: code.replace(b"\n", b"\r\n"),
        lambda code: b"# a comment\n" + code + b"\n\n# another\n",
        lambda code: code.replace(b'"""', b'"""New words.  ', 1),
        lambda code: code.replace(b"\n", b"  \n\n"),
    ],
    ids=["line endings", "comments", "docstrings", "empty lines"],
)
def test_what_changes_no_statement_changes_no_digest(edit, source):
    before = code_digest.__wrapped__()
    files = [path for pattern in CODE_PATTERNS for path in source.glob(pattern)]
    assert len(files) > 20
    assert any(edit(path.read_bytes()) != path.read_bytes() for path in files)
    for path in files:
        path.write_bytes(edit(path.read_bytes()))
    assert code_digest.__wrapped__() == before


WITH_WORDS = """'''A docstring.'''

from x import y  # why


def f(a: int) -> str:
    '''Another.

    # no comment
    '''
    return f"{a!r:>{10}} # kept {{}}" + "#"  # dropped


async def g():
    "text"
    match a:
        case 1:
            pass
"""
WITHOUT_WORDS = """from x import y
def f(a: int) -> str:
    return f"{a!r:>{10}} # kept {{}}" + "#"
async def g():
    match a:
        case 1:
            pass"""


def test_the_digest_is_taken_of_the_same_text_under_every_version_of_python():
    assert _executable_code(WITH_WORDS.replace("\n", "\r\n").encode()) == WITHOUT_WORDS


def test_a_process_reports_the_code_that_it_has_imported(source):
    code_digest.cache_clear()
    before = code_digest()
    (source / "models" / "__init__.py").write_text("EDITED = True\n")
    assert code_digest() == before != code_digest.__wrapped__()
    code_digest.cache_clear()


def of(change: Callable[[Config], None] = lambda config: None) -> dict:
    return job_settings(configuration(change))


def stored(change: Callable[[Config], None] = lambda config: None) -> dict:
    return dataclasses.asdict(configuration(change))


def test_a_stored_configuration_has_the_leaves_of_today():
    old = stored()
    del old["reg"]["label_smoothing"]
    old["reg"]["gone"] = 3
    assert job_settings(old) == of()


def test_the_same_job_is_known_again_wherever_its_data_lies():
    config = configuration()
    assert is_same_config(stored(lambda config: setattr(config.data, "root", "/elsewhere")), config)
    assert not is_same_config(stored(lambda config: setattr(config.reg, "l1", 1e-4)), config)
    assert not is_same_config(stored(lambda config: setattr(config.reg, "l1", 0.0)), config)  # fewer that are not off
    assert not is_same_config(stored(lambda config: setattr(config.reg, "l2", 1e-4)), config)  # more


def other_norm(config: Config) -> None:
    config.norm = BatchNorm(eps=1e-5, momentum=0.1)


def test_a_key_applies_where_the_choice_reads_it():
    assert applies("norm.groups", of())
    assert not applies("norm.groups", of(other_norm))
    assert applies("seed", of())
    assert applies("reg.l1", of(other_norm))


def test_what_only_one_of_them_reads_does_not_differ_between_two_jobs():
    assert find_differing_keys(of(), of()) == []
    assert find_differing_keys(of(), of(other_norm)) == ["norm.name"]
    for first, second in ((0, 1), (1, 0)):
        jobs = [
            of(lambda config, seed=seed: vars(config).update(seed=seed, epochs=3 - seed)) for seed in (first, second)
        ]
        assert find_differing_keys(*jobs) == ["epochs", "seed"]


def test_what_only_some_jobs_read_varies_where_those_differ():
    four, two = of(), of(lambda config: setattr(config.norm, "groups", 2))
    assert find_varying_keys([four, of(other_norm)]) == ["norm.name"]
    assert find_varying_keys([four, two, of(other_norm)]) == ["norm.name", "norm.groups"]
    assert find_varying_keys([four, four]) == find_varying_keys([four]) == find_varying_keys([]) == []


def test_what_no_job_reads_does_not_vary():
    bn = of(other_norm)
    assert find_varying_keys([bn, bn | {"norm.groups": 2}]) == []


def test_what_varies_keeps_the_schemas_order_between_norm_and_seed():
    def change(config: Config) -> None:
        config.norm = GroupNorm(eps=1e-5, groups=2)
        config.reg.l1, config.data.limit, config.epochs, config.threads, config.seed = 0.0, 9, 9, 9, 9

    found = ["norm.name", "norm.groups", "reg.l1", "data.limit", "epochs", "threads", "seed"]
    assert find_varying_keys([of(), of(change), of(other_norm)]) == found


def test_a_number_that_is_none_names_no_job():
    with pytest.raises(ValueError, match="not JSON compliant"):
        job_key({"reg.l1": float("nan")})
