"""Writes the table of a comparison in LaTeX; the document needs only the package booktabs."""

import re
import textwrap

import pandas as pd

from src.report.table import Column, notes, table_columns
from src.results.results import Results

WIDTH = 10  # characters in a line of a heading

# Characters with a meaning in TeX; the fonts of the document decide about all others.
SPECIAL = {letter: f"\\{letter}" for letter in "{}$&#%_"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "†": r"\dag{}",
}


def latex(results: Results, frame: pd.DataFrame) -> bytes:
    """The table of `as_frame` as a `table` environment; the caption explains how to read the numbers."""
    columns = table_columns(results, frame)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"  \caption{{{escape(' '.join(notes(results, frame)))}}}",
        rf"  \begin{{tabular}}{{@{{}}{''.join(map(_side, columns))}@{{}}}}",
        r"    \toprule",
        f"    {' & '.join(map(_heading, columns))} \\\\",
        r"    \midrule",
        *(_row(*texts) for texts in zip(*(column.texts for column in columns), strict=True)),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _side(column: Column) -> str:
    return "r" if column.numeric else "l"


def _heading(column: Column) -> str:
    """A heading on several lines, which keeps the table within the page."""
    kept = column.heading.replace(", ", ",\N{NO-BREAK SPACE}")  # a unit stays with its word
    lines = r"\\".join(escape(line) for line in textwrap.wrap(kept, WIDTH, break_long_words=False))
    return rf"\shortstack[{_side(column)}]{{{lines}}}"


def _row(first: str, *rest: str) -> str:
    # In braces, because TeX would read a `[` or `*` after the end of a row as its argument.
    return "    " + " & ".join([f"{{{escape(first)}}}", *map(escape, rest)]) + r" \\"


def escape(text: str) -> str:
    """Text for LaTeX, on one line; without control characters, which TeX refuses."""
    plain = re.sub(r"[\x00-\x1f\x7f]", "", " ".join(text.split()))
    return "".join(SPECIAL.get(letter, letter) for letter in plain)
