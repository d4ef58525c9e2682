"""Fixtures for all tests."""

import os
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import httpx
import pytest

# As the services do it, before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Tests import each other's fixtures as ``tests.…``, from whichever folder pytest was started.
sys.path.insert(0, str(Path(__file__).parents[1]))

# Each client reads all certificates of the world anew, for 30 ms of processor time, and the tests
# make thousands of clients. The certificates are the same ones.
_contexts = lru_cache(httpx.create_ssl_context)
httpx.create_ssl_context = _contexts
import_module("httpx._transports.default").create_ssl_context = _contexts

pytest_plugins = ["tests.postgres", "tests.world"]

# These look at a deployment from outside: what they run of the pipeline is covered by tests that
# are nearer to it, and tracing doubles what they cost.
_FROM_OUTSIDE = (
    "acceptance/",
    "test_api",
    "test_cli",
    "test_client",
    "test_console",
    "test_crashes",
    "test_device_hashing",
    "test_faces_leave_nothing",
    "test_openapi",
    "test_portal",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have coverage look away from tests that look from outside."""
    for item in items:
        if any(name in item.nodeid for name in _FROM_OUTSIDE):
            item.add_marker(pytest.mark.no_cover)
