"""Checks the words of a training command before Hydra reads them, because Hydra ignores some mistakes."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from src.bad_input import BadInput
from src.command import command_name
from src.config import KEYS
from src.pasted import refuse_special_characters
from src.runs.identity import sweep_id
from src.sweep import flags, option_cards
from src.sweep.hydra_keys import PLUGIN_GROUPS, SEARCHPATH, check_hydra_key, check_plugin, is_hydra_key
from src.sweep.overrides import check_override_words, check_overrides, group_options, override_values, parse_override
from src.sweep.papers import check_presets
from src.sweep.plain_words import AnyOverride
from src.sweep.suggestions import PRESET_GROUPS, Groups
from src.sweep.values import missing_automatic_values
from src.tracking.address import refuse_secrets

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader

KNOWN_PLUGINS = {"normlab", "hydra_optuna_sweeper"}  # plugins that add no folder to Hydra's search path
# The keys whose values may hold any character.
FREE_TEXT_KEYS = [path for path, key in KEYS.items() if key.plain_type is str and not key.choices]


def command_to_repeat() -> str:
    """Return the typed command without its `resume=` word: to repeat resume=restart would retrain finished jobs."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("resume=")]
    return f"{command_name('train')} {shlex.join(arguments)}".rstrip()


def study_id() -> str:
    """Return the id of a search, for example by Optuna: a hash of the typed words, without the command's name."""
    return sweep_id([shlex.join(["python", "-m", "src.train", *sys.argv[1:]])])


def check_command_line() -> None:
    """Check the typed words and reorder `sys.argv` as Hydra needs it. Raises BadInput for the first wrong word.

    Answers questions such as 'norm=?', and then ends the process.  Most mistakes are found without importing Hydra.
    """
    refuse_secrets(sys.argv[1:])  # checked first, because later messages repeat the words
    refuse_special_characters(sys.argv[1:], lambda name: name in FREE_TEXT_KEYS or name.startswith(("-", "hydra.")))
    arguments, sys.argv[1:] = flags.parse_flags(sys.argv[1:])
    flags.check_flags(arguments)
    groups = group_options()
    if arguments.shell_completion:
        sys.argv[1:] = flags.completion_words(arguments, groups)
        return
    questions = [word for word in arguments.overrides if option_cards.is_question(word, groups)]
    words = [word for word in arguments.overrides if word not in questions]
    check_override_words(words, groups)
    overrides = [parse_override(word, groups) for word in words]
    presets = [override for override in overrides if override.key_or_group in PRESET_GROUPS]
    has_preset = any(preset.value() for preset in presets)
    for override in overrides:
        if is_hydra_key(override.key_or_group):
            check_hydra_key(override, has_preset=has_preset)
    loader = _loader_for_command(arguments, overrides, groups)
    groups = group_options(loader)
    if questions:
        print(*(option_cards.answer(question, groups, loader) for question in questions), sep="\n\n")
        sys.exit()
    is_grid = all(override.key_or_group != "hydra/sweeper" or override.value() == "grid" for override in overrides)
    check_overrides(overrides, groups, grid=is_grid)
    check_presets(overrides)
    if loader:
        from src.sweep.option_files import check_option_file

        for override in overrides:
            name = override.key_or_group
            if name in PLUGIN_GROUPS:
                check_plugin(override, loader.get_group_options(name))
            for value in override_values(override, groups) if name in groups else ():
                check_option_file(name, str(value), loader, groups)
    _check_display_flags(arguments, overrides, groups)
    if arguments.cfg or (loader and (arguments.info or arguments.help)):
        _, sys.argv[1:] = flags.parse_flags([*sys.argv[1:], *_missing_words(arguments, loader)])
    # Hydra rejects experiment=null on the command line but accepts it in its defaults list, so drop such words here.
    null_presets = [preset.input_line for preset in presets if preset.value() is None]
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in null_presets]
    changes_hydra = any(is_hydra_key(override.key_or_group) for override in overrides)
    needs_hydra = loader or has_preset or changes_hydra or flags.changes_command(arguments)
    if not needs_hydra and _no_plugin_adds_options(overrides):
        from src.sweep.composer import check_packaged_grid  # imports PyYAML, for which a mistyped word need not wait

        check_packaged_grid([word for word in words if word not in null_presets])


def _missing_words(arguments: Namespace, loader: "ConfigLoader | None") -> list[str]:
    """Return words that set the values which users' option files leave out, and the network's own values."""
    from hydra.types import RunMode

    from src.sweep.option_files import missing_values
    from src.sweep.trees import settings_of

    loader = loader or _make_loader(arguments, [])
    words = [word for word in arguments.overrides if word not in ("experiment=null", "paper=null")]
    tree = loader.load_configuration(arguments.config_name or "config", words, RunMode.RUN)
    filled_words = [f"++{path}={value}" for path, value in missing_values(tree).items()]
    return filled_words + [f"{path}={value}" for path, value in missing_automatic_values(settings_of(tree)).items()]


def _make_loader(arguments: Namespace, locations: Sequence[str]) -> "ConfigLoader":
    from hydra._internal.utils import create_config_search_path  # private: Hydra has no public function for this

    from src.sweep.option_files import make_loader

    return make_loader(create_config_search_path(flags.main_config_folder(arguments)), locations)


def _loader_for_command(
    arguments: Namespace, overrides: Sequence[AnyOverride], groups: Groups
) -> "ConfigLoader | None":
    """Return a loader of all options on Hydra's search path, in 0.3 s; None if the package's own are enough."""
    locations = [arguments.config_dir] if arguments.config_dir else []
    for override in overrides:
        if override.key_or_group == SEARCHPATH:
            from src.sweep.option_files import check_searchpath

            locations += check_searchpath(override.value(), override.input_line or "")
    other_folders = locations or arguments.config_path or arguments.config_name
    uses_packaged_options = all(_uses_packaged_options(override, groups) for override in overrides)
    if not other_folders and (uses_packaged_options or _no_plugin_adds_options(overrides)):
        return None
    loader, name = _make_loader(arguments, locations), arguments.config_name
    if name and not any(source.is_config(name) for source in loader.get_sources()):
        folders = ", ".join([flags.main_config_folder(arguments), *locations])
        raise BadInput(f"--config-name {name}: there is no {name}.yaml", f"a file in {folders}", "--config-name config")
    return loader


def _no_plugin_adds_options(overrides: Sequence[AnyOverride]) -> bool:
    """Whether no plugin adds options and no word chooses a plugin; avoids Hydra's own scan, which takes 0.25 s."""
    spec = find_spec("hydra_plugins")
    installed = {module.name for module in iter_modules(spec.submodule_search_locations if spec else [])}
    return installed <= KNOWN_PLUGINS and not any(override.key_or_group in PLUGIN_GROUPS for override in overrides)


def _uses_packaged_options(override: AnyOverride, groups: Groups) -> bool:
    """Whether a word chooses no options, or only options of the package."""
    name, values = override.key_or_group, (override.input_line or "").partition("=")[2]
    return name not in PLUGIN_GROUPS and (name not in groups or set(values.split(",")) <= set(groups[name]))


def _check_display_flags(arguments: Namespace, overrides: Sequence[AnyOverride], groups: Groups) -> None:
    """Raise BadInput if --cfg, --info or --help would show a sweep, or if --package names a missing part."""
    swept = [override for override in overrides if override.is_sweep_override()]
    for flag in ("cfg", "info", "help"):
        if getattr(arguments, flag) and swept:
            example = f"{swept[0].key_or_group}={override_values(swept[0], groups)[0]}"
            raise BadInput(f"--{flag} shows one configuration, not {swept[0].input_line}", "one value per key", example)
    if arguments.cfg:
        flags.check_package(arguments)
