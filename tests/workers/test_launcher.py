"""The sweeper recognises our launchers, although Hydra imports plugin modules twice, and only it makes a grid."""

import subprocess
import sys

import pytest

from src.sweep.overrides import CONF_FOLDER

MADE_BY_HYDRA = """
import sys
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
import src.sweep.trees  # stores a configuration that conf/config.yaml uses

with initialize_config_dir(sys.argv[1], version_base="1.3"):
    config = compose("config", sys.argv[2:], return_hydra_config=True)
    config.hydra.job.config_name = "config"
    config.hydra.job.name = "train"
    context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=None)
    sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=None, config=config)
print(sweeper._uses_normlab_launcher, "_trials" in vars(sweeper._launcher))
"""


@pytest.mark.parametrize(("launcher", "recognised"), [("local", "True False"), ("basic", "False False")])
def test_the_sweeper_recognises_our_launchers(launcher, recognised):
    words = [sys.executable, "-c", MADE_BY_HYDRA, str(CONF_FOLDER), f"hydra/launcher={launcher}"]
    done = subprocess.run(words, cwd=CONF_FOLDER.parent, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == recognised
