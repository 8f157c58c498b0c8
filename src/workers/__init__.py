"""Jobs become processes, on this machine or by an engine on others."""
