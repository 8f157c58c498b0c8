from types import SimpleNamespace

import numpy as np
import pandas as pd

from src.errors.answers import read_answers
from src.errors.labels import Suspect
from src.figures.side_by_side import STEP, side_by_side
from src.pictures.tiles import GAP, TILE
from src.runs.predictions import save_predictions

LABELS = np.arange(30) % 4
NAMES = ("a", "b", "c", "d")


def answered(world, tmp_path, *seeds, classes=4):
    """A cell's answers, whose seeds misclassify so."""
    jobs, source = {}, {"test": len(LABELS), "classes": NAMES[:classes]}
    for seed, wrong in enumerate(seeds):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        save_predictions(folder / "predictions.npz", world.predict(LABELS, wrong, classes))
        result = {"metrics": {"test/errors": len(wrong)}}
        place = SimpleNamespace(path=folder)
        jobs[f"cell s{seed}"] = SimpleNamespace(folder=place, start={"source": source}, result=result)
    runs = pd.DataFrame({"run": list(jobs), "cell": "cell", "dataset": "digest"})
    answers, _, _ = read_answers(SimpleNamespace(runs=runs, jobs=jobs, sources={"digest": source}), "digest")
    return answers["cell"]


def corners(picture, columns, rows):
    """The colour just inside each answer's corner, row by row."""
    tops = [picture.height - (rows - row) * (TILE + GAP) for row in range(rows)]
    lefts = [TILE + 2 * GAP + column * STEP for column in range(1, columns + 1)]  # after the labels
    return [[picture.getpixel((left + 3, top + 3)) for left in lefts] for top in tops]


def test_side_by_side_frames_the_cells_that_are_wrong(grey, world, tmp_path):
    cells = {
        "bn": answered(world, tmp_path, {5: 0.9, 6: 0.8}),
        "gn label_smoothing=0.1": answered(world, tmp_path, {5: 0.7}),
    }
    picture = side_by_side(grey, cells, np.array([5, 6]), NAMES, "wrong")
    wrong, paper = (253, 227, 211), (255, 255, 255)
    assert corners(picture, 2, 2) == [[wrong, wrong], [wrong, paper]]
    for row, index in enumerate((5, 6)):
        top = picture.height - (2 - row) * (TILE + GAP)
        assert picture.getpixel((GAP + TILE // 2, top + TILE // 2)) == (8 * index,) * 3


def test_several_seeds_answer_by_majority_with_mean_confidence_and_votes(grey, world, tmp_path, words):
    cells = {"bn": answered(world, tmp_path, {5: 0.9}, {5: 0.7}, {})}
    side_by_side(grey, cells, np.array([5]), NAMES, "Heading")
    # Label b; two of three say c: (0.9 + 0.7 + 0.1 / 3) / 3.
    assert words[-3:] == ["c", "54%", "2/3"]
    assert words[0] == "Heading"


def test_a_cell_that_is_wrong_in_several_ways_is_framed_though_the_label_leads(grey, world, tmp_path):
    cell = answered(world, tmp_path, {}, {5: 0.4}, {5: 0.4})
    cell.runs["cell s2"].predicted[5] = 3
    cell.votes[5] = 1
    cell.predicted[5] = 1
    assert cell.wrong[5]
    picture = side_by_side(grey, {"bn": cell}, np.array([5]), NAMES, "wrong")
    assert corners(picture, 1, 1) == [[(253, 227, 211)]]


def test_one_seed_needs_no_votes(grey, world, tmp_path, words):
    side_by_side(grey, {"bn": answered(world, tmp_path, {5: 0.9})}, np.array([5]), NAMES, "Heading")
    assert words[-2:] == ["c", "90%"]
    assert not [word for word in words if "seeds" in word]


def test_suspected_labels_stand_beside_what_is_suggested(grey, world, tmp_path, words):
    suspects = [Suspect(5, 1, 2, 0.75, 0.93)]
    side_by_side(grey, {"bn": answered(world, tmp_path, {5: 0.9})}, np.array([5]), NAMES, "Heading", suspects)
    start = words.index("label")
    assert words[start : start + 7] == ["label", "b", "#5", "suggested", "c", "93%", "75% runs"]


def test_long_labels_and_headings_stay_inside_the_picture(grey, world, tmp_path):
    name = "gn label_smoothing=0.1 an_extraordinarily_long_key_of_a_model=1e-05"
    cells = {f"{name}{k}": answered(world, tmp_path, {5: 0.9}) for k in range(2)}
    picture = side_by_side(grey, cells, np.array([5]), NAMES, "a heading of very many words " * 9)
    shown = np.asarray(picture)
    assert (shown[:, :GAP] == 255).all()
    assert (shown[:, -2:] == 255).all()
    assert (shown[:2] == 255).all()


def test_side_by_side_without_images_says_so(grey, world, tmp_path, words):
    cells = {"bn": answered(world, tmp_path, {})}
    assert side_by_side(grey, cells, np.array([], dtype=np.int64), NAMES, "Wrong").height == TILE
    assert words == ["Wrong: no such images"]
