"""Measurements that are quoted in the README, each a command."""
