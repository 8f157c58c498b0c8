from src.runs.sweep import PlannedJob, Sweep, read_sweep


def test_a_manifest_is_read_as_written(tmp_path):
    jobs = [PlannedJob(f"{n:064x}", f"bn_s{n}-{n:08x}", f"bn s{n}", "bn", {"norm.name": "bn"}) for n in range(2)]
    sweep = Sweep("f" * 64, "python -m src.train -m seed=0,1", 1_700_000_000_000, ["seed"], jobs)
    sweep.write(tmp_path)
    assert read_sweep(tmp_path / "sweeps" / "ffffffff" / "manifest.json") == sweep
