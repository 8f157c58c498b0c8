"""A paper's figure and claims are checked field by field, in a preset and in a sweep's manifest."""

import copy
import json
from dataclasses import replace

import pytest

from src.bad_input import BadInput
from src.runs.paper_schema import parse_paper
from src.runs.sweep import PlannedJob, Sweep, read_sweep
from src.storage.files import write_json
from src.storage.stored import sealed

CLAIM = {"claim": "bn is worse", "slope": {"norm": "bn"}, "minus": {"norm": ["gn", "ln"]}, "at_most": 0}
PAPER = {
    "title": "T",
    "source": "S",
    "x": "data.batch_size",
    "x_scale": "log2",
    "lines": "norm",
    "published": {"of": "ResNet", "x": [2, 4], "lines": {"bn": [3, None], "in": 5}},
    "claims": [CLAIM],
}


def changed(path, value):
    """`PAPER` with one value changed, or removed if `value` is `...`; `path` names keys and positions."""
    paper = copy.deepcopy(PAPER)
    *parents, last = path.split("/")
    node = paper
    for name in parents:
        node = node[int(name)] if isinstance(node, list) else node[name]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return paper


def test_names_of_groups_stand_for_the_keys_of_options():
    paper = parse_paper("name", PAPER)
    (claim,) = paper.claims
    assert (claim.kind, claim.of, claim.minus) == ("slope", {"norm.name": ("bn",)}, ({"norm.name": ("gn", "ln")},))
    assert (paper.lines, claim.measure) == ("norm.name", "test error")
    assert paper.published.lines == {"bn": (3, None), "in": 5}


def test_x_can_be_a_product_or_names_and_a_claim_can_add_and_subtract_several_selections():
    interaction = {
        "claim": "gn gains more with sgd",
        "mean": {"norm": "gn", "optimizer": "sgd"},
        "minus": [{"norm": "gn", "optimizer": "adam"}, {"norm": "bn", "optimizer": "sgd"}],
        "plus": {"norm": "bn", "optimizer": "adam"},
        "at_most": 0,
    }
    paper = parse_paper("name", {**PAPER, "x": "optimizer", "x_scale": "names", "claims": [interaction]})
    assert paper.x == ("optimizer.name",)
    (claim,) = paper.claims
    assert claim.selections == (claim.of, *claim.minus, *claim.plus)
    assert [selection["norm.name"] for selection in claim.selections] == [("gn",), ("gn",), ("bn",), ("bn",)]
    shift = {"claim": "it moves", "shift_of_best": {"norm": "bn"}, "strength": ["optimizer.lr", "reg.l2"], "at_most": 0}
    paper = parse_paper("name", {**PAPER, "x": ["optimizer.lr", "reg.l1"], "claims": [shift]})
    assert (paper.x, paper.claims[0].strength) == (("optimizer.lr", "reg.l1"), ("optimizer.lr", "reg.l2"))


WRONG = [
    ("titel", "x", "has no key titel; did you mean title?"),
    ("title", ..., "lacks title"),
    ("title", "\ud800", "has title="),
    ("claims", [], "has claims=a list, not a list of 1 to 20 claims"),
    ("claims", [3], "claim 1 is 3, not KEY: VALUE pairs"),
    ("x", "norm", "has x='norm', not a key of a job with numbers as values"),
    ("x", "threadz", "has x='threadz'"),
    ("x", "plan", "has x='plan'"),
    ("x", ..., "claim 1: slope needs a numeric x of the paper"),
    ("x_scale", "log", "has x_scale='log', not linear, log2, log10, names"),
    ("measure", "accuracy", "has measure='accuracy', not test error"),
    ("lines", "nrom", "has lines='nrom'"),
    ("published/x", [2, None], "published has x=a list, not a list of numbers"),
    ("published/lines/bn", [1], "'bn' needs one number, or as many as x has"),
    ("published/lines/bn", [1, float("inf")], "'bn' needs one number"),
    ("published/on", "x", "published has no key on"),
    ("claims/0/slop", {"norm": "bn"}, "claim 1 has no key slop; did you mean slope?"),
    ("claims/0/slope", ..., "claim 1 needs exactly one kind"),
    ("claims/0/mean", {"norm": "bn"}, "claim 1 needs exactly one kind, not mean and slope"),
    ("claims/0/slope", {"nrom": "bn"}, "claim 1, slope: there is no key nrom; did you mean norm?"),
    ("claims/0/slope", {"norm": "batchnorm"}, "norm='batchnorm' cannot be used"),
    ("claims/0/slope", {"data.batch_size": [8, 0]}, "data.batch_size=0 cannot be used"),
    ("x", ["optimizer.lr", "norm"], "has x=a list, not a key of a job with numbers as values"),
    ("x", [], "has x=a list"),
    ("x_scale", "names", "claim 1: slope needs a numeric x of the paper"),
    ("claims/0/minus", "gn", "has minus='gn', not KEY: VALUE pairs"),
    ("claims/0/minus", [], "has minus=a list, not KEY: VALUE pairs, or a list of them"),
    ("claims/0/plus", [{"nrom": "bn"}], "claim 1, plus: there is no key nrom; did you mean norm?"),
    ("claims/0/strength", "reg.l2", "shift_of_best and strength belong together"),
    ("claims/0/strength", "norm", "has strength='norm', not a key of a job with numbers"),
    ("claims/0/over", {"norm": "gn"}, "claim 1 cannot use minus"),
    ("claims/0/at_most", ..., "claim 1 has no bound"),
    ("claims/0/at_most", "0", "has at_most='0', not a finite number"),
    ("claims/0/at_least", 1, "at_least=1 is larger than at_most=0"),
    ("claims/0/trains_below", 50, "largest_trained and trains_below belong together"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_a_mistake_is_refused_with_its_place(path, value, words):
    with pytest.raises(BadInput) as refused:
        parse_paper("name", changed(path, value))
    assert str(refused.value).startswith("normlab: paper=name")
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3


@pytest.mark.parametrize("paper", [None, [], "x", {}])
def test_no_paper_is_refused(paper):
    with pytest.raises(BadInput):
        parse_paper("name", paper)


def test_a_manifest_stores_the_paper_and_checks_it(tmp_path):
    job = PlannedJob("0" * 64, "bn_s0-00000000", "bn s0", "bn", {"norm.name": "bn"})
    sweep = Sweep("f" * 64, "python -m src.train paper=mine", 1, ["seed"], [job])
    sweep.write(tmp_path)
    manifest = sweep.folder(tmp_path) / "manifest.json"
    assert "paper" not in json.loads(manifest.read_text())
    assert read_sweep(manifest) == sweep
    with_paper = replace(sweep, paper=parse_paper("mine", PAPER))
    with_paper.write(tmp_path)
    assert read_sweep(manifest) == with_paper
    stored = json.loads(manifest.read_text())
    for paper in ({**PAPER}, [], {"name": 3, **PAPER}, {"name": "mine", **changed("claims/0/at_most", "0")}):
        write_json(manifest, sealed({**stored, "paper": paper}))
        with pytest.raises(BadInput, match=r"has a (wrong )?paper"):
            read_sweep(manifest)
