"""Where jobs run: as processes of this machine, or by an engine on other machines."""
