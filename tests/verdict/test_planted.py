"""The wrong methods of `benchmarks.planted`: each claim of each preset has one, and the code has the text to change."""

import pytest

from benchmarks.planted import PLANTS, PROJECT, plant
from src.sweep.overrides import group_options
from tests.verdict.test_claims import shipped


@pytest.mark.parametrize("name", group_options()["paper"])
def test_each_claim_of_a_preset_has_a_wrong_method(name):
    planted = {claim for wrong in PLANTS if wrong.preset == name for claim in wrong.claims}
    assert planted == {number for number, _ in enumerate(shipped(name).claims, start=1)}


@pytest.mark.parametrize("wrong", PLANTS, ids=lambda wrong: f"{wrong.preset}-{wrong.claims}")
def test_the_text_of_a_change_is_in_the_code_and_the_change_is_python(wrong):
    for name in {name for name, _, _ in wrong.edits}:
        code = (PROJECT / name).read_text()
        for _, text, replacement in (edit for edit in wrong.edits if edit[0] == name):
            assert code.count(text) == 1
            code = code.replace(text, replacement)
        compile(code, name, "exec")


def test_a_text_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"config.yaml contains 'nothing like this' 0 times"):
        plant([("conf/config.yaml", "nothing like this", "")], tmp_path)
