"""Settings of every test: how hard hypothesis tries, and what a marker asks for."""

import importlib.util
import os

import pytest
from hypothesis import settings

# Continuous integration tries more examples and always the same ones.
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine cannot run."""
    for extra, library in (("peers", "torch"), ("scores", "sacrebleu")):
        if item.get_closest_marker(extra) and not importlib.util.find_spec(library):
            pytest.skip(f"needs the extra `{extra}`")
    if item.get_closest_marker("gpu"):
        from minillm import backend

        for device in backend.describe():
            if device["name"] != "cpu" and not device["usable"]:
                pytest.skip(device["reason"])
