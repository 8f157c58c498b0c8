"""A plan notes unwise settings in at most two lines."""

from dataclasses import replace

import pytest

from src.models.vit import ViT
from src.norms.bn import BatchNorm
from src.norms.ghost import GhostBatchNorm
from src.sweep.notes import note_lines
from tests.world import configuration


def batches(norm, size):
    config = configuration(norm)
    return replace(config, data=replace(config.data, batch_size=size))


@pytest.mark.parametrize(("size", "images"), [(1, "1 image"), (4, "4 images")])
def test_a_small_batch_is_noted_for_norms_that_use_it(size, images):
    assert note_lines([batches("gn", size), batches("bn", size)]) == [
        f"note: norm=bn with statistics of {images} is noisy; try norm.stats=precise or norm=gn"
    ]


def test_larger_batches_and_other_norms_have_no_note():
    precise = replace(batches("bn", 2), norm=BatchNorm(eps=1e-5, momentum=0.1, stats="precise"))
    assert note_lines([batches("bn", 5), batches("gn", 1), batches("none", 1), precise]) == []


def test_a_small_chunk_is_noted_although_its_batch_is_large():
    ghost = replace(batches("bn", 64), norm=GhostBatchNorm(eps=1e-5, momentum=0.1, chunk=2))
    assert note_lines([ghost])[0].startswith("note: norm=ghost with statistics of 2 images is noisy")


def test_an_l2_penalty_before_a_norm_is_noted():
    (note,) = note_lines([configuration("none", l2=1e-4), configuration("ln", l2=1e-4)])
    assert note.startswith("note: before a norm, reg.l2 mainly changes the weights' effective learning rate")
    assert len(note) <= 120


def test_weights_that_no_norm_follows_have_no_note():
    before = replace(configuration("ln", l2=1e-4), model=ViT(width=12, depth=1, heads=2))  # its norms come first
    assert note_lines([configuration("none", l2=1e-4), configuration("ln", l1=1e-4), before]) == []


def test_a_dry_run_prints_the_notes(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    small = ["data=synthetic", "data.images=40", "data.validation=10", "data.batch_size=2", "plan=true"]
    status, text, _ = run(*small, "norm=bn", "reg.l2=1e-4")
    assert status == 0
    assert [line.partition(" ")[2][:12] for line in text.splitlines() if line.startswith("note:")] == [
        "norm=bn with",
        "before a nor",
    ]
