"""Writes the table of a comparison as LaTeX.  The LaTeX document needs only the package booktabs."""

import re
import textwrap

import pandas as pd

from src.report.table import Column, column_rows, table_columns, table_notes
from src.results.results import Results

HEADING_WIDTH = 10  # characters; a longer heading is broken into several lines

# TeX code for characters that are special in TeX.  All other characters are left to the document's fonts.
SPECIAL_CHARACTERS = {letter: f"\\{letter}" for letter in "{}$&#%_"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "†": r"\dag{}",
}


def latex_table(results: Results, frame: pd.DataFrame) -> bytes:
    """The comparison table as a LaTeX `table` environment, with a caption that explains how to read the numbers."""
    columns = table_columns(results, frame)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"  \caption{{{escape_latex(' '.join(table_notes(results, frame)))}}}",
        rf"  \begin{{tabular}}{{@{{}}{''.join(map(_alignment, columns))}@{{}}}}",
        r"    \toprule",
        f"    {' & '.join(map(_latex_heading, columns))} \\\\",
        r"    \midrule",
        *(_latex_row(*texts) for texts in column_rows(columns)),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _alignment(column: Column) -> str:
    return "r" if column.numeric else "l"


def _latex_heading(column: Column) -> str:
    """Break a heading into short lines, so the table fits on a page."""
    heading = column.heading.replace(", ", ",\N{NO-BREAK SPACE}")  # keeps a unit on the line of its word
    lines = r"\\".join(escape_latex(line) for line in textwrap.wrap(heading, HEADING_WIDTH, break_long_words=False))
    return rf"\shortstack[{_alignment(column)}]{{{lines}}}"


def _latex_row(first: str, *rest: str) -> str:
    # The braces keep TeX from reading a `[` or `*` at the start of a row as an argument of the previous `\\`.
    return "    " + " & ".join([f"{{{escape_latex(first)}}}", *map(escape_latex, rest)]) + r" \\"


def escape_latex(text: str) -> str:
    """Escape text for LaTeX, on one line, without the control characters that TeX refuses."""
    plain = re.sub(r"[\x00-\x1f\x7f]", "", " ".join(text.split()))
    return "".join(SPECIAL_CHARACTERS.get(letter, letter) for letter in plain)
