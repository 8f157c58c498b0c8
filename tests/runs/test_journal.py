import json
import math
import time

import pytest

from src.runs.journal import Journal, decode, encode, read_journal, stamp

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


def test_records_come_back_as_they_were(path):
    assert untimed(read_journal(written(path))) == RECORDS


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308, 2**53 + 1, 1 / 3])
def test_numbers_come_back_to_the_bit(value):
    record = decode(encode({"value": value}))
    assert record is not None
    assert (record["value"], math.copysign(1, record["value"])) == (value, math.copysign(1, value))


def test_a_line_is_json_with_its_checksum_last(path):
    lines = written(path).read_text().splitlines()
    assert len(lines) == len(RECORDS)
    assert all(list(json.loads(line))[-1] == "crc" for line in lines)


def test_a_record_carries_the_time_in_milliseconds(path):
    before = time.time() * 1000
    (record,) = read_journal(written(path, RECORDS[:1]))
    assert before - 1 <= record["time"] <= time.time() * 1000 + 1


def test_a_record_can_be_read_before_the_journal_is_closed(path):
    with Journal(path) as journal:
        for count in (1, 2):
            journal.append(stamp("epoch", epoch=count))
            assert len(read_journal(path)) == count


def test_a_last_line_torn_at_any_byte_is_dropped(path):
    content = written(path).read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(content)):
        path.write_bytes(content[:length])
        assert untimed(read_journal(path)) == RECORDS[:-1], length


def test_one_flipped_bit_anywhere_in_a_line_is_noticed():
    line = encode(RECORDS[0])
    for bit in range(8 * len(line)):
        harmed = bytearray(line)
        harmed[bit // 8] ^= 1 << bit % 8
        assert decode(bytes(harmed)) is None, bit


def test_one_flipped_bit_anywhere_ends_the_journal_before_it(path):
    records = [{"kind": "epoch", "epoch": count} for count in range(2)]
    content = written(path, records).read_bytes()
    for bit in range(8 * len(content)):
        harmed = bytearray(content)
        harmed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(harmed)
        whole = content[: bit // 8].count(b"\n")
        assert untimed(read_journal(path)) == records[:whole], bit


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{}\n", b'","crc":"00000000"}\n', b'[1],"crc":"00000000"}\n', b"\xff" * 40]
)
def test_what_is_no_record_is_none(line):
    assert decode(line) is None


def test_a_journal_starts_anew(path):
    written(path)
    assert untimed(read_journal(written(path, RECORDS[:1]))) == RECORDS[:1]


def test_without_a_journal_there_are_no_records(path):
    assert read_journal(path) == []


def test_a_resumed_journal_goes_on_behind_its_last_whole_line(tmp_path):
    path = written(tmp_path / "journal.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Journal(path, resume=True) as journal:
        assert journal.last_epoch == 1
        assert journal.has("start")
        journal.append(stamp("resume"))
        journal.append(stamp("epoch", epoch=2))
    assert path.read_bytes().startswith(whole[: whole.rindex(b"\n", 0, -1) + 1])
    assert [record["kind"] for record in read_journal(path)] == ["start", "epoch", "resume", "epoch"]


def test_an_epoch_stands_in_a_journal_once(tmp_path):
    path = written(tmp_path / "journal.jsonl")
    before = path.read_bytes()
    with Journal(path, resume=True) as journal:
        journal.append(stamp("epoch", epoch=2, metrics={"train/loss": 7.0}))
    assert path.read_bytes() == before


def test_there_may_be_nothing_to_resume(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, resume=True) as journal:
        assert (journal.last_epoch, journal.has("start")) == (0, False)
        journal.append(stamp("start"))
    assert len(read_journal(path)) == 1
