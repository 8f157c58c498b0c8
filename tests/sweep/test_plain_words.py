"""Plain words are read as by Hydra's parser, which takes 0.15 s to import."""

import json
import random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from src.sweep.plain_words import PlainWord, parse_plain_word

KEYS = ["norm", "reg.l1", "hydra/launcher", "a-b.c_d", "_x", "a.1", "1a", "$a", "a@b", "+a", "~a"]
PIECES = ["null", "NULL", "true", "False", "inf", "-nan", "1", "0", "12", "1_0", "-3", "+4", ".5", "1.", "1e-5", "1E5"]
PIECES += ["e5", "_", "a", "gn", "x1", "00", "1e400", "9" * 20, *"-+/*%@|:,,,.n", "\\:"]
OTHER_PIECES = ["?", "$", "\\", " ", "=", "(", "'", '"', "[", "]", "é", "\n", "${a}", "9" * 5000]
ITEMS = ['"a b"', '"norm=gn norm.groups=2,4"', '"é"', "1", "-2"]
OTHER_ITEMS = ["x", "01", '"$a"', '""', "'a'", " 1", "[1]", "1.5"]


def draw_words(count: int) -> list[str]:
    draw = random.Random(1)
    words = []
    for _ in range(count):
        more = draw.random() < 0.1
        if draw.random() < 0.2:
            value = f"[{','.join(draw.choices(ITEMS + OTHER_ITEMS * more, k=draw.randrange(4)))}]"
        elif draw.random() < 0.1:
            value = f"range({','.join(draw.choices(['0', '3', '-2', '10', '1'], k=draw.randrange(1, 4)))})"
        else:
            value = "".join(draw.choices(PIECES + OTHER_PIECES * more, k=draw.randrange(6)))
        words.append(f"{draw.choice(KEYS if more else KEYS[:5])}={value}")
    return words


def answers(word: PlainWord | Override) -> list[object]:
    """All that normlab asks a word for; `repr` distinguishes 1, 1.0 and True, and equals itself for nan."""
    value, swept = word.value(), word.is_sweep_override()
    if not swept:
        values = [repr(value), word.get_value_element_as_str()]
    elif hasattr(value, "step"):
        values = [value.start, value.stop, value.step, *word.sweep_string_iterator()]
    else:
        values = [*map(repr, word.sweep_iterator(transformer=lambda item: item)), *word.sweep_string_iterator()]
    forms = (word.is_delete(), word.is_add(), word.is_force_add(), word.is_interval_sweep(), word.is_discrete_sweep())
    return [swept, values, forms, word.key_or_group, word.package, word.input_line]


def test_a_plain_word_is_read_as_by_hydra():
    plain = [word for word in map(parse_plain_word, draw_words(2000)) if word]
    assert len(plain) > 1000
    parsed = OverridesParser.create().parse_overrides([word.input_line for word in plain])
    for word, override in zip(plain, parsed, strict=True):
        assert answers(word) == answers(override)


@pytest.mark.parametrize(
    "word",
    [
        *(
            "norm",
            "~norm",
            "+norm=gn",
            "norm@x=gn",
            "a.1=2",
            "norm='gn'",
            "norm=b(n",
            "seed=range(3.5)",
            "seed=range(1,3,0)",
            "seed=range(01)",
            "a=${b}",
        ),
        *("a={b:1}", "a=b c", "a=[b]", 'a=["b", "c"]', "a=[1", "a=b,,c", "a=b,", "a=???", "a=é", "a=b\n"),
        f"a={'9' * 5000}",
    ],
)
def test_other_words_are_left_to_hydra(word):
    assert parse_plain_word(word) is None


def test_a_word_of_the_command_line_that_a_refusal_suggests_is_plain():
    cells = ["norm=none", "norm=gn norm.groups=2,4"]
    word = parse_plain_word(f"sweep.cells={json.dumps(cells, separators=(',', ':'))}")
    assert word is not None
    assert word.value() == cells
