"""Fixtures for all tests."""

import sys
from pathlib import Path

# Tests import each other's fixtures as ``tests.…``, from whichever folder pytest was started.
sys.path.insert(0, str(Path(__file__).parents[1]))

pytest_plugins = ["tests.postgres", "tests.world"]
