import pytest

from src.runs.sweep import PlannedJob, Sweep, read_sweep
from src.storage.files import write_json
from src.storage.stored import sealed


def test_a_manifest_is_read_as_written(tmp_path):
    jobs = [PlannedJob(f"{n:064x}", f"bn_s{n}-{n:08x}", f"bn s{n}", "bn", {"norm.name": "bn"}) for n in range(2)]
    sweep = Sweep("f" * 64, "python -m src.train -m seed=0,1", 1_700_000_000_000, ["seed"], jobs)
    sweep.write(tmp_path)
    assert read_sweep(tmp_path / "sweeps" / "ffffffff" / "manifest.json") == sweep


def planned(number, cell, **params):
    return PlannedJob(f"{number:064x}", f"job-{number:08x}", f"{cell} s0", cell, {"norm.name": "gn", **params})


def read_back(tmp_path, jobs, *, version):
    """The sweep in a manifest; manifests before version 2 have no version."""
    fields = {"id": "f" * 64, "command": "c", "started": 1, "varies": ["reg.l2", "optimizer.name", "seed"]}
    stored = {**fields, "jobs": [vars(job) for job in jobs], **({"version": version} if version else {})}
    write_json(tmp_path / "manifest.json", sealed(stored))
    return read_sweep(tmp_path / "manifest.json")


ADAMW = planned(0, "gn optimizer=adamw l2=0.01", **{"optimizer.name": "adamw", "reg.l2": "0.01"})
ADAM = planned(1, "gn l2=0.01", **{"optimizer.name": "adam", "reg.l2": "0.01"})


def test_an_old_manifest_of_adamw_is_read_as_weight_decay(tmp_path):
    sweep = read_back(tmp_path, [ADAMW], version=None)
    (job,) = sweep.jobs
    assert job.params == {"norm.name": "gn", "optimizer.name": "adamw", "reg.weight_decay": "0.01"}
    assert (job.label, job.cell) == ("gn optimizer=adamw weight_decay=0.01 s0", "gn optimizer=adamw weight_decay=0.01")
    assert sweep.varies == ["reg.weight_decay", "optimizer.name", "seed"]


def test_in_an_old_manifest_of_several_optimizers_every_job_has_both_keys(tmp_path):
    sweep = read_back(tmp_path, [ADAMW, ADAM], version=None)
    adamw, adam = ({name: job.params[name] for name in ("reg.l2", "reg.weight_decay")} for job in sweep.jobs)
    assert adamw == {"reg.l2": "0", "reg.weight_decay": "0.01"}
    assert adam == {"reg.l2": "0.01", "reg.weight_decay": "0"}
    assert sweep.jobs[1].label == ADAM.label
    assert sweep.varies == ["reg.l2", "reg.weight_decay", "optimizer.name", "seed"]


@pytest.mark.parametrize(("jobs", "version"), [([ADAM], None), ([ADAMW, ADAM], 2)])
def test_other_manifests_stay_as_they_are(jobs, version, tmp_path):
    assert read_back(tmp_path, jobs, version=version).jobs == jobs
