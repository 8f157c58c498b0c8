"""The comparison's table in LaTeX, for a paper: needs the package booktabs alone."""

import re
import textwrap

import pandas as pd

from src.report.columns import TableRows, table_notes, table_rows
from src.results.records import Records

WIDTH = 10  # characters of a line of a heading

# What TeX would read as a command; everything else, of any script, is left to the document's fonts.
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "†": r"\dag{}",
}


def latex(records: Records, frame: pd.DataFrame) -> bytes:
    """A `table` environment with a caption that says by which rule the numbers were made.

    Args:
        records: what is compared.
        frame: its table, as `as_frame` makes it.
    """
    table = table_rows(records, frame)
    said = " ".join(table_notes(records, frame))
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"  \caption{{{escape(said)}}}",
        rf"  \begin{{tabular}}{{@{{}}{''.join('r' if numeric else 'l' for numeric in table.numeric)}@{{}}}}",
        r"    \toprule",
        _headings(table),
        r"    \midrule",
        *map(_row, table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _headings(table: TableRows) -> str:
    """On several lines, so that the table of a sweep of two things is no wider than a page."""
    stacked = []
    for heading, numeric in zip(table.headings, table.numeric, strict=True):
        kept = heading.replace(", ", ",\N{NO-BREAK SPACE}")  # a unit stays with its word
        lines = r"\\".join(escape(line) for line in textwrap.wrap(kept, WIDTH, break_long_words=False))
        stacked.append(rf"\shortstack[{'r' if numeric else 'l'}]{{{lines}}}")
    return "    " + " & ".join(stacked) + r" \\"


def _row(texts: tuple[str, ...]) -> str:
    # In braces: behind a line's end TeX would read a first `[` or `*` as its own.
    first, *others = [escape(text) for text in texts]
    return "    " + " & ".join([f"{{{first}}}", *others]) + r" \\"


def escape(text: str) -> str:
    """A text as LaTeX prints it, on one line; control characters, which TeX refuses, are left out."""
    plain = re.sub(r"[\x00-\x1f\x7f]", "", " ".join(text.split()))
    return "".join(SPECIAL.get(letter, letter) for letter in plain)
