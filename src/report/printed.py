"""What a comparison says on a screen beside its table."""

from collections.abc import Sequence

from rich.console import Console

from src.errors.atlas import Atlas
from src.errors.atlas_words import sentences
from src.results.records import Records
from src.runs.sweep import Sweep
from src.verdict.statistics import ALPHA
from src.verdict.verdicts import Verdicts
from src.wording import counted

EFFECTS = 6  # lines that are printed
UNFINISHED = 10  # lines that are printed


def say(console: Console, line: str) -> None:
    """A line, as long as it is: paths and commands are copied from it."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def say_verdict(verdicts: Verdicts, console: Console) -> None:
    """What can be said of the cells, what each factor does, and what would say more."""
    console.print()
    for sentence in verdicts.opening:
        console.print(sentence, highlight=False, markup=False)
    decided_first = sorted(verdicts.effects, key=lambda effect: (effect.p_holm is None, (effect.p_holm or 0) >= ALPHA))
    for effect in decided_first[:EFFECTS]:
        console.print(f"  {effect.words}", highlight=False, markup=False)
    if len(verdicts.effects) > EFFECTS:
        say(console, f"  and {counted(len(verdicts.effects) - EFFECTS, 'more effect')}, in the report")
    for sentence in verdicts.left_out:
        say(console, sentence)
    if verdicts.more:
        say(console, "More seeds would tell more; choose how many, then stop:")
        for line in verdicts.more.splitlines():
            say(console, f"  {line}")


def say_unfinished(
    records: Records, sweeps: Sequence[Sweep], console: Console, *, unreadable_predictions: bool = False
) -> None:
    """The jobs that cannot be compared or lack a file, why, and how to train them."""
    told = [*records.unfinished, *records.incomplete]
    for job in told[:UNFINISHED]:
        say(console, f"{job.state}: {job.label}: {' '.join(job.reason.split())}")
    if len(told) > UNFINISHED:
        say(console, f"and {len(told) - UNFINISHED:,} more cannot be used")
    if unreadable_predictions or any(job.state != "not readable" for job in told):
        say(console, "the same command again trains what is missing, and that alone:")
        for command in dict.fromkeys(sweep.command for sweep in sweeps):
            say(console, f"  {command}")


def say_images(atlas: Atlas, console: Console, *, several: bool) -> None:
    """Tell of one dataset's images."""
    console.print()
    if several:
        console.print(f"{atlas.dataset}:", highlight=False, markup=False)
    for line in sentences(atlas):
        console.print(line, highlight=False, markup=False)
