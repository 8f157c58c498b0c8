import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from src.bad_input import BadInput
from src.errors.atlas import LEVEL, read_atlases
from src.errors.atlas_words import error_sentences, findings
from src.figures import galleries as module
from src.figures.galleries import draw_galleries
from src.results.results import load_results
from src.runs.predictions import Predictions, load_predictions, save_predictions


@pytest.fixture
def group(world, six):
    (found,) = read_atlases(load_results([six], world.multirun))
    return found


@pytest.fixture
def three(world):
    """bn, gn and ln, three seeds each.

    Image 7 is wrong in all runs; 20 and 21 in most of gn, 22 in one of gn; 30 and 31 in most of bn and gn, 31 in one of
    ln too.
    """
    wrong = {
        "bn": [{30: 0.8, 31: 0.8}, {30: 0.8, 31: 0.8}, {30: 0.8}],
        "gn": [{20: 0.6, 21: 0.7, 22: 0.9, 30: 0.8, 31: 0.8}, {20: 0.6, 21: 0.7, 30: 0.8}, {20: 0.6, 31: 0.8}],
        "ln": [{31: 0.6}, {}, {}],
    }
    jobs = [
        world.finish(world.configuration(norm, seed), {7: 0.95} | own)
        for norm, seeds in wrong.items()
        for seed, own in enumerate(seeds)
    ]
    return world.sweep(jobs)


@pytest.fixture
def trio(world, three):
    (found,) = read_atlases(load_results([three], world.multirun))
    return found


def predictions_of(world, sweep, position):
    return world.multirun / "jobs" / sweep.jobs[position].folder / "predictions.npz"


def one_run(cell):
    return replace(cell, runs=dict(list(cell.runs.items())[:1]))


def listed(found):
    return {name: indices.tolist() for name, indices in found.items()}


def test_images_wrong_in_all_runs_the_most_confidently_wrong_first(group):
    # 10 is wrong in every run too (each has at least one extra), the less confidently so.
    assert group.wrong_in_all_runs.tolist() == [7, 10]


def test_a_cell_is_wrong_where_most_of_its_seeds_are(trio):
    assert listed(trio.wrong_in_one_cell) == {"bn": [], "gn": [20, 21], "ln": []}
    assert listed(trio.right_in_one_cell) == {"bn": [], "gn": [], "ln": [30, 31]}


def test_a_tie_between_seeds_is_neither_wrong_nor_right(world):
    jobs = [
        world.finish(world.configuration("bn", 0), {5: 0.9, 6: 0.9}),
        world.finish(world.configuration("bn", 1), {5: 0.9}),
        world.finish(world.configuration("gn", 0), {8: 0.9}),
    ]
    (group,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    assert listed(group.wrong_in_one_cell) == {"bn": [5], "gn": [8]}
    cell = group.cells["bn"]
    assert (cell.wrong[6], cell.correct[6]) == (False, False)
    assert (cell.wrong[5], cell.correct[5]) == (True, False)


def test_a_cell_predicts_its_majority_class_with_the_mean_confidence(trio):
    cell, label = trio.cells["gn"], trio.labels
    assert cell.predicted[20] == (label[20] + 1) % 4
    assert cell.votes[[20, 21, 22, 50]].tolist() == [3, 2, 2, 3]
    # Two seeds say the wrong class with 0.7, the third gives it a third of the 0.1 that is left.
    assert cell.confidence[21] == pytest.approx((0.7 + 0.7 + 0.1 / 3) / 3, abs=1e-6)
    assert cell.predicted[22] == label[22]


def test_the_mean_probability_breaks_ties(world):
    jobs = [
        world.finish(world.configuration("bn", 0), {5: 0.99, 6: 0.6}),
        world.finish(world.configuration("bn", 1), {}),  # right with 0.9
    ]
    (group,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    cell, label = group.cells["bn"], group.labels
    assert [int(cell.predicted[5]), int(cell.predicted[6])] == [(label[5] + 1) % 4, label[6]]


def test_disagreement_between_cells_and_within_one(trio):
    runs = trio.runs
    pairs = [(f"bn s{i}", f"ln s{j}") for i in range(3) for j in range(3) if i != j]
    expected = np.mean([(runs[a].predicted != runs[b].predicted).mean() for a, b in pairs])
    assert trio.disagreement[0, 2] == pytest.approx(expected)
    assert trio.disagreement[2, 2] == pytest.approx(2 / 3 / 100)  # one of three seeds differs, on one image


def test_confusion_differences_are_counted_a_run(trio):
    first = trio.confusion_differences[0]
    by_hand = {
        name: np.mean([((run.label == first.label) & (run.predicted == first.predicted)).sum() for run in of.values()])
        for name, of in ((name, cell.runs) for name, cell in trio.cells.items())
    }
    assert first.times_more == pytest.approx(max(by_hand.values())) == pytest.approx(by_hand[first.more])
    assert first.times_less == pytest.approx(min(by_hand.values())) == pytest.approx(by_hand[first.less])


def test_an_image_that_all_runs_confidently_misclassify_is_suspected(trio):
    (suspect,) = trio.suspects
    assert (suspect.index, suspect.suggested) == (7, (suspect.label + 1) % 4)
    assert (suspect.share, suspect.confidence) == (1.0, pytest.approx(0.95))


@pytest.mark.parametrize(("errors", "suspects"), [(5, 5), (6, 0)])
def test_runs_that_often_err_suspect_no_labels(world, errors, suspects):
    """Two runs confidently misclassify the same 5 or 6 of 100 images; from 6, these are taken for their mistakes."""
    jobs = [world.finish(world.configuration(norm), dict.fromkeys(range(errors), 0.95)) for norm in ("bn", "gn")]
    (group,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    assert group.joint_error_share == pytest.approx(errors / 100)
    assert len(group.suspects) == suspects
    last = error_sentences(group)[-1]
    assert last.startswith("5 suspected label errors" if suspects else "The runs together misclassify 6.0 % of the im")
    assert ("suspected_labels" in draw_galleries(group)) == (suspects > 0)


def test_calibration_of_runs_and_cells(trio):
    # bn s2: 98 answers right at 0.9, one wrong at 0.95, one wrong at 0.8.
    own = trio.runs["bn s2"].calibration
    assert own.ece == pytest.approx((abs(98 - 98 * 0.9) + 0.8 + 0.95) / 100, abs=0.02)
    errors = [trio.runs[f"bn s{seed}"].calibration.ece for seed in range(3)]
    assert trio.cells["bn"].calibration.ece == pytest.approx(np.mean(errors))
    assert trio.cells["bn"].calibration.count.sum() == 300


def test_sentences_say_what_was_found(trio):
    lines, label = error_sentences(trio), trio.labels
    assert f"All 9 runs misclassify the same 1 of the 100 test images: #7 (label {label[7]})" in lines
    assert any(line.startswith("Runs of two cells disagree on") for line in lines)
    assert lines[-1].startswith("1 suspected label error to check by eye: #7 (label")
    assert lines[-1].endswith("4 of 136 of weak networks")


def test_thirty_cells_need_few_more_lines_than_six(world):
    for cells, most in ((6, 6), (30, 6)):
        jobs = [world.finish(world.configuration(l1=k * 1e-4 + cells), {7: 0.9, k: 0.8}) for k in range(cells)]
        (group,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
        assert len(error_sentences(group)) <= most


def test_a_single_run_lists_its_own_mistakes(world):
    job = world.finish(world.configuration(), {7: 0.9, 4: 0.8})
    (group,) = read_atlases(load_results([world.sweep([job])], world.multirun))
    (line,) = error_sentences(group)
    assert line.startswith("bn s0 misclassifies 2 of the 100 test images: #7 (")
    assert group.suspects == ()


def test_seeds_of_one_cell_are_no_comparison_of_cells(world):
    jobs = [world.finish(world.configuration(seed=seed), {7: 0.9, seed: 0.6}) for seed in range(2)]
    (group,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    assert "Two runs with different seeds disagree on 2.00 % of the images" in error_sentences(group)
    assert group.confusion_differences == ()
    assert set(draw_galleries(group)) == {"wrong_by_all", "suspected_labels"}


def test_other_datasets_are_groups_of_their_own(world):
    other = replace(world.data, test_images=60)
    jobs = [world.finish(world.configuration(data=data), {7: 0.9}) for data in (world.data, other)]
    groups = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    assert [len(group.labels) for group in groups] == [100, 60]


@pytest.mark.parametrize("content", [b"", b"no archive", None, "cut"])
def test_predictions_that_cannot_be_read_are_named(world, six, content):
    path = predictions_of(world, six, 0)
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    (group,) = read_atlases(load_results([six], world.multirun))
    assert len(group.runs) == 5
    assert str(path) in error_sentences(group)[0]
    assert len(group.cells["bn"].runs) == 2


def short(found):
    return Predictions(found.label[:50], found.predicted[:50], found.probabilities[:50])


def not_numbers(found):
    return replace(found, probabilities=np.full_like(found.probabilities, np.nan))


def unknown_class(found):
    return replace(found, predicted=found.predicted + 3)


def other_labels(found):
    return replace(found, label=(found.label + 1) % 4, predicted=(found.predicted + 1) % 4)  # as many errors


def fewer_classes(found):
    return replace(found, probabilities=found.probabilities[:, :2])


@pytest.mark.parametrize("harm", [short, not_numbers, unknown_class, other_labels, fewer_classes])
def test_predictions_that_cannot_be_those_of_the_run_are_left_out(world, six, harm):
    path = predictions_of(world, six, 4)
    save_predictions(path, harm(load_predictions(path)))
    (group,) = read_atlases(load_results([six], world.multirun))
    assert "gn s1" not in group.runs
    assert error_sentences(group)[0].startswith(f"One run is missing from the text below: {path} ")
    assert group.wrong_in_all_runs.tolist() == [7, 10]


def test_a_cell_without_readable_runs_is_left_out_and_the_rest_compared(world, three):
    for position in range(3):
        predictions_of(world, three, position).unlink()
    (group,) = read_atlases(load_results([three], world.multirun))
    assert list(group.cells) == ["gn", "ln"]
    assert group.disagreement.shape == (2, 2)
    assert set(draw_galleries(group)) == {"wrong_by_all", "wrong_by_one", "suspected_labels"}


def test_without_readable_predictions_only_the_reasons_are_listed(world, six):
    for position in range(6):
        predictions_of(world, six, position).unlink()
    (group,) = read_atlases(load_results([six], world.multirun))
    lines = error_sentences(group)
    assert lines[0] == f"One run is missing from the text below: {predictions_of(world, six, 0)} is missing"
    assert lines[-1] == "and 3 more"
    assert len(lines) == 4
    assert group.as_json()["wrong by all"] == []
    assert group.disagreement.shape == (0, 0)


def size_of(gallery):
    return Image.open(io.BytesIO(gallery.png)).size


def test_galleries_show_every_cells_worst_own_mistakes_in_turn(trio, monkeypatch):
    monkeypatch.setattr(module, "MAX_IMAGES", 3)
    found = {"a": np.array([5, 6, 7, 8]), "b": np.array([1]), "c": np.array([], dtype=np.int64)}
    assert module._choose_images_round_robin(found).tolist() == [5, 6, 1]
    drawn = draw_galleries(trio)
    assert set(drawn) == {"wrong_by_all", "wrong_by_one", "right_by_one", "suspected_labels"}
    assert size_of(drawn["wrong_by_all"])[1] < size_of(drawn["wrong_by_one"])[1]


def test_a_gallery_of_too_many_cells_keeps_those_that_stand_alone(world, monkeypatch):
    monkeypatch.setattr(module, "MAX_CELLS", 2)
    jobs = [
        world.finish(world.configuration(norm), {7: 0.9} | ({40: 0.8} if norm == "ln" else {}))
        for norm in ("bn", "gn", "ln", "in")
    ]
    (group,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    assert list(module._choose_cells(group, group.wrong_in_one_cell["ln"])) == ["bn", "ln"]
    assert size_of(draw_galleries(group)["wrong_by_one"])[0] < 500


def test_images_that_are_no_longer_the_same_are_refused(group):
    changed = replace(group, data=replace(group.data, noise=0.7))
    with pytest.raises(BadInput, match="no longer"):
        draw_galleries(changed)


@pytest.fixture
def planted(world):
    """Three cells with seven seeds: each seed has errors of its own, and ln always misclassifies twelve images."""
    jobs = [
        world.finish(world.configuration(norm, seed), dict.fromkeys([seed, place, *own], 0.9))
        for place, (norm, own) in enumerate({"bn": (), "gn": (), "ln": range(60, 72)}.items(), start=20)
        for seed in range(7)
    ]
    (found,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    return found


def test_differences_that_exceed_chance_are_told_first(planted):
    lines = findings(planted)
    assert error_sentences(planted)[: len(lines) + 1] == [
        *lines,
        "Chance means the differences between seeds of one method",
    ]
    disagree, confused, wrong = lines[:3]
    assert disagree.startswith("bn and ln disagree on 16.00 % of the images, and two seeds of one of them on 2.00 %;")
    assert " (1 other pair of cells also exceeds it)" in disagree
    assert confused.startswith("Per run, ln predicts ")
    assert wrong.startswith("Images per seed that one cell alone misclassifies: 13.0 for ln; chance explains ")
    counts = planted.one_cell_counts
    assert counts["ln"][0] == 13 > planted.chance_limits["wrong alone"] > counts["bn"][0]


def test_a_cell_is_called_overconfident_only_beyond_the_spread_of_its_seeds(planted):
    assert findings(planted)[-2:] == [
        "Overconfident on these test images: ln by 4.00 points",
        "Underconfident on these test images: bn by 8.00 points and gn by 8.00 points",
    ]
    single = replace(planted, cells={name: one_run(cell) for name, cell in planted.cells.items()})
    assert findings(single) == []


def test_the_level_of_all_findings_is_shared_by_the_datasets(world):
    other = replace(world.data, test_images=60)
    jobs = [world.finish(world.configuration(data=data), {7: 0.9}) for data in (world.data, other)]
    results = load_results([world.sweep(jobs)], world.multirun)
    assert [atlas.level for atlas in read_atlases(results)] == [LEVEL / 2] * 2
    assert [atlas.level for atlas in read_atlases(results, 0.001)] == [0.0005] * 2


@pytest.mark.parametrize(
    ("seeds", "norms", "sentence"),
    [
        (1, ("bn", "gn"), "With one seed, these numbers describe only these 2 trained networks, not the methods"),
        (
            2,
            ("bn", "gn"),
            "With so few seeds, any difference could be chance, so these numbers describe only these 4 trained "
            "networks, not the methods.  "
            "At least 10 seeds are needed to show that one cell differs from the others",
        ),
        (
            5,
            ("bn", "gn", "ln"),
            "No difference between the errors of cells exceeds chance, that is, the differences between seeds of one "
            "method.  At least 7 seeds are needed to show that one cell differs from the others",
        ),
    ],
)
def test_without_findings_a_sentence_says_why(world, seeds, norms, sentence):
    jobs = [world.finish(world.configuration(norm, seed), {seed: 0.9}) for norm in norms for seed in range(seeds)]
    (atlas,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    assert sentence in error_sentences(atlas)


def test_json_holds_the_numbers_of_the_sentences(trio):
    stored = json.loads(json.dumps(trio.as_json(), allow_nan=False))
    assert stored["wrong by all"] == [7]
    assert stored["wrong by one cell alone"]["gn"] == [20, 21]
    assert stored["right by one cell alone"]["ln"] == [30, 31]
    assert stored["suspected label errors"][0]["index"] == 7
    assert stored["disagreement"][2][2] == pytest.approx(2 / 300)
    assert stored["wrong and right alone per seed"]["gn"] == pytest.approx(trio.one_cell_counts["gn"])
    assert stored["chance explains"] is None
    assert stored["calibration"]["bn"]["confidence gap"]["mean"] == pytest.approx(-0.07, abs=0.02)
    assert set(stored["calibration"]["bn"]["runs"]) == {"bn s0", "bn s1", "bn s2"}


def test_a_matrix_of_single_runs_has_no_diagonal_in_json(world):
    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("bn", "gn")]
    (group,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    assert group.as_json()["disagreement"] == [[None, 0.0], [0.0, None]]
