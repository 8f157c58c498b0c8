"""Plants wrong methods and checks that the claims of papers notice them.

    python -m benchmarks.planted                        all; it trains each preset once or several times
    python -m benchmarks.planted ghost_bn l1_path       the wrong methods of two presets
    python -m benchmarks.planted ghost_bn seeds=3       with fewer seeds

Each wrong method is a change of one or two lines in a copy of the code.  The command trains the preset with the copy
and prints the outcomes of the claims that this change makes false.  They should be "does not hold".  The exit status
is 1 if one of them is not.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
COPIED = ("conf", "hydra_plugins", "src")
Edit = tuple[str, str, str]
"""A file, a text that it contains once, and the text that replaces it."""


@dataclass(frozen=True)
class Plant:
    """A wrong method, and the claims of a preset that are false for it."""

    preset: str
    claims: tuple[int, ...]  # the first claim is 1
    words: str  # what is wrong
    edits: tuple[Edit, ...]


def _bn(layer: str) -> Edit:
    return "src/norms/bn.py", "return kinds[layout](channels, eps=self.eps, momentum=self.momentum)", f"return {layer}"


def _gn(layer: str) -> Edit:
    return "src/norms/gn.py", "return kind(self.groups, channels, eps=self.eps)", f"return {layer}"


def _proximal(step: str) -> Edit:
    return "src/training/wrapper.py", "weight.sub_(weight.clamp(-threshold, threshold))", step


def _learning_rate(rate: str) -> tuple[Edit, Edit]:
    optimizer = f"make_optimizer(model, replace(config.optimizer, lr={rate}), config.reg)"
    return (
        ("src/job.py", "from dataclasses import asdict", "from dataclasses import asdict, replace"),
        ("src/job.py", "make_optimizer(model, config.optimizer, config.reg)", optimizer),
    )


EQUALLY_MANY_ERRORS = """right = torch.nn.functional.one_hot(splits.test.labels)
    wrong = torch.randperm(len(right), generator=torch.Generator().manual_seed(config.seed))[:100]
    right[wrong] = right[wrong].roll(1, dims=1)
    log_probabilities = (0.9 * right + 0.01).log().to(log_probabilities)
    loss, accuracy = score(log_probabilities, splits.test.labels)"""
RMS_NORM = "from src.norms.rms import RMSNorm\n\n        return RMSNorm(eps=1e-6).layer(channels, layout)"
ADAMW = 'AdamW("adamw", one.adam_lr, one.beta1, one.beta2, one.eps)'
MUON = 'Muon("muon", 0.02, one.beta1, one.beta2, one.eps, one.lr, 0.95, True)'
PLANTS = (
    Plant(
        "gn_batch_size",
        (1,),
        "bn takes the statistics of one image",
        (_bn("nn.InstanceNorm2d(channels, affine=True)"),),
    ),
    Plant("gn_batch_size", (2, 3), "gn takes the statistics of the batch", (_gn("nn.BatchNorm2d(channels)"),)),
    Plant(
        "gn_groups",
        (1, 2),
        "in and gn have four groups, whatever norm.groups is",
        (
            _gn("nn.GroupNorm(4, channels)"),
            ("src/norms/instance.py", "kind(channels, eps=self.eps, affine=True)", "nn.GroupNorm(4, channels)"),
        ),
    ),
    Plant(
        "gn_groups",
        (3,),
        "gn adds 10,000 to the variance of 8 groups",
        (_gn("kind(self.groups, channels, eps=1e4 if self.groups == 8 else self.eps)"),),
    ),
    Plant("bn_learning_rate", (1,), "bn does nothing", (_bn("nn.Identity()"),)),
    Plant(
        "bn_learning_rate",
        (2,),
        "sgd divides by the learning rate",
        (
            (
                "src/training/optimizers.py",
                "torch.optim.SGD(parameters, lr, ",
                "torch.optim.SGD(parameters, 1e-4 / lr, ",
            ),
        ),
    ),
    Plant(
        "seed_variance",
        (1,),
        "odd seeds train with a tenth of the learning rate",
        _learning_rate("config.optimizer.lr / (1 + 9 * (config.seed % 2))"),
    ),
    Plant(
        "seed_variance",
        (2,),
        "each seed has 100 errors",
        (("src/job.py", "loss, accuracy = score(log_probabilities, splits.test.labels)", EQUALLY_MANY_ERRORS),),
    ),
    Plant(
        "bn_statistics",
        (1,),
        "precise keeps the running averages",
        (("src/norms/bn.py", "recompute_statistics(model, batches)", "del model, batches"),),
    ),
    Plant(
        "bn_statistics",
        (2,),
        "running averages follow the batches 100 times more slowly",
        (("src/norms/ghost.py", "momentum=self.momentum)", "momentum=self.momentum / 100)"),),
    ),
    Plant(
        "bn_statistics",
        (3,),
        "frozen freezes the statistics of an untrained network",
        (("src/norms/bn.py", "layer.eval()", "layer.eval().reset_running_stats()"),),
    ),
    Plant(
        "ghost_bn",
        (1,),
        "batches of 4096 are batches of 128 with their learning rate",
        (
            *_learning_rate("0.1"),
            ("src/job.py", "len(splits.train) // config.data.batch_size", "len(splits.train) // 128"),
            (
                "src/training/loop.py",
                "= next(model.parameters()).device, config.data.batch_size",
                "= next(model.parameters()).device, 128",
            ),
        ),
    ),
    Plant(
        "ghost_bn",
        (2,),
        "ghost ignores norm.chunk",
        (("src/norms/ghost.py", "return kinds[layout](channels, self.chunk,", "return kinds[layout](channels, 4096,"),),
    ),
    Plant(
        "random_labels",
        (1, 3),
        "hidden layers have two units",
        (("src/models/modules/mlp.py", "super().__init__()", "super().__init__()\n        width = 2"),),
    ),
    Plant(
        "random_labels",
        (2, 4),
        "no label is random",
        (
            (
                "src/data/label_noise.py",
                "generator.random(len(labels)) < data.label_noise",
                "generator.random(len(labels)) < 0",
            ),
        ),
    ),
    Plant(
        "l1_path",
        (1,),
        "the subgradient method also takes the proximal step",
        (
            ("src/training/optimizers.py", 'reg.l1_method == "proximal"', "reg.l1"),
            ("src/training/wrapper.py", 'if self._reg.l1_method == "proximal":', "if self._reg.l1:"),
        ),
    ),
    Plant("l1_path", (2, 3), "the proximal step does nothing", (_proximal("weight.mul_(1)"),)),
    Plant(
        "l1_path",
        (4,),
        "the proximal step is 5,000 times longer",
        (_proximal("weight.mul_(weight.abs() > 5000 * threshold)"),),
    ),
    Plant(
        "effective_lr",
        (1, 2),
        "bn does nothing, and no convolution has a bias",
        (_bn("nn.Identity()"), ("src/models/modules/cnn.py", "bias=norm.is_none", "bias=False")),
    ),
    Plant(
        "adamw",
        (1,),
        "adamw multiplies the decay by the learning rate three times",
        (
            (
                "src/training/optimizers.py",
                "_decay_groups(model, reg.weight_decay)\n            return torch.optim.AdamW",
                "_decay_groups(model, (500 * lr) ** 2 * reg.weight_decay)\n            return torch.optim.AdamW",
            ),
        ),
    ),
    Plant(
        "adamw",
        (2,),
        "L2 is the decoupled decay of the paper",
        (
            ("src/training/penalties.py", "if l2 > 0:", "if l2 < 0:"),
            ("src/training/optimizers.py", "else reg.weight_decay\n", "else reg.weight_decay + reg.l2 / settings.lr\n"),
        ),
    ),
    Plant(
        "norm_x_optimizer",
        (1,),
        "derf is RMSNorm",
        (("src/norms/derf.py", "return DynamicErf(channels, layout, self.alpha)", RMS_NORM),),
    ),
    Plant(
        "norm_x_optimizer",
        (2,),
        "muon is adamw, and adamw is muon",
        (
            ("src/job.py", "from src.data.splits", "from src.options import AdamW, Muon\nfrom src.data.splits"),
            (
                "src/job.py",
                "make_optimizer(model, config.optimizer, config.reg)",
                f'make_optimizer(model, {ADAMW} if (one := config.optimizer).name == "muon" else {MUON}, config.reg)',
            ),
        ),
    ),
)


def plant(edits: Sequence[Edit], folder: Path) -> None:
    """Copy the code into a folder and change it.  Raises ValueError if a file does not contain a text exactly once."""
    for name in COPIED:
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text, replacement in edits:
        code = (folder / name).read_text(encoding="utf-8")
        if code.count(text) != 1:
            raise ValueError(f"{name} contains {text!r} {code.count(text)} times, not once")
        (folder / name).write_text(code.replace(text, replacement), encoding="utf-8")


def outcomes(wrong: Plant, words: Sequence[str]) -> list[str]:
    """Train a preset with a wrong method, and return the outcome of each claim that it makes false."""
    with tempfile.TemporaryDirectory() as folder:
        plant(wrong.edits, Path(folder))
        train = ["src.train", f"paper={wrong.preset}", "tracking=none", *words]
        for module, must_succeed in ((train, False), (["src.compare", "--json", "claims.json"], True)):
            # Training exits with 1 if runs diverge, which is a result.
            command = [sys.executable, "-m", *module]
            subprocess.run(command, cwd=folder, check=must_succeed, stdout=subprocess.DEVNULL)
        claims = json.loads((Path(folder) / "claims.json").read_text(encoding="utf-8"))["claims"]
    return [str(claims[number - 1]["outcome"]) for number in wrong.claims]


def main() -> None:
    """Plant the wrong methods of the presets that the command names, or of all, and print the outcomes."""
    words = [word for word in sys.argv[1:] if "=" in word]
    known = {wrong.preset for wrong in PLANTS}
    presets = {word for word in sys.argv[1:] if "=" not in word} or known
    if unknown := presets - known:
        sys.exit(f"no wrong method for {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(known))}")
    unnoticed = 0
    for wrong in (wrong for wrong in PLANTS if wrong.preset in presets):
        for number, outcome in zip(wrong.claims, outcomes(wrong, words), strict=True):
            print(f"{wrong.preset}, claim {number}: {outcome} ({wrong.words})", flush=True)
            unnoticed += outcome != "does not hold"
    sys.exit(1 if unnoticed else 0)


if __name__ == "__main__":
    main()
