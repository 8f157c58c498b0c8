import numpy as np

from src.errors.atlas import read_atlases
from src.errors.labels import Suspect
from src.figures.side_by_side import COLUMN_WIDTH, draw_predictions_side_by_side
from src.pictures.tiles import GAP, TILE_SIZE
from src.results.results import load_results

NAMES = ("a", "b", "c", "d")


def answers(world, **cells):
    """The answers by norm; each seed of a norm misclassifies some images, with the given confidence."""
    jobs = [
        world.finish(world.configuration(norm, seed), wrong)
        for norm, seeds in cells.items()
        for seed, wrong in enumerate(seeds)
    ]
    (atlas,) = read_atlases(load_results([world.sweep(jobs)], world.multirun))
    return dict(atlas.cells)


def names_of_5(cells):
    """The label of image 5, and the class that is predicted where it is wrong."""
    label = next(iter(cells.values())).label[5]
    return NAMES[label], NAMES[(label + 1) % 4]


def corners(picture, columns, rows):
    """The colour just inside each answer's corner, row by row."""
    tops = [picture.height - (rows - row) * (TILE_SIZE + GAP) for row in range(rows)]
    lefts = [TILE_SIZE + 2 * GAP + column * COLUMN_WIDTH for column in range(1, columns + 1)]  # after the labels
    return [[picture.getpixel((left + 3, top + 3)) for left in lefts] for top in tops]


def test_side_by_side_frames_the_cells_that_are_wrong(grey, world):
    cells = answers(world, bn=[{5: 0.9, 6: 0.8}], gn=[{5: 0.7}])
    picture = draw_predictions_side_by_side(grey, cells, np.array([5, 6]), NAMES, "wrong")
    wrong, paper = (253, 227, 211), (255, 255, 255)
    assert corners(picture, 2, 2) == [[wrong, wrong], [wrong, paper]]
    for row, index in enumerate((5, 6)):
        top = picture.height - (2 - row) * (TILE_SIZE + GAP)
        assert picture.getpixel((GAP + TILE_SIZE // 2, top + TILE_SIZE // 2)) == (8 * index,) * 3


def test_several_seeds_answer_by_majority_with_mean_confidence_and_votes(grey, world, words):
    cells = answers(world, bn=[{5: 0.9}, {5: 0.7}, {}])
    draw_predictions_side_by_side(grey, cells, np.array([5]), NAMES, "Heading")
    wrong = names_of_5(cells)[1]
    assert words[-3:] == [wrong, "54%", "2/3"]  # (0.9 + 0.7 + 0.1 / 3) / 3
    assert words[0] == "Heading"


def test_a_cell_that_is_wrong_in_several_ways_is_framed_though_the_label_leads(grey, world):
    cells = answers(world, bn=[{}, {5: 0.4}, {5: 0.4}])
    bn = cells["bn"]
    bn.runs["bn s2"].predicted[5] = (bn.label[5] + 2) % 4
    bn.votes[5], bn.predicted[5] = 1, bn.label[5]
    assert bn.wrong[5]
    picture = draw_predictions_side_by_side(grey, cells, np.array([5]), NAMES, "wrong")
    assert corners(picture, 1, 1) == [[(253, 227, 211)]]


def test_one_seed_needs_no_votes(grey, world, words):
    cells = answers(world, bn=[{5: 0.9}])
    draw_predictions_side_by_side(grey, cells, np.array([5]), NAMES, "Heading")
    assert words[-2:] == [names_of_5(cells)[1], "90%"]
    assert not [word for word in words if "seeds" in word]


def test_suspected_labels_stand_beside_what_is_suggested(grey, world, words):
    suspects = [Suspect(5, 1, 2, 0.75, 0.93)]
    cells = answers(world, bn=[{5: 0.9}])
    draw_predictions_side_by_side(grey, cells, np.array([5]), NAMES, "Heading", suspects)
    start = words.index("label")
    assert words[start : start + 7] == ["label", names_of_5(cells)[0], "#5", "suggested", "c", "93%", "75% runs"]


def test_long_labels_and_headings_stay_inside_the_picture(grey, world):
    name = "gn label_smoothing=0.1 an_extraordinarily_long_key_of_a_model=1e-05"
    (bn,) = answers(world, bn=[{5: 0.9}]).values()
    cells = {f"{name}{k}": bn for k in range(2)}
    picture = draw_predictions_side_by_side(grey, cells, np.array([5]), NAMES, "a heading of very many words " * 9)
    shown = np.asarray(picture)
    assert (shown[:, :GAP] == 255).all()
    assert (shown[:, -2:] == 255).all()
    assert (shown[:2] == 255).all()


def test_side_by_side_without_images_says_so(grey, world, words):
    cells = answers(world, bn=[{}])
    assert draw_predictions_side_by_side(grey, cells, np.array([], dtype=np.int64), NAMES, "Wrong").height == TILE_SIZE
    assert words == ["Wrong: no such images"]
