import re
import shutil
import subprocess

import pytest

from src.report.latex import SPECIAL_CHARACTERS, escape_latex, latex_table
from src.results.results import load_results
from tests.report.test_table import frame_of


@pytest.fixture
def results(world, six):
    return load_results([six], world.multirun)


def body(text):
    return text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()


def test_every_row_has_as_many_columns_as_are_declared(results):
    text = latex_table(results, frame_of(results)).decode()
    declared = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", text).group(1)
    rows = [text.split(r"\toprule")[1].split(r"\midrule")[0].strip(), *body(text)]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(declared)}
    assert all(row.endswith(r" \\") for row in rows)


def test_the_numbers_are_those_of_the_table(results):
    frame = frame_of(results)
    rows = body(latex_table(results, frame).decode())
    for row, (_, expected) in zip(rows, frame.iterrows(), strict=True):
        cells = [cell.strip() for cell in row.removesuffix(r"\\").split("&")]
        assert cells[:3] == [f"{{{expected['norm.name']}}}", "yes" if expected["may be best"] else "no", "3"]
        assert rf"$\leq$ {100 * expected['behind the best']:.2f}" in cells
        accuracy, sd = 100 * expected["test/accuracy"], 100 * expected["test/accuracy sd"]
        assert f"{accuracy:.2f} $\\pm$ {sd:.2f}" in cells


def test_a_loss_of_any_length_fits(results):
    frame = frame_of(results)
    frame.loc[0, "test/loss"] = 3.5e30
    assert "& 3.5e+30 &" in latex_table(results, frame).decode()


def test_special_characters_are_escaped():
    assert escape_latex("50 % of a_b & {c} $d$ #1 \\x") == (r"50 \% of a\_b \& \{c\} \$d\$ \#1 \textbackslash{}x")
    assert escape_latex("two\nlines\x07") == "two lines"
    assert escape_latex("ö 漢") == "ö 漢"


def test_every_special_character_is_escaped_in_the_table(results):
    frame = frame_of(results)
    frame["norm.name"] = "".join(SPECIAL_CHARACTERS)
    row = body(latex_table(results, frame).decode())[0].split(" & ")[0]
    assert row == "{" + "".join(SPECIAL_CHARACTERS.values()) + "}"


def test_the_caption_says_how_to_choose_settings(results):
    assert "choose settings by validation accuracy." in latex_table(results, frame_of(results)).decode()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: the table is NOT typeset")
def test_latex_typesets_it_within_the_margins(results, tmp_path):
    table = latex_table(results, frame_of(results)).decode()
    page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + table + "\\end{document}\n"
    (tmp_path / "page.tex").write_text(page)
    done = subprocess.run(["pdflatex", "-halt-on-error", "page.tex"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "page.pdf").exists()
    assert b"Overfull" not in done.stdout
