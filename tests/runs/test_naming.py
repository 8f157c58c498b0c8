import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.config import KEYS
from src.runs.naming import folder_name, format_value, job_name, short_name

JOB = {"norm.name": "gn", "norm.groups": 4, "reg.l1": 1e-5, "optimizer.name": "adam", "seed": 0}
KEY = "d" * 64


NAMED_IN_ORDER = [
    "norm.name",
    "norm.eps",
    "norm.momentum",
    "norm.alpha",
    "norm.groups",
    "reg.l1",
    "reg.l2",
    "reg.dropout",
    "reg.label_smoothing",
    "optimizer.name",
    "optimizer.lr",
    "optimizer.momentum",
    "optimizer.nesterov",
    "optimizer.beta1",
    "optimizer.beta2",
    "optimizer.eps",
    "optimizer.alpha",
    "schedule.name",
    "schedule.step_epochs",
    "schedule.gamma",
    "schedule.warmup",
    "data.name",
    "data.batch_size",
    "data.validation",
    "data.split_seed",
    "data.limit",
    "data.root",
    "data.classes",
    "data.channels",
    "data.size",
    "data.images",
    "data.test_images",
    "data.noise",
    "augmentation.name",
    "model.name",
    "model.width",
    "epochs",
    "seed",
    "init_seed",
    "order_seed",
    "threads",
    "precision",
    "deterministic",
]

NASTY = [
    "gn l1=1e-05 s0",
    "ln lr=1e+05",
    "../../etc/passwd",
    "a/b\\c",
    "name with  spaces\tand\nlines",
    "größe=数字 🙂",
    "$(reboot) `id` ; * ? ~ ! & | < > ' \" # ( ) [ ] { } , : @ %",
    "x" * 7000,
    "..",
    ".hidden",
    "con",
]


@pytest.mark.parametrize("words", NASTY, ids=range(len(NASTY)))
def test_a_folders_name_is_safe_in_shells_in_hydra_and_on_disks(words, tmp_path):
    name = folder_name(words, "0123456789abcdef" * 4)
    assert name.endswith("-01234567")
    assert len(name) <= 80
    assert re.fullmatch(r"[A-Za-z0-9.=+_-]+", name)
    (tmp_path / "jobs" / name).mkdir(parents=True)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [name]
    (override,) = OverridesParser.create().parse_overrides([f"hydra.sweep.subdir={name}"])
    assert override.value() == name
    assert not override.is_sweep_override()


def test_folder_names_of_different_jobs_differ():
    assert folder_name("x" * 100, "0" * 64) != folder_name("x" * 100, "1" * 64)


def test_a_long_folder_name_keeps_the_seed():
    words = "gn " + " ".join(f"key{k}=0.0001" for k in range(20))
    names = [folder_name(f"{words} s{seed}", "0" * 64) for seed in (3, 14)]
    assert [name.rpartition("-")[0][-4:].lstrip("_0123456789key.") for name in names] == ["s3", "s14"]
    assert max(map(len, names)) <= 80


def test_a_job_name_has_the_norm_the_shown_keys_and_the_seed():
    assert job_name(JOB, ["norm.name", "reg.l1", "optimizer.name", "seed"]) == "gn l1=1e-05 optimizer=adam s0"
    assert job_name(JOB, ["reg.l1"], seed=False) == "gn l1=1e-05"


@pytest.mark.parametrize(
    ("value", "typed"), [(0.0, "0"), (1e-5, "1e-05"), (True, "true"), (3, "3"), (0.02, "0.02"), (100000.0, "100000")]
)
def test_a_value_is_shown_as_typed(value, typed):
    assert format_value(value) == typed


@pytest.mark.parametrize("value", [0.1 + 0.2, 0.0123456789, 1 / 3, 1234567.0, 1e-7, 5e-324])
def test_a_shown_number_parses_to_the_same_number(value):
    assert float(format_value(value)) == value


@pytest.mark.parametrize(
    ("path", "among", "short"),
    [
        ("reg.l1", ["reg.l1", "reg.l2"], "l1"),
        ("norm.name", ["norm.name", "optimizer.name"], "norm"),
        ("norm.eps", ["norm.eps", "optimizer.eps"], "norm.eps"),
        ("norm.eps", ["norm.eps", "optimizer.lr", "seed"], "eps"),
        ("optimizer.momentum", ["norm.momentum", "optimizer.momentum", "norm.eps"], "optimizer.momentum"),
        ("seed", ["norm.eps", "seed"], "seed"),
        ("epochs", ["schedule.step_epochs", "epochs"], "epochs"),
    ],
)
def test_short_name_is_the_last_part_unless_another_key_has_it(path, among, short):
    assert short_name(path, among) == short


def test_a_job_name_without_the_seed_is_the_cells_name():
    assert job_name(JOB, ["reg.l1", "seed"], seed=False) == "gn l1=1e-05"


def test_the_readable_part_of_a_folder_name_has_up_to_sixty_characters():
    assert folder_name(f"{'n' * 99} s0", KEY) == f"{'n' * 58}_s0-dddddddd"
    assert folder_name(f"{'n' * 58} s0", KEY) == f"{'n' * 58}_s0-dddddddd"
    assert folder_name(f"n {'s' * 99}", KEY) == f"{'s' * 60}-dddddddd"


def test_new_keys_do_not_rename_the_folders_of_earlier_jobs():
    # A folder's name lists the keys that differ from their defaults, in the order of KEYS.
    assert [path for path in KEYS if path in NAMED_IN_ORDER] == NAMED_IN_ORDER
