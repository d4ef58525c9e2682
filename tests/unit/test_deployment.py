"""What stands in deploy/ is valid, and names only commands, settings and figures that there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from services.cli import app
from services.figures import Figures
from services.settings import settings_table

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = "1.37"
USAGE = typer.BadParameter.__mro__[1]
"""What the command line raises for words that it does not take."""


def tool(name: str) -> str:
    """A program that is in no Python package: `.ci/run` puts it beside Python."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None and not os.environ.get("CONSENTRY_CI"):
        pytest.skip(f"{name} is not here; `.ci/run` fetches it")
    assert found is not None, f"{name} is missing"
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(run(tool("kubectl"), "kustomize", str(DEPLOY / "kubernetes"))))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def pods(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in manifests:
        if one["kind"] in ("Deployment", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def exists(words: list[str]) -> bool:
    """Whether the command line has a command of these words, which take what follows."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return False
        command, words = command.commands[words[0]], words[1:]
    try:
        command.make_context("consentry", list(words))
    except USAGE:
        return False
    return True


def test_the_compose_file_follows_the_published_schema() -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
        str(DEPLOY / "compose.yaml"))  # fmt: skip


def test_every_manifest_is_in_the_kustomization_and_follows_the_published_schema(
    manifests: list[dict[str, Any]],
) -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]
    there = {file.name for file in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert set(listed) == there - {"kustomization.yaml"}
    for one in manifests:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    kinds = {one["kind"] for one in manifests}
    assert {"Deployment", "Job", "HorizontalPodAutoscaler", "PodDisruptionBudget",
            "NetworkPolicy", "Ingress"} <= kinds  # fmt: skip


def test_every_command_that_a_container_runs_is_there(
    manifests: list[dict[str, Any]], compose: dict[str, Any]
) -> None:
    asked = [container["args"] for _, pod in pods(manifests) for container in pod["containers"]]
    for service in compose["services"].values():
        if service["image"].startswith("consentry"):
            asked.append(service["command"])
            check = service.get("healthcheck", {}).get("test", ["CMD", "consentry", "doctor"])
            assert check[:2] == ["CMD", "consentry"]
            asked.append(check[2:])
    assert len(asked) > 10
    assert [words for words in asked if not exists(words)] == []
    assert not exists(["serve", "nothing"]), "the check can tell"


def test_every_setting_that_is_named_is_there() -> None:
    there = set(re.findall(r"`([A-Z_]+)`", settings_table())) | {"CONSENTRY_CONSOLE_ORIGIN"}
    named = set()
    for file in (DEPLOY / "compose.yaml", DEPLOY / "Dockerfile", *DEPLOY.glob("kubernetes/*.yaml")):
        named |= set(re.findall(r"\bCONSENTRY_[A-Z_]+\b", file.read_text()))
    assert named - there == set()


def test_every_pod_is_locked_down_and_answers_probes(manifests: list[dict[str, Any]]) -> None:
    budgets = {one["metadata"]["name"] for one in manifests if one["kind"] == "PodDisruptionBudget"}
    seen = set()
    for name, pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            inside = container["securityContext"]
            assert inside["readOnlyRootFilesystem"]
            assert inside["capabilities"]["drop"] == ["ALL"]
            assert inside["allowPrivilegeEscalation"] is False
            if name != "migrate":
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
                assert name in budgets
        seen.add(name)
    assert seen == {"api", "console", "portal", "worker", "migrate"}


def test_services_of_the_compose_file_are_locked_down_too(compose: dict[str, Any]) -> None:
    ours = [one for one in compose["services"].values() if one["image"].startswith("consentry")]
    assert len(ours) == 5
    for service in ours:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    assert compose["networks"]["inside"]["internal"]
    assert "outside" not in compose["services"]["portal"]["networks"]
    assert "outside" not in compose["services"]["database"]["networks"]
    assert [name for name, one in compose["services"].items() if "ports" in one] == ["proxy"]


def test_the_image_copies_what_there_is_and_nothing_else_reaches_its_build() -> None:
    root = DEPLOY.parent
    let_in = {
        line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = set()
    for words in re.findall(
        r"^COPY (?!--)(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    ):
        copied |= set(words.split()[:-1])
    assert copied == let_in
    assert all((root / name).exists() for name in copied)
    assert "USER 10001" in (DEPLOY / "Dockerfile").read_text()


def figures() -> set[str]:
    """The names under which a service's and a worker's figures are served."""
    source = (DEPLOY.parent / "services/api/metrics.py").read_text()
    names = set(re.findall(r'"(consentry_[a-z_]+)"', source))
    names |= {family.name for family in Figures().registry.collect()}
    with_ends = {
        name + end for name in names for end in ("", "_total", "_bucket", "_sum", "_count")
    }
    return with_ends | {"up", "ALERTS"}


def expressions() -> dict[str, str]:
    """Every expression of the dashboard and of the rules."""
    found = {}
    for panel in json.loads((DEPLOY / "observability/dashboard.json").read_text())["panels"]:
        for number, target in enumerate(panel.get("targets", ())):
            found[f"{panel['title']} {number}"] = target["expr"]
    for group in yaml.safe_load((DEPLOY / "observability/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            found[rule["alert"]] = rule["expr"]
    return found


def test_every_figure_that_a_rule_or_a_panel_asks_for_is_served() -> None:
    served, asked = figures(), expressions()
    assert len(asked) > 25
    for title, expression in asked.items():
        names = set(re.findall(r"\b(consentry_[a-z_]+|up)\b(?=[{\[ )]|$)", expression))
        assert names, title
        assert names <= served, (title, names - served)


def test_every_rule_fires_when_it_must_and_is_quiet_when_all_is_well() -> None:
    folder = DEPLOY / "observability"
    run(tool("promtool"), "test", "rules", str(folder / "alerts_test.yaml"))
    tested = (folder / "alerts_test.yaml").read_text()
    for group in yaml.safe_load((folder / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert tested.count(rule["alert"]) >= 2, f"{rule['alert']} is tested both ways"
            assert rule["annotations"]["do"], "whoever is called knows what to do"


def test_every_panel_asks_in_words_that_prometheus_understands(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions().values())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    run(tool("promtool"), "check", "rules", str(file))
