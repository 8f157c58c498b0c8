"""'norm=?' lists the options of a group, and 'norm=gn?' shows the card of one option."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.config import KEYS, OPTIONS
from src.sweep.option_cards import answer
from src.sweep.overrides import CONF_FOLDER, group_options
from src.sweep.suggestions import GROUP_NODES, PRESET_GROUPS

GROUPS = group_options()
OPTION_WORDS = [f"{group}={option}" for group, options in GROUPS.items() for option in options]
PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("group", GROUPS)
def test_each_option_has_a_description_that_fits_on_its_line(group):
    heading, *lines, example = answer(f"{group}=?", GROUPS).splitlines()
    assert heading == f"The options of {group}:"
    assert [line.split()[0] for line in lines] == GROUPS[group]
    too_long = [line for line in lines if len(line) > 80 or line.endswith("...")]
    assert not too_long, "shorten the first line of these files in conf/"
    assert all(re.search(r"\w.{8,}[^.]\.$", line) for line in lines), "end the first line with a full stop"
    assert example.endswith(f"'{group}={GROUPS[group][0]}?'")


@pytest.mark.parametrize("word", OPTION_WORDS)
def test_a_card_has_the_whole_comment_and_each_key_once(word):
    card, (group, _, option) = answer(f"{word}?", GROUPS), word.partition("=")
    lines = (CONF_FOLDER / group / f"{option}.yaml").read_text(encoding="utf-8").splitlines()
    comment = [line.removeprefix("#") for line in lines if line.startswith("#") and "@package" not in line]
    assert " ".join(" ".join(comment).split()) in " ".join(card.split())
    assert card.splitlines()[0] == word
    assert all(len(line) <= 80 for line in card.splitlines() if group not in PRESET_GROUPS)
    node = GROUP_NODES.get(group, group)
    for path in KEYS:
        is_read = path.startswith(f"{node}.") and (not KEYS[path].read_by or option in KEYS[path].read_by)
        if node == "reg":  # these files set only what differs from regularization=none
            is_read &= f"\n{path.removeprefix('reg.')}:" in "\n".join(lines)
        if is_read and not path.endswith(".name") and word != "tracking=none":
            assert len(re.findall(rf"^  {re.escape(path)}=\S", card, re.M)) == 1


def test_a_card_explains_what_only_the_docstring_says():
    for word in ("norm=gn", "model=resnet", "norm=bn"):
        group, _, option = word.partition("=")
        first_paragraph, _, rest = OPTIONS[group][option].__doc__.partition("\n\n")
        card = " ".join(answer(f"{word}?", GROUPS).split())
        assert " ".join(rest.split()) in card
        assert " ".join(first_paragraph.split()) not in card


def test_the_card_of_a_network_names_its_learning_rates_and_images():
    card = " ".join(answer("model=vit?", GROUPS).split())
    assert "It accepts images of 8 x 8 to 256 x 256 pixels, in steps of 4." in card
    assert "60 epochs, and the peak learning rate is 0.003 with adam," in card


def test_a_users_options_are_listed_and_shown(run, tmp_path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm/gn2.yaml").write_text(f"# Two groups{' for a long time' * 9}.\nname: gn\ngroups: 2  # two\n")
    (tmp_path / "norm/gn4.yaml").write_text("name: gn\ngroups: 4\n")
    for folder in (f"--config-dir={tmp_path}", f"hydra.searchpath=[file://{tmp_path}]"):
        status, text, _ = run(folder, "norm=?", "norm=gn2?")
        assert status == 0
        assert re.search(r"^  gn2 +Two groups for a long .* \.\.\.$", text, re.M)
        assert re.search(r"^  gn4 +name: gn, groups: 4$", text, re.M)
        assert re.search(r"^  bn +BatchNorm: ", text, re.M)  # the package's own options are there too
        assert "\n\nnorm=gn2\n\nTwo groups for a long" in text
        assert "\n  norm.groups=2  two\n" in text


def test_an_unknown_option_and_a_damaged_file_are_refused(refused, tmp_path):
    assert refused("model=resnt?").splitlines() == [
        "normlab: model=resnt is not known; did you mean resnet?",
        f"  allowed: {', '.join(GROUPS['model'])}",
        "  write: 'model=resnet?'",
    ]
    for word in ("norm=bn,gn?", "norm=???"):  # no questions, because Hydra reads a list and a missing value
        assert "is not known" in refused(word)
    assert "('norm=?' explains them)" in refused("norm=xyz")
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm/huge.yaml").write_text("#" * 2**20 + "\n")
    assert "huge.yaml cannot be read" in refused(f"--config-dir={tmp_path}", "norm=?")


def test_the_answer_needs_no_torch():
    code = "import sys; from src.train import main; sys.argv[1:] = ['norm=?']\ntry: main()\n"
    code += "except SystemExit as end: print(end.code, *{'torch', 'numpy', 'mlflow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "None"
