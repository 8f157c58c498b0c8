"""The benchmarks compare equal work, and their ratios are computed correctly."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_steps, verdicts
from benchmarks.course_loop import NORMS, Net
from benchmarks.course_net import CourseNet
from benchmarks.peers import PEERS, _violation
from benchmarks.ratios import against_itself, in_turns, ratio
from src.models.cnn import CNN
from src.models.course import Course
from tests.norms.reference import build


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("baseline", "network", "channels", "size"), [(Net, CNN(width=16), 1, 28), (CourseNet, Course(), 3, 32)]
)
def test_the_baselines_train_the_same_network(baseline, network, channels, size, norm):
    theirs, ours = baseline(NORMS[norm]), network.build(channels, size, 10, network.norm_layer(build(norm)), 0.0)
    with torch.no_grad():
        for target, source in zip(theirs.parameters(), ours.parameters(), strict=True):
            target.copy_(source)
    images = torch.randn(5, channels, size, size)
    torch.testing.assert_close(theirs(images), ours(images))


def test_a_ratio_is_the_median_of_pairs_with_the_interval_of_the_sign_test():
    of = ratio([2.0 * factor for factor in range(1, 31)], [1.0 * factor for factor in range(1, 31)])
    assert (of.median, of.low, of.high, of.pairs) == (2.0, 2.0, 2.0, 30)
    of = ratio([float(value) for value in range(1, 31)], [1.0] * 30)
    assert (of.median, of.low, of.high) == (15.5, 10.0, 21.0)  # the 10th and the 21st of 30: 95.7 %
    assert (of.smallest, of.largest) == (1.0, 30.0)


def test_two_pairs_have_no_interval():
    assert str(ratio([2.0, 3.0], [1.0, 1.0])) == "2.500 (single pairs 2.000 to 3.000, n = 2)"


def test_the_noise_is_each_measurement_divided_by_the_one_before():
    assert against_itself([1.0, 2.0, 1.0]).smallest == 0.5


def test_contestants_take_turns_and_each_starts_a_round():
    order = []
    found = in_turns({name: lambda name=name: order.append(name) or 1.0 for name in "ab"}, 3)
    assert "".join(order) == "abbaab"
    assert found == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_the_simulation_of_verdicts_counts_false_sweeps(monkeypatch, capsys, tmp_path):
    """The command runs a few rows of each kind and prints a table of percentages."""
    monkeypatch.setattr(verdicts, "SHAPES", ((2,), (3,), (2, 2)))
    monkeypatch.setattr(verdicts, "SEEDS", (2, 3))
    monkeypatch.setattr(verdicts, "EFFECTS", verdicts.EFFECTS[:2])
    monkeypatch.setattr("sys.argv", ["verdicts", "--sweeps", "4", "--markdown", "--json", str(tmp_path / "rows.json")])
    verdicts.main()
    printed = capsys.readouterr().out
    assert "| normal | 2 x 2 | " in printed
    assert "sweeps with a false statement" in printed
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {row["group"] for row in rows} == {
        *("equal methods", "failed runs", "different methods", "several looks"),
        *("different seeds in each cell", "different seeds at each level", "other procedures, equal methods"),
    }
    assert all(0 <= row["false"] <= 1 and row["sweeps"] == 4 for row in rows)


def test_rows_far_above_five_percent_are_marked():
    row = verdicts.Row("group", "condition", "3 x 2", "5", 2000, 0.059, {})
    assert not row.too_often
    assert replace(row, false=0.0600).too_often


@pytest.mark.parametrize(("name", "difference", "found"), [(name, gap, gap > 0) for name in PEERS for gap in (0, 0.5)])
def test_other_procedures_find_a_large_difference_and_not_equal_rows(name, difference, found):
    generator = np.random.default_rng(1)
    row = 0.9 + generator.normal(0, 0.001, 9)
    rows = np.stack([np.roll(row, shift) + shift * difference for shift in (0, 3, 6)])
    assert PEERS[name](rows, generator) == found


def test_the_violation_of_almost_stochastic_order_is_the_area_by_hand():
    """The quantiles differ by -1, 1 and 2: one of six units of squared distance has the wrong order."""
    assert _violation(np.array([0.0, 3.0, 6.0]), np.array([1.0, 2.0, 4.0])) == pytest.approx(1 / 6)


def test_a_claim_of_equal_bits_fails_for_other_weights_and_for_a_failed_job(world, tmp_path):
    name = world.finish(world.configuration("bn"), {7: 0.9}).folder
    jobs = world.multirun / "jobs"
    reference = gpu.Trained(jobs, {name: ""}, 1.0, 1.0)
    assert gpu.compare("bits", reference, reference, names=[name]).holds
    shutil.copytree(jobs, tmp_path / "other")
    weights = tmp_path / "other" / name / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    other = gpu.Trained(tmp_path / "other", {name: ""}, 1.0, 1.0)
    assert gpu.compare("bits", reference, other, names=[name]) == gpu.Claim(
        "bits", f"0 of 1 jobs equal, different: {name}", holds=False
    )
    failed = gpu.Trained(jobs, {name: "Diverged"}, 1.0, 1.0)
    claim = gpu.compare("bits", reference, failed, names=[name])
    assert (claim.measured, claim.holds) == (f"0 of 1 jobs equal; {name}: Diverged", False)


def test_a_time_of_small_jobs_neither_supports_nor_refutes_a_claim(tmp_path):
    small, large = (gpu.Bench(tmp_path, small=small) for small in (True, False))
    assert [gpu.timed(bench, "fast", "9 s", holds=False).holds for bench in (small, large)] == [None, False]


def test_steps_are_measured_in_each_precision_and_for_several_jobs_at_once(monkeypatch):
    monkeypatch.setattr(gpu_steps, "NETWORKS", ("cnn",))
    rows = [*gpu_steps.precision_rows(small=True), *gpu_steps.graph_rows(small=True)]
    names = [f"cnn in {precision}" for precision in gpu_steps.PRECISIONS]
    assert [name for name, _ in rows] == [*names, "1 steps per graph", "2 steps per graph"]
    assert all(float(ms) > 0 for _, text in rows for ms in re.findall(r"([0-9.]+) ms", text))
    assert torch.backends.cudnn.allow_tf32  # as before


def test_the_timeline_of_a_command_counts_from_its_beginning():
    journals = [
        [{"kind": "start", "time": 3000 + offset}, {"kind": "epoch", "epoch": 1, "time": 5000}] for offset in (0, 500)
    ]
    text = gpu.timeline(journals, [{"finished": 9000}], began=2.0)
    assert text == "start: 1.0 to 1.5 s, epoch 1: 3.0 to 3.0 s, finished: 7.0 to 7.0 s"
