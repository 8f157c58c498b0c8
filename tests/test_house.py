"""The rules that the rooms under `src` keep among each other (ARCHITECTURE.md)."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("src", "hydra_plugins")
    for path in sorted((PROJECT / folder).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
# What every room may know: the standard library is all that it needs.
CONFIGURATION = {"src.bad_input", "src.command", "src.config", "src.datasets", "src.limits", "src.options"}
CONFIGURATION |= {"src.pasted", "src.regularization", "src.schema", "src.wording"}
# Modules of a few lines that stand in no room.
SMALL = {
    "src.console",
    "src.progress",
    "src.standard_streams",
    "src.startup",
    "src.stopping",
}
# The rooms of a comparison, each above the ones before it.
COMPARISON = ("results", "verdict", "errors", "figures", "report")
COMMANDS = {"src.train", "src.compare", "src.sync"}
LINES_A_FILE, LINES_A_FUNCTION = 250, 60


# The modules that read files, and what ARCHITECTURE.md, "What is checked where", says of each.
READERS = {
    "src.storage.stored": "src/storage/stored.py",
    "src.runs.journal": "journal.read_journal",
    "src.runs.folder": "JobFolder.result",
    "src.runs.predictions": "predictions.load_predictions",
    "src.runs.integrity": "src/runs/integrity.py",
    "src.storage.png": "png.picture_fault",
    "src.runs.checkpoint": "checkpoint.load_checkpoint",
    "src.runs.sweep": "sweep.read_sweep",
    "src.runs.looks": "looks.take_look",
    "src.runs.external_csv": "external_csv.read_csv_runs",
    "src.runs.identity": "the code under `src`",
    "src.runs.environment": "/proc/cpuinfo",
    "src.results.weights": "integrity.weights_fault",
    "src.tracking.sweep_run": "verdict.txt",
    "src.report.comparison": "verdict.txt",
    "src.report.augmented": "png.picture_fault",
    "src.tracking.job_files": "png.picture_fault",
    "src.runs.multirun": "multirun.identify_folder",
    "src.data.idx": "src/data/idx.py",
    "src.data.idx_folder": "src/data/idx_folder.py",
    "src.data.npz": "src/data/npz.py",
    "src.data.decode": "src/data/decode.py",
    "src.data.image_cache": "image_cache.cached",
    "src.limits": "/proc/self/cgroup",
    "src.startup": "the code under `src`",
    "src.sweep.option_cards": "option_cards.answer",
    "src.sweep.packaged": "packaged.packaged_config",
}
# Calls that read a file or the content of one; those of writers, locks and sockets are not among them.
READS = {"read_bytes", "read_text", "read_stored", "read_sealed", "loads", "fromfile", "memmap", "loadtxt", "read_csv"}
READS |= {"gzip.GzipFile", "Image.open", "read_array"}  # the user's images
READS |= {"np.load", "json.load", "torch.load", "safetensors.numpy.load", "safe_open", "load_file", "yaml.safe_load"}
# JSON of an environment variable, of the store's tags and of the command line
NO_FILES = {"src.workers.shared", "src.tracking.views", "src.sweep.plain_words"}


def statements(name: str, *, at_import: bool) -> Iterator[ast.AST]:
    """A module's nodes; `at_import` leaves out what runs later or is there for the type checker alone."""
    waiting: list[ast.AST] = [TREES[name]]
    while waiting:
        node = waiting.pop()
        if at_import and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"))
        ):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def imports(name: str, *, at_import: bool = False) -> set[str]:
    """What a module imports: whole names of our own modules, the first part of others."""
    found: set[str] = set()
    for node in statements(name, at_import=at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            module = node.module or ""
            found |= {inner if (inner := f"{module}.{alias.name}") in MODULES else module for alias in node.names}
    return {word if word in MODULES else word.split(".")[0] for word in found}


def room(name: str) -> str:
    """`data` of `src.data.idx`; a module that stands in no room is named whole."""
    parts = name.split(".")
    return parts[1] if len(parts) > 2 or (PROJECT / "src" / parts[-1]).is_dir() else name


def importers(package: str) -> set[str]:
    return {name for name in MODULES if package in imports(name)}


def rooms_imported_by(chosen: str) -> set[str]:
    return {room(word) for name in MODULES if room(name) == chosen for word in imports(name) if word.startswith("src")}


def test_the_rules_are_held_against_the_whole_house():
    assert {room(name) for name in MODULES} >= {"data", "models", "training", "runs", "tracking", "verdict"}
    assert "torch" in imports("src.training.loop")
    assert "src.training.step" in imports("src.training.loop")


def test_only_the_command_and_what_it_asks_for_know_hydra():
    assert {room(name) for name in importers("hydra")} == {"src.train", "sweep", "normlab"}


def test_only_tracking_imports_mlflow():
    assert {room(name) for name in importers("mlflow")} == {"tracking"}


def test_the_configuration_imports_nothing_but_the_standard_library():
    ours = CONFIGURATION | {name for name in MODULES if room(name) in ("norms", "models", "augmentation")}
    torch_code = ("src.models.modules.", "src.norms.modules.", "src.augmentation.modules.")
    ours -= {name for name in MODULES if name.startswith(torch_code)}
    assert {word for name in ours for word in imports(name, at_import=True)} - sys.stdlib_module_names <= ours


def test_storage_needs_the_standard_library_and_two_modules_of_words():
    found = {word for name in MODULES if room(name) == "storage" for word in imports(name)}
    ours = {word for word in found if room(word) != "storage"} - sys.stdlib_module_names
    assert ours <= {"src.bad_input", "src.wording"}


@pytest.mark.parametrize(
    ("modules", "refused"),
    [
        ("src.train, src.sweep.command_line", {"torch", "mlflow", "hydra", "omegaconf", "numpy", "yaml"}),
        ("src.train, src.sweep.composer", {"torch", "mlflow", "hydra", "omegaconf", "numpy"}),
        ("src.data.sizes, src.tracking.address", {"torch", "torchvision", "mlflow"}),
        ("src.compare", {"torch", "torchvision", "mlflow", "hydra", "rich"}),
        ("src.compare, src.runs.external_csv, src.tracking.address", {"mlflow", "pandas", "numpy", "matplotlib"}),
    ],
)
def test_an_answer_that_needs_no_torch_does_not_wait_for_it(modules, refused):
    code = f"import sys; import {modules}; print(*{refused} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("chosen", "allowed"),
    [
        ("data", {"storage", "data"}),
        ("norms", {"norms"}),
        ("models", {"norms", "models"}),
        ("augmentation", {"augmentation"}),
        ("runs", {"runs", "storage"}),
        ("training", {"data", "augmentation", "training"}),
        ("pictures", {"norms", "data", "runs", "storage", "pictures"}),
        ("results", {"runs", "storage", "results", "src.console"}),
        ("verdict", {"runs", "results", "verdict"}),
        ("errors", {"data", "runs", "storage", "results", "errors", "src.console"}),
        ("figures", {"norms", "data", "runs", "pictures", "results", "verdict", "errors", "figures"}),
        (
            "report",
            {"norms", "models", "runs", "storage", "pictures", *COMPARISON, "src.console", "src.standard_streams"},
        ),
        ("tracking", {"runs", "storage", "pictures", "tracking"}),
        ("src.job", {"data", "training", "pictures", "runs", "storage", "src.progress", "src.stopping"}),
        ("workers", {"data", "runs", "storage", "workers", "src.job", *SMALL}),
        ("sweep", {"data", "training", "runs", "storage", "workers", "tracking", *COMPARISON, "sweep", *SMALL}),
        ("normlab", {"runs", "storage", "workers", "tracking", *COMPARISON, "sweep", *COMMANDS, *SMALL}),
        ("src.train", {"sweep", "src.job", *SMALL}),
        ("src.compare", {"runs", "tracking", *COMPARISON, *SMALL}),
        ("src.sync", {"runs", "tracking", *SMALL}),
    ],
)
def test_a_room_imports_only_what_stands_below_it(chosen, allowed):
    assert rooms_imported_by(chosen) <= allowed | CONFIGURATION


def test_comparing_needs_no_training():
    packages = {word for name in MODULES if room(name) in {*COMPARISON, "src.compare"} for word in imports(name)}
    assert not packages & {"torch", "torchvision", "hydra", "mlflow"}


def test_no_module_imports_itself_through_others():
    graph = {name: {word for word in imports(name) if word in MODULES} for name in MODULES}
    reached = {name: set(direct) for name, direct in graph.items()}
    for _ in MODULES:
        reached = {name: direct.union(*(reached[word] for word in direct)) for name, direct in reached.items()}
    assert not [name for name in MODULES if name in reached[name]]


@pytest.mark.parametrize("name", MODULES)
def test_files_and_functions_are_short_enough_to_be_read_at_once(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= LINES_A_FILE
    long = {
        node.name: lines
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > LINES_A_FUNCTION
    }
    assert not long


def test_files_are_named_for_what_they_hold():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert not [name for name in MODULES if drawers & set(name.split("."))]


def test_nothing_is_evaluated_or_unpickled():
    calls = [
        (name, ast.unparse(node.func))
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and not any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
    ]
    refused = {
        "eval",
        "exec",
        "pickle.load",
        "pickle.loads",
        "cloudpickle.loads",
        "torch.load",
        "hydra.utils.instantiate",
    }
    assert not [(name, call) for name, call in calls if call in refused]


def readers() -> set[str]:
    """The modules that read files, by the names of the functions that they call."""
    return {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ((called := ast.unparse(node.func)) in READS or called.rpartition(".")[2] in READS)
        and name not in NO_FILES
    }


def test_every_module_that_reads_files_stands_in_the_page_of_what_is_checked_where():
    page = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    page = page.partition("## What is checked where")[2].partition("\n## ")[0]
    assert readers() == set(READERS)
    assert not [name for name, words in READERS.items() if words not in page]


READ_OPTIONS = {"src.sweep.packaged", "src.sweep.papers"}  # these modules read files of conf


def paths_through_the_code() -> list[str]:
    """The lines of ARCHITECTURE.md's paths, each with its continuations."""
    page = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = page.partition("## Five paths through the code")[2].split("```")[1]
    return re.sub(r"\n +(?=[-=]>)", " ", block).splitlines()


def test_the_paths_through_the_code_follow_its_imports():
    steps = 0
    for line in paths_through_the_code():
        chain = re.split(r" ([-=]>) ", re.sub(r"^.*?(?=\S+ [-=]>)", "", line))
        for left, arrow, right in zip(chain[:-1:2], chain[1::2], chain[2::2], strict=True):
            module, target = named_module(left), named_module(right.split()[0])
            read = module in READ_OPTIONS and (PROJECT / right.split()[0]).is_file()
            assert module, line
            assert target or read, line
            steps += 1
            assert (arrow == "->") == (read or target in imports(module)), f"{left} {arrow} {right}"
    assert steps > 30


def test_each_word_of_a_path_is_a_module_or_a_file():
    words = {word for line in paths_through_the_code() for word in re.findall(r"\b[a-z_]+/[a-z_/.]+[a-z]\b", line)}
    assert len(words) > 30
    assert not [word for word in words if not (named_module(word) or (PROJECT / word).is_file())]


def named_module(name: str) -> str | None:
    """The module that a path calls `name`."""
    dotted = name.replace("/", ".")
    return next((full for full in (f"src.{dotted}", f"hydra_plugins.normlab.{dotted}") if full in MODULES), None)


def test_files_that_are_opened_by_hand_are_written_or_locked():
    opened = {
        (name, ast.unparse(node.args[0]) if node.args else "")
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith((".open", "open"))
        and room(name) in ("runs", "storage")
    }
    assert {name for name, _ in opened} == {
        *("src.storage.stored", "src.runs.journal", "src.runs.predictions"),
        *("src.storage.lock", "src.runs.ending", "src.storage.files"),
    }
