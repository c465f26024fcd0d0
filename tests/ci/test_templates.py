"""The GitHub Action and the GitLab template, whose steps are run as the services would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / "action.yml"
GITLAB = ROOT / "docs" / "ci" / "outpace.gitlab-ci.yml"


def scripts(path, key):
    """The block scalars under a key of a YAML file, in order."""
    pattern = rf"^( *)(?:- )?{key} *\|\n((?:\1 +.*\n|\n)+)"
    found = re.findall(pattern, path.read_text(), flags=re.MULTILINE)
    return [textwrap.dedent(body) for _, body in found]


def run(script, folder, **variables):
    """One step, as GitHub runs it."""
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.defpath])
    kept = {n: v for n, v in os.environ.items() if n.startswith(("XDG_", "HOME"))}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={**kept, "PATH": path, **variables},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def stand_in(scratch):
    """Puts a program first on the PATH that notes how it was called, and does as it is told."""

    def put(name, then="exit 0"):
        program = scratch.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$@" >>"$0.calls"\n{then}\n')
        program.chmod(0o755)
        return program.with_name(f"{name}.calls")

    return put


def test_no_script_holds_an_expression():
    """A title of a pull request in a script would run as one."""
    found = scripts(ACTION, "run:") + scripts(GITLAB, "")
    assert len(found) == 5
    assert not any("${{" in script for script in found)


def test_the_action_fails_a_change_that_makes_a_promotion_wrong(scratch, stand_in):
    install, compare, comment = scripts(ACTION, "run:")
    base = scratch.git("rev-parse", "HEAD")
    scratch.promote(constant="1.001")
    scratch.commit()
    clone = scratch.folder.parent / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{scratch.folder}", clone], check=True
    )
    summary = clone / "summary.md"

    assert run(install, clone, INSTALL="").returncode == 0
    variables = {"HEAD": "HEAD", "ALLOW_INCONCLUSIVE": "false", "GITHUB_STEP_SUMMARY": str(summary)}
    done = run(compare, clone, BASE=base, **variables)

    assert done.returncode == 1, done.stderr
    answer = json.loads((clone / "outpace.json").read_text())
    (found,) = answer["findings"]
    assert found["colour"] == "red"
    assert "expected" in found["reason"]
    assert found["trial"]["counterexample"]["mismatch"]["output"] == "out"
    assert ET.parse(clone / "outpace.xml").getroot().get("failures") == "1"
    assert "outpace judge" in summary.read_text()

    calls = stand_in("gh")
    shutil.copytree(calls.parent, clone / "bin")
    assert run(comment, clone, NUMBER="7").returncode == 0
    said = (clone / "bin" / "gh.calls").read_text()
    assert said == "pr comment 7 --edit-last --create-if-none --body-file outpace.md\n"


def test_the_action_passes_what_cannot_be_told_only_where_allowed(scratch, stand_in):
    _, compare, _ = scripts(ACTION, "run:")
    stand_in("outpace", "exit 3")
    asked = {"BASE": "HEAD", "HEAD": "HEAD"}
    assert run(compare, scratch.folder, ALLOW_INCONCLUSIVE="false", **asked).returncode == 3
    done = run(compare, scratch.folder, ALLOW_INCONCLUSIVE="true", **asked)
    assert done.returncode == 0
    assert done.stdout.startswith("::warning::")


def test_the_gitlab_job_passes_a_change_that_removes_a_function(scratch):
    install, compare = scripts(GITLAB, "")
    base = scratch.git("rev-parse", "HEAD")
    shutil.rmtree(scratch.folder / "promoted")
    scratch.module.unlink()
    head = scratch.commit()

    assert run(install, scratch.folder, OUTPACE_INSTALL="").returncode == 0
    commits = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base, "CI_COMMIT_SHA": head}
    done = run(compare, scratch.folder, **commits)

    assert done.returncode == 0, done.stderr
    (found,) = json.loads((scratch.folder / "outpace.json").read_text())["findings"]
    assert "removed with its promotions" in found["reason"]
