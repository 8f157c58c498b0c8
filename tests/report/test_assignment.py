"""The hand-in of a course: everything that is asked for, and nothing that the runs do not hold."""

import io
import re

import pytest
from PIL import Image

from src.norms import NORMS
from src.report.assignment import _norm_table
from src.report.report import escape_markdown
from src.results.results import load_results
from tests.world import configuration


@pytest.fixture
def models(world):
    """Three norms with and without L1."""
    wrong = {("bn", 0.0): [7], ("bn", 1e-5): [7, 8], ("gn", 0.0): range(20), ("gn", 1e-5): [1], ("ln", 0.0): []}
    wrong["ln", 1e-5] = [9, 3]
    jobs = [world.finish(configuration(norm, l1=l1), dict.fromkeys(found, 0.8)) for (norm, l1), found in wrong.items()]
    return world.sweep(jobs)


def hand_in(command, world, *words):
    done = command("src.compare", "--assignment", *words)
    assert done.returncode == 0, done.stderr
    return next(world.multirun.glob("sweeps/*/assignment"))


def test_it_holds_two_graphs_a_grid_for_each_model_and_the_text(command, world, models):
    folder = hand_in(command, world, "--budget", "15001")
    text = (folder / "README.md").read_text()
    pictures = re.findall(r"!\[[^\]]+\]\(<?([^)>]+)>?\)", text)
    assert pictures[:2] == ["loss.png", "accuracy.png"]
    assert len(pictures) == 8
    assert sorted(pictures) == sorted(path.name for path in folder.glob("*.png"))
    for name in pictures:
        Image.open(folder / name).verify()
    for norm in ("BatchNorm", "GroupNorm", "LayerNorm"):
        assert norm in text
    assert "InstanceNorm" not in text  # nobody trained it
    for words in (NORMS["bn"].formula, "one channel of all images of the batch (N, H, W)", "2 C"):
        assert f"| {escape_markdown(words)} |" in text
    assert "- One seed compares 6 trained networks" in text
    assert text.count("over 15,001") == 6
    assert "validation images (10 images of the training file)" in text
    assert "python -m src.compare" in text


def test_a_limit_of_the_training_images_is_stated(command, world):
    config = configuration("bn")
    config.data.limit = 2000
    world.sweep([world.finish(config, {7: 0.8})])
    assert "only 2,000 training images; epochs" in (hand_in(command, world) / "README.md").read_text()


def test_the_table_of_norms_says_which_statistics_evaluation_uses(world):
    precise, averages = configuration("bn"), configuration("bn")
    precise.norm.stats = "precise"
    jobs = [world.finish(config, {7: 0.8}) for config in (precise, averages)]
    both, one = (_norm_table(load_results([world.sweep(chosen)], world.multirun)) for chosen in (jobs, jobs[1:]))
    assert "| running averages of training, unless stats=precise |" in both
    assert "| running averages of training |" in one


def test_ten_mistakes_fill_two_rows_of_five(command, world, models):
    folder = hand_in(command, world)
    (grid,) = folder.glob("misclassified_gn_l1_0-*.png")
    wide, high = Image.open(io.BytesIO(grid.read_bytes())).size
    assert 1.5 < wide / high < 2.5
    assert "budget" not in (folder / "README.md").read_text()


@pytest.mark.parametrize("words", [(), ("--budget", "20000")])
def test_a_model_whose_runs_all_failed_has_no_number_of_parameters(command, world, models, words):
    failed = world.fail(configuration("in"), "FAILED", "Diverged: in epoch 1")
    world.sweep([*models.jobs, failed], started=2)
    text = (hand_in(command, world, *words) / "README.md").read_text()
    table = text.partition("## Parameters")[2].partition("##")[0]
    assert [line.split(" ")[1] for line in table.split("\n")[4:-2]] == ["bn", "bn", "gn", "gn", "ln", "ln"]


@pytest.mark.parametrize("words", [["--budget", "0", "--assignment"], ["--budget", "20000"]])
def test_an_impossible_budget_is_refused(command, models, words):
    done = command("src.compare", *words)
    assert done.returncode == 2
    assert "--assignment --budget 20000" in done.stderr
    assert len(done.stderr.splitlines()) <= 3
