"""Checks the preset that `paper=NAME` chooses, before anything runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.bad_input import BadInput
from src.sweep.overrides import CONF_FOLDER
from src.sweep.plain_words import AnyOverride
from src.sweep.suggestions import PRESET_GROUPS


def check_presets(overrides: Sequence[AnyOverride]) -> None:
    """Raise BadInput if the words choose two presets, a paper that cannot be tested, or `scale` without a paper."""
    chosen = {name: override for override in overrides if (name := override.key_or_group) in PRESET_GROUPS}
    chosen = {name: override for name, override in chosen.items() if override.value() is not None}
    words = [override.input_line or "" for override in chosen.values()]
    if len(words) > 1:
        raise BadInput(f"{' and '.join(words)} are two presets", "one of them", words[0])
    values: dict[str, Any] = {override.key_or_group: override.value() for override in overrides}
    if "paper" not in chosen:
        if values.get("scale") == "full":
            raise BadInput("scale=full changes a paper's preset, but this command chooses none", "paper=...")
        return
    if values.get("hydra/sweeper", "grid") != "grid":
        raise BadInput(f"{words[0]} needs all combinations of its grid", write="hydra/sweeper=grid")
    name = values["paper"]
    file = CONF_FOLDER / "paper" / f"{name}.yaml"
    if file.is_file():  # the sweeper checks a user's own file, which may lie in another folder
        import yaml  # type: ignore[import-untyped]  # PyYAML ships no types
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        from src.runs.paper_schema import parse_paper

        try:
            stated = OmegaConf.select(OmegaConf.load(file), "hydra.sweeper.paper")
        except (yaml.YAMLError, OmegaConfBaseException, OSError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"{file} cannot be read: {reason}", "YAML with one KEY: VALUE per line") from error
        parse_paper(name, OmegaConf.to_container(stated) if OmegaConf.is_config(stated) else stated)


def preset_params(params: Mapping[str, Any], full: Mapping[str, Any] | None, scale: str) -> dict[str, Any]:
    """Return a preset's overrides for a scale.  With `scale=full`, those in `full` replace the others.

    Raises BadInput if the preset has no full scale.
    """
    if scale == "small":
        return dict(params)
    if not full:
        raise BadInput("scale=full is not possible: this paper's preset has no full scale", write="scale=small")
    return {**params, **full}
