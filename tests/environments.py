"""Journals of made-up jobs that were trained in different environments."""

from src.runs.journal import encode_record, read_journal

USUAL = {"torch": "2.14.0", "cpu": "EPYC", "cpu capability": "AVX512"}


def write_environments(world, sweep, changes):
    """Write an environment into each job's journal: the usual one, changed for the jobs at some positions."""
    for position, job in enumerate(sweep.jobs):
        path = world.multirun / "jobs" / job.folder / "journal.jsonl"
        records = read_journal(path)
        found = {"device": "cpu"} | USUAL | changes.get(position, {})
        records[1] |= {name: found.pop(name) for name in ("device", "execution", "gpu") if name in found}
        records[0]["environment"] = {name: value for name, value in found.items() if value is not None}
        path.write_bytes(b"".join(map(encode_record, records)))
