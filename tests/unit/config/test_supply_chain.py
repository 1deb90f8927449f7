"""What is built and run from outside is named by what it contains, not by a name that others can move."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_whose_tag_is_moved_does_not_run(workflow: Path) -> None:
    used = re.findall(r"uses: (\S+)", workflow.read_text(encoding="utf-8"))
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action)] == []


def test_each_python_that_is_promised_is_tested_and_one_of_them_on_arm() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["run"]["strategy"]["matrix"]
    promised = re.search(r"^PYTHONS := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert promised is not None
    assert matrix["python"] == promised[1].split() == ["3.11", "3.12", "3.13", "3.14"]
    assert [tried["machine"] for tried in matrix["include"]] == ["ubuntu-24.04-arm"]


def test_the_image_is_built_on_the_base_that_was_looked_at() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "docs" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert bases
    assert [base for base in bases if not re.search(r"@sha256:[0-9a-f]{64}$", base)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_has_its_hashes_and_no_lock_names_a_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    packages = re.split(r"\n(?=\S)", text.strip())
    assert len(packages) > 20
    assert [package.partition("==")[0] for package in packages if "--hash=sha256:" not in package] == []


def test_published_weaknesses_of_what_is_locked_are_looked_for_each_week() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8"))
    (schedule,) = workflow[True]["schedule"]  # YAML 1.1 reads the key `on` as true
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    assert "make audit" in [step.get("run") for step in workflow["jobs"]["run"]["steps"]]
    audit = (ROOT / "Makefile").read_text(encoding="utf-8").split("\naudit:")[1].split("\n\n")[0]
    assert "--requirement requirements.lock" in audit
    assert "--requirement requirements-dev.lock" in audit


def test_every_weakness_that_is_passed_over_is_explained() -> None:
    passed_over = set(re.findall(r"--ignore-vuln (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert passed_over == set(
        re.findall(r"\bPYSEC-[\d-]+\d\b", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("target", ["demo", "up"])
def test_check_26_of_the_app_what_users_run_wants_no_node_and_no_browser(target: str, tmp_path: Path) -> None:
    commands = subprocess.run(  # what it would run on a new machine
        ["make", "--dry-run", target, f"VENV={tmp_path}"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    assert f"tradeactors {target}" in commands
    assert re.findall(r"\b(?:node|npm|chromium)\b", commands) == []
    assert "nodejs" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")
