import dataclasses
import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from src.bad_input import BadInput
from src.compare import default_report_folder, equal_points
from src.data.sources import load
from src.report.comparison import compare_runs
from src.runs.manifests import choose_sweeps
from src.verdict.words import answer_lines
from tests.conftest import python

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(command):
    return lambda *words: command("src.compare", *map(str, words))


def refused(done):
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("normlab: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    return done.stderr


def test_the_command_prints_the_latest_sweep_and_writes_everything(world, six, tmp_path):
    world.sweep(six.jobs[:1], started=0)
    words = ("--multirun", world.multirun, "--csv", tmp_path / "a/t.csv", "--json", tmp_path / "all.json")
    done = python(ROOT, "-m", "src.compare", *map(str, words))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    out = six.folder(world.multirun)
    assert "96.33 ± 1.53" in done.stdout
    assert done.stdout.endswith(f"\nDetails: {out / 'report.html'}\n")
    answer = (out / "verdict.txt").read_text().splitlines()
    assert answer == stored_verdict(tmp_path)
    assert "3 seeds" in answer[0]
    assert " ".join(done.stdout.split()).startswith(" ".join(" ".join(answer).split()))
    for name in ("curves.png", "differences.png", "wrong_by_all.png", "wrong_by_one.png"):
        Image.open(out / name).verify()
    assert (tmp_path / "a/t.csv").read_bytes() == (out / "table.csv").read_bytes()
    assert pd.read_csv(out / "table.csv")["n"].tolist() == [3, 3]
    stored = json.loads((tmp_path / "all.json").read_text())
    assert stored["sweeps"] == [six.id]
    assert stored["cells"][1]["cell"] == "gn"
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.csv",
        "curves.png",
        "differences.png",
        "manifest.json",
        "reliability.png",
        "report.html",
        "report.md",
        "suspected_labels.png",
        "svg",
        "table.csv",
        "verdict.txt",
        "wrong_by_all.png",
        "wrong_by_one.png",
    ]


def stored_verdict(tmp_path):
    return json.loads((tmp_path / "all.json").read_text())["verdict"]


@pytest.mark.parametrize(
    ("words", "points"), [("compare.equal=0.2", 0.2), ("", 0.1), ("'compare.equal=\"0.2\"'", 0.1), ("'", 0.1)]
)
def test_the_margin_of_equality_comes_from_the_sweep(six, words, points):
    assert equal_points(dataclasses.replace(six, command=f"python -m src.train -m norm=bn,gn {words}")) == points


@pytest.mark.parametrize("points", ["0", "-1", "nan", "inf", "x"])
def test_a_margin_of_equality_that_cannot_be_used_is_refused(run, world, six, points):
    assert "--equal" in refused(run("--multirun", world.multirun, f"--equal={points}"))


def test_links_are_written_through_and_files_replaced_whole(run, world, six, tmp_path):
    target, link, dangling = tmp_path / "kept/t.csv", tmp_path / "t.csv", tmp_path / "all.json"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "kept/all.json")
    old, other_name = tmp_path / "curves.csv", tmp_path / "backup.csv"
    old.write_text("old")
    other_name.hardlink_to(old)
    done = run("--multirun", world.multirun, "--csv", link, "--json", dangling, "--curves", old)
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert target.read_bytes() == (six.folder(world.multirun) / "table.csv").read_bytes()
    assert json.loads((tmp_path / "kept/all.json").read_text())["sweeps"] == [six.id]
    assert other_name.read_text() == "old"
    assert old.read_bytes() == (six.folder(world.multirun) / "curves.csv").read_bytes()


def test_a_pipe_is_written_to_and_stays_a_pipe(run, world, six, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # first, or the writer would wait for it
    try:
        done = run("--multirun", world.multirun, "--csv", pipe)
        content = os.read(reader, 1 << 20)
    finally:
        os.close(reader)
    assert done.returncode == 0, done.stderr
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert content == (six.folder(world.multirun) / "table.csv").read_bytes()


def test_a_dash_writes_only_the_result_to_stdout(run, world, six):
    done = run("--multirun", world.multirun, "--tuned", "norm", "--json", "-")
    assert done.returncode == 0, done.stderr
    stored = json.loads(done.stdout)
    assert stored["sweeps"] == [six.id]
    assert "96.33 ± 1.53" in done.stderr
    assert [row["level"] for row in stored["tuned"]["levels"]] == ["bn", "gn"]
    assert all(" ".join(words.split()) in " ".join(done.stderr.split()) for words in stored["tuned"]["sentences"])
    assert not (world.multirun.parent / "-").exists()
    assert "would mix" in refused(run("--multirun", world.multirun, "--csv", "-", "--json", "-"))


@pytest.mark.parametrize("option", ["--csv", "--json"])
@pytest.mark.parametrize("name", [".", "", "n" * 300])
def test_a_name_that_no_file_can_have_is_refused_before_anything_is_read(run, world, six, option, name):
    refused(run("--multirun", world.multirun, option, name))
    assert [path.name for path in six.folder(world.multirun).iterdir()] == ["manifest.json"]


def test_files_are_written_before_printing_and_printing_needs_no_files(world, six, tmp_path):
    class Silent(Console):
        def print(self, *words, **options):
            raise OSError("no words")

    with pytest.raises(OSError, match="no words"):
        compare_runs([six], world.multirun, tmp_path / "out", Silent())
    assert (tmp_path / "out/report.html").exists()
    (tmp_path / "table.csv").mkdir()
    console = Console(file=io.StringIO(), width=200, record=True)
    with pytest.raises(BadInput, match=r"table\.csv"):
        compare_runs([six], world.multirun, tmp_path, console)
    assert "96.33 ± 1.53" in (said := console.export_text(clear=False))
    assert "Details" not in said  # there is no report


def test_a_full_standard_output_is_refused_in_three_lines(world, six):
    words = [sys.executable, "-m", "src.compare", "--multirun", str(world.multirun), "--json", "-"]
    done = subprocess.run(
        f"exec {shlex.join(words)} >/dev/full", shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-3]
    assert (six.folder(world.multirun) / "report.html").exists()


def test_a_folder_in_place_of_the_table_is_refused(run, world, six, tmp_path):
    (tmp_path / "table.csv").mkdir()
    done = run("--multirun", world.multirun, "--out", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "table.csv") in done.stderr


def test_unfinished_jobs_are_listed_with_the_command_that_trains_them(world, tmp_path):
    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("bn", "gn")]
    jobs.append(world.fail(world.configuration("ln"), "FAILED", "Diverged: in epoch 1"))
    folder = world.multirun / "jobs" / jobs[0].folder
    (folder / "journal.jsonl").write_bytes(b"")
    console = Console(file=io.StringIO(), width=40, record=True)
    results, *_, _ = compare_runs([world.sweep(jobs)], world.multirun, tmp_path, console)
    assert len(results.unfinished) == 2
    said = console.export_text(clear=False)
    assert f"damaged: {jobs[0].label}: {folder / 'journal.jsonl'} lacks its start record\n" in said
    assert f"failed: {jobs[2].label}: Diverged: in epoch 1; see " in said
    assert "again:\n  python -m src.train\n" in said


def said_of(world, sweep, out, width=250):
    """The lines of a comparison outside its table, and its verdicts."""
    console = Console(file=io.StringIO(), width=width, record=True)
    _, _, verdicts = compare_runs([sweep], world.multirun, out, console)
    said = console.export_text(clear=False)
    first, second = re.search(r"\n *\n.*?─\n.*?\n(?=\n)", said, re.S).span()
    return [line for line in (said[:first] + "\n" + said[second:]).splitlines() if line.strip()], verdicts


@pytest.mark.parametrize("seeds", [1, 5])
def test_six_methods_need_at_most_six_lines_besides_the_table(world, tmp_path, seeds):
    jobs = [
        world.finish(world.configuration(norm, seed, l1), dict.fromkeys(range(3 + 5 * (norm == "ln") + seed), 0.9))
        for norm in ("bn", "gn", "ln")
        for l1 in (0.0, 1e-5)
        for seed in range(seeds)
    ]
    said, verdicts = said_of(world, world.sweep(jobs), tmp_path)
    assert len(said) <= 6
    assert said[: len(answer_lines(verdicts))] == answer_lines(verdicts)
    assert said[-1] == f"Details: {tmp_path / 'report.html'}"
    if seeds == 1:
        assert said[-2].endswith(":  python -m src.train seeds=5")
    else:
        assert sum("beat ln" in line or "beats ln" in line for line in said) == 1


def test_failed_runs_cost_at_most_seven_lines_more(world, tmp_path):
    jobs = [
        world.finish(world.configuration(norm, seed), dict.fromkeys(range(3), 0.9))
        for norm in ("bn", "gn")
        for seed in range(3)
    ]
    jobs += [world.fail(world.configuration("ln", seed), "FAILED", "Diverged: in epoch 1") for seed in range(8)]
    said, _ = said_of(world, world.sweep(jobs), tmp_path)
    assert len(said) <= 6 + 7
    assert sum("8 of 14 runs failed" in line for line in said) == 1


def test_a_narrow_terminal_breaks_sentences_but_no_command(world, tmp_path):
    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("bn", "gn")]
    sweep = replace(world.sweep(jobs), command="python -m src.train -m norm=bn,gn data=synthetic epochs=3")
    said, verdicts = said_of(world, sweep, tmp_path, width=40)
    assert f"  {sweep.command} seeds=5" in said
    assert (
        " ".join(answer_lines(verdicts)).split()
        == " ".join(said).split()[: len(" ".join(answer_lines(verdicts)).split())]
    )
    assert [line for line in said if len(line) > 40] == [f"  {sweep.command} seeds=5", said[-1]]


def test_the_order_of_typing_changes_no_sentence(world, tmp_path):
    cells = {("bn", 0.0): 2, ("gn", 0.0): 9, ("ln", 0.0): 2, ("bn", 1e-5): 4, ("gn", 1e-5): 7, ("ln", 1e-5): 4}
    jobs = {
        (norm, l1): [
            world.finish(world.configuration(norm, seed, l1), dict.fromkeys(range(count + seed % 2), 0.9))
            for seed in range(3)
        ]
        for (norm, l1), count in cells.items()
    }
    found = set()
    for order in (list(cells), sorted(cells, key=str)[::-1]):
        said, _ = said_of(world, world.sweep([job for cell in order for job in jobs[cell]]), tmp_path)
        found.add(tuple(said))
    assert len(found) == 1


def test_the_level_of_the_look_reaches_every_statement(world, six, tmp_path):
    """The six runs were compared before on fewer seeds, so this is the second look at the same methods."""
    fewer = [job for job in six.jobs if not job.label.endswith("s2")]
    said_of(world, replace(six, jobs=fewer, id="1" * 64), tmp_path)
    _, verdicts = said_of(world, six, tmp_path)
    assert (verdicts.promise.look, verdicts.promise.level) == (2, pytest.approx(0.05 * 0.95 * 0.05))
    assert [item.alpha for item in verdicts.contrasts] == [pytest.approx(0.92 * verdicts.promise.level)]
    assert "at least 99.76 % of sweeps" in (tmp_path / "report.md").read_text()


def test_naming_the_largest_class_is_no_learning(world, tmp_path):
    """Labels of which 60 % are equal: an accuracy of 60 % shows nothing, though guessing among four reaches 25 %."""
    images = load(world.data)
    labels = np.where(np.arange(100) < 60, 0, images.test_labels)
    share = np.bincount(labels).max() / 100
    few, many = round(100 * (1 - share)) - 1, 5
    jobs = [
        world.finish(
            world.configuration(norm, seed), dict.fromkeys(range(many if norm == "bn" else few), 0.9), labels=labels
        )
        for norm in ("bn", "gn")
        for seed in range(2)
    ]
    _, verdicts = said_of(world, world.sweep(jobs), tmp_path)
    assert verdicts.failed_run_count == 2


def test_the_help_survives_python_without_docstrings():
    words = [sys.executable, "-OO", "-m", "src.compare", "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.index("Compare finished runs") < done.stdout.index("--tuned norm")


def test_too_little_memory_is_reported_in_three_lines(world, six):
    limit = "resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))"
    code = f"import resource; from src.compare import main; {limit}; main()"
    words = [sys.executable, "-c", code, "--multirun", str(world.multirun)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "normlab: memory ran out"
    assert len(done.stderr.splitlines()) == 3


def test_nothing_heavy_is_imported():
    code = (
        "import sys, src.compare; light = set(sys.modules);"
        "import src.figures.figures, src.report.table, src.errors.atlas;"
        "assert not {'matplotlib', 'pandas', 'scipy', 'numpy', 'PIL'} & light, 'slow to start';"
        "bad = {'torch', 'hydra', 'mlflow', 'omegaconf', 'matplotlib.pyplot', 'src.models.modules'} & set(sys.modules);"
        "assert not bad, bad;"
        "assert not [name for name in sys.modules if name.startswith('src.training')]"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_without_a_sweep_it_says_how_to_make_one(run, tmp_path):
    assert "python -m src.train" in refused(run("--multirun", tmp_path))


def test_a_corrupt_manifest_is_named(run, world, six):
    manifest = six.folder(world.multirun) / "manifest.json"
    for content in ("{", "[]", '{"id": 3}', json.dumps({**json.loads(manifest.read_text()), "jobs": [{}]})):
        manifest.write_text(content)
        assert str(manifest) in refused(run("--multirun", world.multirun))


def test_a_folder_that_cannot_be_written_is_named(run, world, six, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("--multirun", world.multirun, "--out", tmp_path / "file")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file") in done.stderr


def test_no_finished_run_is_exit_1(run, world):
    world.sweep([world.fail(world.configuration(), "FAILED", "Diverged: in epoch 1")])
    done = run("--multirun", world.multirun)
    assert done.returncode == 1
    assert done.stderr == ""
    assert ": Diverged: in epoch 1" in done.stdout
    assert "No run has finished yet." in done.stdout


def test_a_long_list_of_unfinished_jobs_is_cut_short(world, tmp_path):
    jobs = [world.fail(world.configuration(seed=seed), "FAILED", "Diverged: in epoch 1") for seed in range(12)]
    sweep = world.sweep(jobs)
    console = Console(file=io.StringIO(), width=200, record=True)
    compare_runs([sweep, sweep], world.multirun, tmp_path, console)
    said = console.export_text().splitlines()
    assert sum(line.startswith("failed: ") for line in said) == 5
    assert said[6:] == [
        "and 7 more in the report",
        f"To train the missing runs, run the same command again:  {sweep.command}",
    ]


def test_sweeps_are_chosen_by_the_first_digits_of_their_id(world, six):
    other = world.sweep(six.jobs[:2], started=0)
    assert choose_sweeps(world.multirun, []) == [six]
    for digits in (6, 8, 12, 64):
        assert choose_sweeps(world.multirun, [other.id[:digits], six.id[:digits]]) == [other, six]
    assert choose_sweeps(world.multirun, [six.id.upper(), six.id]) == [six]
    for wrong in ("", "zz", six.id[:8] + "zzzz", "../.."):
        with pytest.raises(BadInput, match="does not name exactly one sweep"):
            choose_sweeps(world.multirun, [wrong])


def test_a_prefix_of_two_sweeps_is_refused_with_both(world, six, tmp_path):
    jobs = world.multirun / "sweeps"
    twin = jobs / (six.id[:7] + ("0" if six.id[7] != "0" else "1"))
    twin.mkdir()
    (twin / "manifest.json").write_bytes((six.folder(world.multirun) / "manifest.json").read_bytes())
    with pytest.raises(BadInput) as refusal:
        choose_sweeps(world.multirun, [six.id[:7]])
    assert six.id[:8] in str(refusal.value)
    assert twin.name in str(refusal.value)


def test_two_sweeps_together_leave_the_firsts_own_table_alone(world, six):
    other = world.sweep([world.finish(world.configuration("ln"), {7: 0.9})])
    out = default_report_folder([six, other], world.multirun)
    assert out == six.folder(world.multirun) / f"with-{other.id[:8]}"
    console = Console(file=io.StringIO(), width=120, record=True)
    results, *_, _ = compare_runs([six, other], world.multirun, out, console)
    assert results.runs["cell"].unique().tolist() == ["bn", "gn", "ln"]
    assert "All 7 runs misclassify the same 1 of the 100" in (out / "report.md").read_text()
    assert not (six.folder(world.multirun) / "table.csv").exists()


def test_missing_images_cost_only_the_galleries(world, six, tmp_path, monkeypatch):
    def gone(data):
        raise BadInput("the files are gone", "another line")

    monkeypatch.setattr("src.data.sources.load", gone)
    console = Console(file=io.StringIO(), width=120, record=True)
    compare_runs([six], world.multirun, tmp_path, console)
    assert "no image galleries: normlab: the files are gone" in console.export_text(clear=False)
    assert "All 6 runs misclassify the same 2" in (tmp_path / "report.md").read_text()
    written = {path.name for path in tmp_path.glob("*.*")}
    assert {"curves.png", "table.csv", "report.html"} <= written
    assert not {name for name in written if name.startswith(("wrong_by", "right_by", "suspected"))}


def test_an_unchanged_report_is_not_written_again(world, six, tmp_path):
    def again():
        console = Console(file=io.StringIO(), width=120, record=True)
        results, report, _ = compare_runs([six], world.multirun, tmp_path, console, changed=False)
        return results, report, console.export_text()

    _, report, first = again()
    assert report is not None  # there was none
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    results, report, said = again()
    assert report is None
    assert results.unfinished == ()
    assert said == first
    assert "3 seeds" in said
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before
    result = next(world.multirun.glob("jobs/*/result.json"))
    result.write_bytes(result.read_bytes())  # by a command that was killed before its comparison
    assert again()[1] is not None


def test_two_datasets_are_reported_separately(world, tmp_path):
    other = replace(world.data, test_images=60)
    jobs = [
        world.finish(world.configuration(norm, data=data), {7: 0.9})
        for data in (world.data, other)
        for norm in ("bn", "gn")
    ]
    console = Console(file=io.StringIO(), width=120, record=True)
    compare_runs([world.sweep(jobs)], world.multirun, tmp_path / "out", console)
    report = (tmp_path / "out/report.md").read_text()
    assert "of the 100 test images" in report
    assert "of the 60 test images" in report
    assert len(list((tmp_path / "out").glob("wrong_by_all-synthetic-*.png"))) == 2


def test_words_in_brackets_are_printed_as_they_are(world, tmp_path):
    jobs = [
        world.finish(world.configuration(), {}),
        world.fail(world.configuration("gn"), "FAILED", "IndexError: [red]"),
    ]
    console = Console(file=io.StringIO(), width=120, record=True)
    compare_runs([world.sweep(jobs)], world.multirun, tmp_path, console)
    assert "IndexError: [red]" in console.export_text(clear=False)


@pytest.mark.parametrize(("error", "level"), [("Diverged: in epoch 1", 0.0475), ("OSError: no space left", 0.002375)])
def test_only_a_diverged_job_counts_as_ended(world, tmp_path, error, level):
    """A diverged job diverges again.  The next launch may repair any other failure, so the first look waits for it."""
    jobs = [
        world.finish(world.configuration(norm, seed), dict.fromkeys(range(3 + seed), 0.9))
        for norm in ("bn", "gn")
        for seed in range(3)
    ]
    jobs.append(world.fail(world.configuration("gn", 3), "FAILED", error))
    _, verdicts = said_of(world, world.sweep(jobs), tmp_path)
    assert verdicts.promise.level == pytest.approx(level)


def test_a_job_that_failed_before_it_had_data_leaves_a_readable_ledger(world, six, tmp_path):
    failed = world.fail(world.configuration("ln"), "FAILED", "OSError: no space left")
    journal = failed.folder_in(world.multirun).journal
    journal.write_bytes(b"".join(line for line in journal.read_bytes().splitlines(True) if b'"ready"' not in line))
    sweep = world.sweep([*six.jobs, failed])
    for _ in range(2):
        _, verdicts = said_of(world, sweep, tmp_path)
        assert verdicts.contrasts
