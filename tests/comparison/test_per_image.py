import numpy as np
import pytest

from src.bad_input import BadInput
from src.comparison import per_image as module
from src.comparison.per_image import per_image
from src.comparison.records import load_records


@pytest.fixture
def group(world, six):
    (found,) = per_image(load_records([six], world.multirun))
    return found


def test_shared_and_lonely_mistakes(group):
    # 10 is wrong in every run too (each has at least one extra), the less confidently so.
    assert group.by_all.tolist() == [7, 10]
    own = {name: found.tolist() for name, found in group.by_one.items() if len(found)}
    assert own == {"bn s1": [50], "gn s2": [15, 16, 17, 18]}


def test_sentences_name_indices_and_classes(world, group):
    lines = group.sentences()
    labels = group.labels
    assert lines[0] == f"All 6 runs get 2 of the 100 test images wrong: #7 ({labels[7]}), #10 ({labels[10]})"
    assert lines[-2:] == ["  bn  s0: 0, s1: 1, s2: 0", "  gn  s0: 0, s1: 0, s2: 4"]


def test_galleries_show_every_runs_worst_own_mistakes_first(group, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 3)
    assert group._in_turn().tolist() == [50, 15, 16]
    galleries = group.galleries()
    assert set(galleries) == {"wrong_by_all", "wrong_by_one"}
    assert galleries["wrong_by_all"].height < galleries["wrong_by_one"].height


def test_a_single_run_tells_its_own_mistakes(world):
    job = world.finish(world.configuration(), {7: 0.9, 4: 0.8})
    (group,) = per_image(load_records([world.sweep([job])], world.multirun))
    (line,) = group.sentences()
    assert line.startswith("bn s0 gets 2 of the 100 test images wrong: #7 (")


def test_other_datasets_are_groups_of_their_own(world):
    from dataclasses import replace

    other = replace(world.data, test_images=60)
    jobs = [world.finish(world.configuration(data=data), {7: 0.9}) for data in (world.data, other)]
    groups = per_image(load_records([world.sweep(jobs)], world.multirun))
    assert [len(group.labels) for group in groups] == [100, 60]


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_predictions_that_cannot_be_read_are_named(world, six, content):
    path = world.multirun / "jobs" / six.jobs[0].folder / "predictions.npz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (group,) = per_image(load_records([six], world.multirun))
    assert len(group.runs) == 5
    assert str(path) in group.sentences()[0]


def test_images_that_are_no_longer_the_same_are_refused(group):
    from dataclasses import replace

    changed = replace(group, data=replace(group.data, noise=0.7))
    with pytest.raises(BadInput, match="no longer"):
        changed.galleries()


def test_json_is_complete(group):
    stored = group.as_json()
    assert stored["wrong by all"] == [7, 10]
    assert stored["wrong by one only"]["gn s2"] == [15, 16, 17, 18]
    assert np.sum([len(found) for found in stored["wrong by one only"].values()]) == 5
