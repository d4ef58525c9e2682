"""Fixtures for all tests."""

import os
import sys
from pathlib import Path

# As the services do it, before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Tests import each other's fixtures as ``tests.…``, from whichever folder pytest was started.
sys.path.insert(0, str(Path(__file__).parents[1]))

pytest_plugins = ["tests.postgres", "tests.world"]
