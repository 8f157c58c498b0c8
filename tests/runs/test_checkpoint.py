import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from src.runs.checkpoint import (
    CHECKPOINT_FILES,
    FORMAT,
    HEADER,
    Checkpoints,
    UnreadableCheckpoint,
    attempt_digest,
    drop_checkpoints,
    encode_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from src.runs.journal import Journal, stamp


def state(epoch):
    return {
        "model": {"weight": torch.full((3, 2), float(epoch))},
        "record": {"epoch": epoch, "metrics": {"val/loss": 0.1}},
    }


def test_the_newer_of_two_checkpoints_is_loaded(tmp_path):
    assert load_checkpoint(tmp_path) is None
    for epoch in (1, 2, 3):
        save_checkpoint(tmp_path, epoch, state(epoch))
        loaded = load_checkpoint(tmp_path)
        assert loaded["epoch"] == epoch
        assert torch.equal(loaded["model"]["weight"], state(epoch)["model"]["weight"])
        assert loaded["record"] == state(epoch)["record"]
    assert sorted(path.name for path in tmp_path.iterdir()) == list(CHECKPOINT_FILES)
    drop_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_memory_format_survives(tmp_path):
    weight = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path, 1, {"weight": weight})
    assert load_checkpoint(tmp_path)["weight"].stride() == weight.stride()


def test_if_the_newest_is_cut_at_any_length_the_previous_one_is_loaded(tmp_path):
    save_checkpoint(tmp_path, 1, state(1))
    save_checkpoint(tmp_path, 2, state(2))
    newest = tmp_path / CHECKPOINT_FILES[0]
    whole = newest.read_bytes()
    for length in range(0, len(whole), 7):
        newest.write_bytes(whole[:length])
        assert load_checkpoint(tmp_path)["epoch"] == 1


def test_if_any_bit_of_the_newest_is_flipped_the_previous_one_is_loaded(tmp_path):
    save_checkpoint(tmp_path, 2, state(2))
    newest = tmp_path / CHECKPOINT_FILES[0]
    whole = newest.read_bytes()
    beginning = range(8 * (len(HEADER) + 2 + 32))  # every bit of the header, then one of each byte
    with newest.open("r+b", buffering=0) as file:
        for bit in [*beginning, *(8 * byte + byte % 8 for byte in range(len(beginning) // 8, len(whole)))]:
            file.seek(bit // 8)
            file.write(bytes([whole[bit // 8] ^ 1 << bit % 8]))
            assert load_checkpoint(tmp_path) is None, bit
            file.seek(bit // 8)
            file.write(whole[bit // 8 : bit // 8 + 1])
    assert load_checkpoint(tmp_path)["epoch"] == 2
    newest.write_bytes(whole[:-1])
    save_checkpoint(tmp_path, 1, state(1))
    assert load_checkpoint(tmp_path)["epoch"] == 1


def test_two_damaged_checkpoints_are_both_ignored(tmp_path, caplog):
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, state(epoch))
        (tmp_path / CHECKPOINT_FILES[epoch % 2]).write_bytes(b"")
    assert load_checkpoint(tmp_path) is None
    assert caplog.text.count("is damaged") == 2


def begin(folder, **said):
    folder.mkdir()
    with Journal(folder / "journal.jsonl") as journal:
        journal.append(stamp("start", **said))


def test_a_checkpoint_of_another_job_or_an_earlier_attempt_is_ignored(tmp_path, caplog):
    mine, other = tmp_path / "mine", tmp_path / "other"
    begin(mine, seed=0)
    begin(other, seed=1)
    save_checkpoint(mine, 1, state(1))
    save_checkpoint(other, 2, state(2))
    shutil.copy(other / CHECKPOINT_FILES[0], mine)
    assert load_checkpoint(mine)["epoch"] == 1
    assert "another job or an earlier attempt" in caplog.text
    begun_again = tmp_path / "begun again"
    begin(begun_again, seed=0)
    shutil.copy(mine / CHECKPOINT_FILES[1], begun_again)
    assert load_checkpoint(begun_again) is None


def test_swapped_checkpoint_files_still_give_the_newest_epoch(tmp_path):
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, state(epoch))
    first, second = (tmp_path / name for name in CHECKPOINT_FILES)
    first.rename(tmp_path / "between")
    second.rename(first)
    (tmp_path / "between").rename(second)
    assert load_checkpoint(tmp_path)["epoch"] == 2
    save_checkpoint(tmp_path, 3, state(3))
    assert load_checkpoint(tmp_path)["epoch"] == 3


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x80\x02."])
def test_a_checkpoint_without_a_state_is_refused(tmp_path, content):
    (tmp_path / CHECKPOINT_FILES[0]).write_bytes(encode_checkpoint(FORMAT, content))
    with pytest.raises(UnreadableCheckpoint):
        load_checkpoint(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    save_checkpoint(tmp_path, 1, state(1))
    (tmp_path / CHECKPOINT_FILES[0]).write_bytes(encode_checkpoint(FORMAT + 1, b"whatever it is"))
    with pytest.raises(UnreadableCheckpoint, match=f"format {FORMAT + 1}; this version reads format {FORMAT}"):
        load_checkpoint(tmp_path)


class Harmful:
    def __reduce__(self):
        return print, ("this code must not run",)


@pytest.mark.parametrize("disguised", [False, True])
def test_a_pickle_is_refused_and_not_run(tmp_path, capsys, disguised):
    buffer = io.BytesIO()
    torch.save({"epoch": 1, "model": Harmful()}, buffer)
    content = buffer.getvalue()
    (tmp_path / CHECKPOINT_FILES[0]).write_bytes(encode_checkpoint(FORMAT, content) if disguised else content)
    with pytest.raises(UnreadableCheckpoint):
        load_checkpoint(tmp_path)
    (tmp_path / CHECKPOINT_FILES[0]).write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UnreadableCheckpoint):
        load_checkpoint(tmp_path)
    assert capsys.readouterr().out == ""


def test_an_older_format_is_refused(tmp_path):
    (tmp_path / CHECKPOINT_FILES[0]).write_bytes(encode_checkpoint(FORMAT - 1, b"of long ago"))
    with pytest.raises(UnreadableCheckpoint, match=f"has format {FORMAT - 1}; this version reads format {FORMAT}"):
        load_checkpoint(tmp_path)


def test_a_file_starts_with_its_format(tmp_path):
    save_checkpoint(tmp_path, 1, state(1))
    assert (tmp_path / CHECKPOINT_FILES[1]).read_bytes().startswith(b"normlab checkpoint 1\n")


def test_two_checkpoint_files_take_turns(tmp_path):
    for epoch in range(1, 7):
        save_checkpoint(tmp_path, epoch, state(epoch))
        (tmp_path / CHECKPOINT_FILES[epoch % 2]).unlink()
        assert (load_checkpoint(tmp_path) or {"epoch": 0})["epoch"] == epoch - 1
        save_checkpoint(tmp_path, epoch, state(epoch))


def test_restore_returns_all_parts_and_the_epochs_record(tmp_path):
    made, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = other.weight.clone()
    assert Checkpoints(tmp_path, model=other).restore() is None
    assert torch.equal(other.weight, before)
    record = stamp("epoch", epoch=1, metrics={"val/loss": 0.5})
    Checkpoints(tmp_path, model=made).save(record)
    assert Checkpoints(tmp_path, model=other).restore() == record
    assert torch.equal(other.weight, made.weight)


def parts():
    """Return a network and its optimizer after one step."""
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters(), 0.1, fused=True)
    step(network, optimizer)
    return network, optimizer


def step(network, optimizer):
    network(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def of_a_gpu(path):
    """Rewrite a checkpoint as if its tensors had been on a GPU."""
    found = zipfile.ZipFile(io.BytesIO(path.read_bytes().partition(b"\n")[2][32:]))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in found.namelist():
            content = found.read(name)
            if name.endswith("data.pkl"):
                assert b"X\x03\x00\x00\x00cpu" in content
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            archive.writestr(name, content)
    path.write_bytes(encode_checkpoint(FORMAT, written.getvalue()))


def test_a_checkpoint_from_a_gpu_resumes_on_a_cpu(tmp_path, caplog):
    network, optimizer = parts()
    Checkpoints(tmp_path, model=network, optimizer=optimizer).save(stamp("epoch", epoch=1, metrics={}))
    of_a_gpu(tmp_path / CHECKPOINT_FILES[1])
    other, its_optimizer = parts()
    step(other, its_optimizer)
    assert not torch.equal(other.weight, network.weight)
    assert Checkpoints(tmp_path, model=other, optimizer=its_optimizer).restore() is not None
    assert "the checkpoint was saved on cuda:0; the job resumes on cpu" in caplog.text
    assert {value.device.type for state in its_optimizer.state.values() for value in state.values()} == {"cpu"}
    step(network, optimizer)
    step(other, its_optimizer)
    assert torch.equal(other.weight, network.weight)


def test_resuming_on_the_same_device_logs_nothing(tmp_path, caplog):
    network, optimizer = parts()
    checkpoints = Checkpoints(tmp_path, model=network, optimizer=optimizer)
    checkpoints.save(stamp("epoch", epoch=1, metrics={}))
    checkpoints.restore()
    assert caplog.text == ""


@pytest.mark.parametrize(
    "content",
    [[1], {"attempt": attempt_digest(Path("nowhere"))}, {"attempt": attempt_digest(Path("nowhere")), "epoch": 1}],
)
def test_a_checkpoint_that_lacks_a_part_is_refused(tmp_path, content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (tmp_path / CHECKPOINT_FILES[0]).write_bytes(encode_checkpoint(FORMAT, buffer.getvalue()))
    with pytest.raises(UnreadableCheckpoint, match="resume=restart"):
        Checkpoints(tmp_path, model=torch.nn.Linear(1, 1)).restore()


def test_a_pipe_or_folder_in_place_of_a_checkpoint_is_ignored(tmp_path, caplog):
    (tmp_path / CHECKPOINT_FILES[0]).mkdir()
    os.mkfifo(tmp_path / CHECKPOINT_FILES[1])
    assert load_checkpoint(tmp_path) is None
    assert caplog.text.count("is not a regular file and is ignored") == 2


def test_dropping_missing_checkpoints_is_no_error(tmp_path):
    drop_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []
