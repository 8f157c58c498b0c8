import io
from dataclasses import replace

import pytest
from PIL import Image

from src.errors.atlas import correct_by_run, read_atlases
from src.report.augmented import MAX_PICTURES, augmented_pictures
from src.report.report import draw_report, render_html, render_markdown, report_files
from src.report.table import table_frame
from src.results.results import load_results
from src.runs.folder import AUGMENTED
from src.verdict.verdicts import judge
from tests.augmentation.reference import default


def finish(world, shade, seed=0, **keys):
    """A finished job whose picture of augmented images has one colour; `keys` are those of cutout."""
    augmentation = default("cutout", **keys) if keys else world.configuration().augmentation
    job = world.finish(replace(world.configuration(seed=seed), augmentation=augmentation), {7: 0.9})
    content = io.BytesIO()
    Image.new("RGB", (30, 20), (shade, 0, 0)).save(content, "PNG")
    if keys:
        (world.multirun / "jobs" / job.folder / AUGMENTED).write_bytes(content.getvalue())
    return job


def shades(pictures):
    return [Image.open(io.BytesIO(picture.png)).getpixel((5, 5))[0] for picture in pictures.values()]


def test_each_augmentation_has_one_picture(world):
    jobs = [finish(world, 0), *(finish(world, 10 * hole + seed, seed, hole=hole) for hole in (4, 8) for seed in (0, 1))]
    pictures = augmented_pictures(load_results([world.sweep(jobs)], world.multirun))
    assert shades(pictures) == [40, 80]
    assert [picture.description for picture in pictures.values()] == [
        f"augmentation=cutout, flip=true, hole={hole}, padding=4" for hole in (4, 8)
    ]


def test_a_damaged_or_lost_picture_is_replaced_by_that_of_another_run(world):
    jobs = [finish(world, seed, seed, hole=4) for seed in (0, 1, 2)]
    results = load_results([world.sweep(jobs)], world.multirun)
    first, second, third = (world.multirun / "jobs" / job.folder / AUGMENTED for job in jobs)
    first.write_bytes(first.read_bytes()[:-5])
    assert shades(augmented_pictures(results)) == [1]
    second.unlink()
    assert shades(augmented_pictures(results)) == [2]
    third.unlink()
    assert augmented_pictures(results) == {}


def test_a_report_shows_a_few_pictures(world):
    jobs = [finish(world, hole, hole=hole) for hole in range(1, MAX_PICTURES + 3)]
    assert len(augmented_pictures(load_results([world.sweep(jobs)], world.multirun))) == MAX_PICTURES


def test_the_report_has_a_section_only_with_an_augmentation(world):
    sweep = world.sweep([finish(world, 9, seed, hole=4) for seed in (0, 1)])
    results = load_results([sweep], world.multirun)
    atlases = read_atlases(results)
    verdicts = judge([sweep], results, correct_by_run(atlases))
    report = draw_report([sweep], results, table_frame(results, verdicts), atlases, verdicts, pytest.fail)
    files = report_files(report)
    assert files["augmented_1.png"] == report.augmented["augmented_1"].png
    assert b"augmentation=cutout, flip=true, hole=4, padding=4" in files["report.html"]
    assert b"](augmented_1.png)" in files["report.md"]
    without = replace(report, augmented={})
    for content, page in ((files["report.html"], render_html(without)), (files["report.md"], render_markdown(without))):
        assert b"What the networks saw" in content
        assert b"What the networks saw" not in page
