"""The presets of papers: each one composes at both scales, its claims find their jobs, and mistakes are refused."""

from dataclasses import asdict

import pandas as pd
import pytest
from omegaconf import OmegaConf

from src import job
from src.runs.identity import job_settings
from src.runs.paper_schema import parse_paper
from src.runs.sweep import read_sweep
from src.schema import flatten
from src.sweep.overrides import CONF_FOLDER, group_options
from src.verdict.quantities import product

PAPERS = group_options()["paper"]


def preset(name):
    tree = OmegaConf.to_container(OmegaConf.load(CONF_FOLDER / "paper" / f"{name}.yaml"))
    return tree["hydra"]["sweeper"]


@pytest.mark.parametrize("scale", ["small", "full"])
@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_composes_and_each_claim_finds_its_jobs(grid, name, scale):
    stated = preset(name)
    params = OmegaConf.create(stated["params"]), OmegaConf.create(stated["full"])
    assert stated["params"]["seeds"] >= 5
    request = grid.parse_request([f"scale={scale}", "seeds=2"], *params)
    combinations, configs = grid.compose_all(request)
    assert 2 <= len(combinations) <= request.config.sweep.max_jobs
    assert {config.scale for config in configs} == {scale}
    if scale == "full":
        assert {config.data.name for config in configs} == {"cifar10"}
        assert {config.data.limit for config in configs} == {None}
    paper = parse_paper(name, stated["paper"])
    jobs = [job_settings(config) for config in configs]
    for claim in paper.claims:
        for selection in claim.selections:
            found = [job for job in jobs if all(job[path] in values for path, values in selection.items())]
            wanted = {(path, value) for path, values in selection.items() for value in values}
            assert wanted <= {(path, job[path]) for job in found for path in selection}
            assert len({tuple(job[path] for path in claim.strength) for job in found}) > 1 or not claim.strength
            if claim.kind == "explained":  # several cells share an x
                levels = product(pd.DataFrame(found), paper.x)
                assert 1 < levels.nunique() < len(found) / 2
    if paper.published is not None:
        assert {job[paper.lines] for job in jobs} == set(paper.published.lines)


def test_a_typed_word_replaces_that_of_both_scales(grid):
    params = {"epochs": 3, "data.limit": 100, "norm": "bn,gn"}
    request = grid.parse_request(["scale=full", "norm=ln"], params, {"data.limit": None, "epochs": 9})
    (config,) = grid.compose_all(request)[1]
    assert (config.epochs, config.data.limit, config.norm.name) == (9, None, "ln")


def test_other_seeds_replace_those_of_a_preset(grid):
    params = preset("random_labels")["params"]
    for words in (["seed=range(10,15)"], ["seed=10,11,12,13,14"]):
        configs = grid.compose_all(grid.parse_request(words, params))[1]
        assert sorted({config.seed for config in configs}) == [10, 11, 12, 13, 14]
        assert len(configs) == 55


def test_the_scale_is_no_part_of_a_job(grid):
    jobs = [
        grid.compose_all(grid.parse_request([f"scale={scale}"], {}, {"norm": "bn"}))[1] for scale in ("small", "full")
    ]
    small, full = ({**flatten(asdict(config)), "scale": ""} for (config,) in jobs)
    assert small == full
    assert "scale" not in job_settings(jobs[0][0])


REFUSED = [
    ("paper=gn_batchsize", "did you mean gn_batch_size?"),
    ("paper=gn_batch_size,gn_groups", "paper cannot be swept"),
    ("paper=gn_groups experiment=norms", "paper=gn_groups and experiment=norms are two presets"),
    ("paper=gn_groups hydra/sweeper=optuna", "paper=gn_groups needs all combinations of its grid"),
    ("scale=full", "scale=full changes a paper's preset, but this command chooses none"),
    ("scale=large paper=gn_groups", "scale=large cannot be used"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_a_wrong_command_is_refused(refused, words, message):
    assert message in refused(*words.split())


def test_a_paper_can_be_switched_off(typed):
    assert typed("paper=null", "norm=gn") == ["norm=gn"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("at_leas: 0.1", "paper=mine, claim 1 has no key at_leas; did you mean at_least?"),
        ("at_least: [", "mine.yaml cannot be read: while parsing a flow node"),
    ],
)
def test_a_mistake_in_a_preset_is_refused_before_hydra_composes(refused, monkeypatch, tmp_path, wrong, message):
    preset_file = (CONF_FOLDER / "paper/gn_groups.yaml").read_text().replace("at_least: 0.1", wrong, 1)
    for group in group_options():
        (tmp_path / group).mkdir()
    (tmp_path / "paper/mine.yaml").write_text(preset_file)
    monkeypatch.setattr("src.sweep.papers.CONF_FOLDER", tmp_path)
    monkeypatch.setattr("src.sweep.overrides.CONF_FOLDER", tmp_path)
    assert message in refused("paper=mine")


TINY = """# @package _global_
data:
  images: 40
  validation: 8
  test_images: 200
  batch_size: 8
epochs: 1
hydra:
  sweeper:
    params:
      norm: bn
      seeds: 3
    paper:
      title: Nobody
      source: nobody 2026
      x: optimizer.lr
      claims:
        - claim: five steps teach bn everything
          mean: {norm: bn}
          at_most: 20
        - claim: the error is at least that of a lucky guess
          mean: {norm: bn}
          at_least: 1
"""


def test_a_small_sweep_refutes_a_claim_that_is_false(run, monkeypatch, tmp_path):
    """A user's own paper, trained, judged and reported; the manifest keeps its claims."""
    conf = tmp_path / "conf/paper"
    conf.mkdir(parents=True)
    (conf / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    words = ("--config-dir", "conf", "paper=tiny", "data=synthetic", "tracking=none")
    status, output, _ = run(*words)
    assert status == 0
    text = " ".join(output.split())
    assert "Nobody (nobody 2026): of 2 claims, 1 holds and 1 does not hold." in text
    assert "Does not hold: five steps teach bn everything: mean" in text
    assert "claimed at most 20 (3 seeds)" in text
    (folder,) = (tmp_path / "multirun/sweeps").iterdir()
    assert (folder / "verdict.txt").read_text().splitlines()[0].endswith("1 does not hold.")
    assert "Claims of the paper" in (folder / "report.html").read_text()
    paper = read_sweep(folder / "manifest.json").paper
    assert (paper.name, paper.claims[0].at_most) == ("tiny", 20)
    (conf / "tiny.yaml").write_text(TINY.replace("at_most", "at_mots"))
    status, _, errors = run(*words)
    assert (status, "paper=tiny, claim 1 has no key at_mots" in errors) == (2, True)


def test_a_preset_that_stops_half_way_finishes_with_the_same_command(run, monkeypatch, tmp_path):
    """The plan counts its jobs; after a Ctrl-C, the command trains the rest, and then nothing."""
    monkeypatch.chdir(tmp_path)
    images = ("data=synthetic", "data.images=140", "data.batch_size=128", "data.validation=8", "data.test_images=50")
    words = ("paper=bn_statistics", *images, "epochs=2", "seeds=1", "tracking=none", "hydra/launcher=basic")
    finish, finished = job.finish, []

    def stop_at_the_third(*arguments):
        if len(finished) == 2:
            raise KeyboardInterrupt
        finished.append(finish(*arguments))
        return finished[-1]

    monkeypatch.setattr(job, "finish", stop_at_the_third)
    status, _, errors = run(*words)
    assert (status, "2 of 4 jobs are left" in errors) == (130, True)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("result.json")}
    assert len(before) == 2
    assert "2 already finished" in run(*words, "plan=true")[1]
    status, output, _ = run(*words)
    assert (status, "of 3 claims, 3 are undecided" in " ".join(output.split())) == (0, True)
    results = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert len(results) == 4
    assert {path: path.read_bytes() for path in before} == before
    assert run(*words)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == results
