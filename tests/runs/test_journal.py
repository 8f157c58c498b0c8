import json
import math
import multiprocessing
import resource
import sys
import time
import zlib

import pytest

from src.runs.journal import Journal, decode_line, encode_record, last_epoch, read_first_line, read_journal, stamp

RECORDS = [
    {"kind": "start", "config": {"norm": {"name": "bn"}, "note": 'a ",crc":" of its own, é and 数'}},
    {"kind": "epoch", "epoch": 1, "metrics": {"train/loss": 0.1 + 0.2, "val/loss": 5e-324}},
    {"kind": "epoch", "epoch": 2, "metrics": {"train/loss": 1 / 3, "val/loss": 1.7976931348623157e308}},
]


def written(path, records=RECORDS):
    with Journal(path) as journal:
        for record in records:
            journal.append(stamp(**record))
    return path


def untimed(records):
    return [{name: value for name, value in record.items() if name != "time"} for record in records]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def test_records_are_read_as_written(path):
    assert untimed(read_journal(written(path))) == RECORDS


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308, 2**53 + 1, 1 / 3])
def test_numbers_are_read_bit_for_bit(value):
    record = decode_line(encode_record({"value": value}))
    assert record is not None
    assert (record["value"], math.copysign(1, record["value"])) == (value, math.copysign(1, value))


def test_a_line_is_json_with_its_checksum_last(path):
    lines = written(path).read_text().splitlines()
    assert len(lines) == len(RECORDS)
    assert all(list(json.loads(line))[-1] == "crc" for line in lines)


def test_a_record_has_the_time_in_milliseconds(path):
    before = time.time() * 1000
    (record,) = read_journal(written(path, RECORDS[:1]))
    assert before - 1 <= record["time"] <= time.time() * 1000 + 1


def test_a_record_can_be_read_before_the_journal_is_closed(path):
    with Journal(path) as journal:
        for count in (1, 2):
            journal.append(stamp("epoch", epoch=count, metrics={}))
            assert len(read_journal(path)) == count


def test_a_last_line_cut_at_any_byte_is_ignored(path):
    content = written(path).read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(content)):
        path.write_bytes(content[:length])
        assert untimed(read_journal(path)) == RECORDS[:-1], length


def test_any_flipped_bit_in_a_line_is_detected():
    line = encode_record(RECORDS[0])
    for bit in range(8 * len(line)):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        assert decode_line(bytes(damaged)) is None, bit


def test_reading_stops_before_a_line_with_a_flipped_bit(path):
    records = [{"kind": "epoch", "epoch": count, "metrics": {}} for count in (1, 2)]
    content = written(path, records).read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        whole = content[: bit // 8].count(b"\n")
        assert untimed(read_journal(path)) == records[:whole], bit


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{}\n", b'","crc":"00000000"}\n', b'[1],"crc":"00000000"}\n', b"\xff" * 40]
)
def test_other_lines_are_not_decoded(line):
    assert decode_line(line) is None


def test_a_new_journal_replaces_the_old_one(path):
    written(path)
    assert untimed(read_journal(written(path, RECORDS[:1]))) == RECORDS[:1]


def test_without_a_journal_there_are_no_records(path):
    assert read_journal(path) == []


def test_a_resumed_journal_continues_after_its_last_undamaged_line(tmp_path):
    path = written(tmp_path / "journal.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Journal(path, resume=True) as journal:
        assert last_epoch(read_journal(path)) == 1
        assert journal.has("start")
        journal.append(stamp("resume"))
        journal.append(stamp("epoch", epoch=2, metrics={}))
    assert path.read_bytes().startswith(whole[: whole.rindex(b"\n", 0, -1) + 1])
    assert [record["kind"] for record in read_journal(path)] == ["start", "epoch", "resume", "epoch"]


def test_an_epoch_is_recorded_once(tmp_path):
    path = written(tmp_path / "journal.jsonl")
    before = path.read_bytes()
    with Journal(path, resume=True) as journal:
        journal.append(stamp("epoch", epoch=2, metrics={"train/loss": 7.0}))
    assert path.read_bytes() == before


def test_resuming_without_a_journal_starts_one(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, resume=True) as journal:
        assert not journal.has("start")
        journal.append(stamp("start"))
    assert len(read_journal(path)) == 1


def append_up_to(path, size):
    """Append a second epoch with a limited file size; exits with status 1 if there was no room."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with Journal(path, resume=True) as journal:
        try:
            journal.append(RECORDS[2])
        except OSError as error:
            if error.filename == str(path) and last_epoch(read_journal(path)) == 1:
                sys.exit(3)
            raise


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_full_disk_leaves_no_partial_line(path):
    whole = written(path, RECORDS[:2]).read_bytes()
    line = encode_record(RECORDS[2])
    for room in (0, 1, len(line) // 2, len(line) - 1, len(line)):
        path.write_bytes(whole)
        process = multiprocessing.get_context("fork").Process(target=append_up_to, args=(path, len(whole) + room))
        process.start()
        process.join(30)
        fits = room == len(line)
        assert process.exitcode == (0 if fits else 3)
        assert path.read_bytes() == whole + line * fits


def test_after_a_full_disk_the_next_record_follows_the_last_whole_line(path):
    """A stop record is shorter than an epoch's record and may still fit."""
    with Journal(path) as journal:
        journal.append(stamp("start"))
        whole = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 150, hard))
        try:
            with pytest.raises(OSError, match="too large"):
                journal.append(stamp("epoch", epoch=1, metrics={"a": 1.0}, note="x" * 150))
            journal.append(stamp("stop", status="FAILED", error=""))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.append(stamp("epoch", epoch=1, metrics={}))
    assert [record["kind"] for record in read_journal(path)] == ["start", "stop", "epoch"]
    assert path.read_bytes().startswith(whole)


def test_lines_in_another_form_are_kept_byte_for_byte(path):
    """For example by a version that writes other spaces."""
    body = b'{"kind": "start",  "time": 1}'
    line = body[:-1] + f',"crc":"{zlib.crc32(body):08x}"}}\n'.encode()
    path.write_bytes(line + b"torn")
    with Journal(path, resume=True) as journal:
        journal.append(stamp("resume"))
    assert path.read_bytes().startswith(line)
    assert [record["kind"] for record in read_journal(path)] == ["start", "resume"]


def test_first_line_returns_the_start_of_an_attempt(path):
    assert read_first_line(path) == b""
    assert read_first_line(written(path)) == path.read_bytes().splitlines()[0]


def test_has_finds_records_by_kind(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(stamp("start"))
        assert journal.has("start")
        assert not journal.has("ready")
        assert not journal.has("stop")


def test_an_earlier_epoch_computed_again_is_not_recorded_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for epoch in (1, 2, 1):
            journal.append(stamp("epoch", epoch=epoch, metrics={}))
    assert [record["epoch"] for record in read_journal(path)] == [1, 2]


def test_a_time_is_a_whole_number_of_milliseconds():
    before = time.time_ns() // 1_000_000
    moment = stamp("epoch")["time"]
    assert isinstance(moment, int)
    assert before <= moment <= time.time_ns() // 1_000_000
