"""A real vLLM drafts for a real campaign, behind a server and in a process of its own.

The model's weights are random (see conftest.py): its drafts are noise, and that none is promoted
says nothing of any model. Run by `make test-vllm`, which installs vLLM, 3.5 GB, beforehand.
"""

import json
import socket
import subprocess
import sys
import urllib.request

import psutil
import pytest
from typer.testing import CliRunner

from outpace import environment
from outpace.cli.app import app
from outpace.tuner.campaign import Campaign
from outpace.tuner.exchanges import RecordedExchanges

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
START_SECONDS = 300
ROUNDS, SAMPLES = 2, 2
TOKENS = 40_000
BUDGET = ("--rounds", ROUNDS, "--samples", SAMPLES, "--max-tokens-total", TOKENS)
OPENING = '{"language": "numba", "idea": "'
"""With which the form of a reply begins."""


def tune(*arguments):
    """The object that `outpace tune --json` prints; the exit code must be 0."""
    command = ["tune", *map(str, arguments), "--json", "--quiet"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def engines_seen(monkeypatch):
    """How many engines ran whenever something was about to be built and timed."""
    seen = []

    def watched(original):
        def call(*arguments, **options):
            seen.append(engines())
            return original(*arguments, **options)

        return call

    for name in ("prepare", "explore", "compare_contenders", "confirm_best"):
        monkeypatch.setattr(Campaign, name, watched(getattr(Campaign, name)))
    return seen


def engines():
    """Processes that this one has started and in which vLLM runs."""
    lines = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    return sum("outpace.codegen.llm.engine_child" in line for line in lines)


def exchanges():
    """What the only campaign has recorded."""
    (folder,) = environment.state_dir().rglob("exchanges")
    return RecordedExchanges(folder).all()


def assert_noise_was_judged(told):
    """Every reply was asked for, held to its form, counted, and refused with a reason or judged."""
    probes = [e for e in exchanges() if e.place.startswith("probe/")]
    drafted = [e for e in exchanges() if not e.place.startswith("probe/")]
    assert [e.place for e in probes] == ["probe/structured_outputs.regex"]
    assert len(probes[0].replies) == 2
    assert all(r.text.startswith("outpace-") for r in probes[0].replies)
    replies = [reply for e in drafted for reply in e.replies]
    assert len(replies) == ROUNDS * SAMPLES
    assert all(reply.text.startswith(OPENING) for reply in replies)
    assert len({reply.text for reply in replies}) == len(replies)
    assert all(e.usage.reported and e.usage.prompt > 0 for e in exchanges())
    assert len(told["trials"]) == len(replies)
    assert all(trial["status"] == "invalid" and trial["reason"] for trial in told["trials"])
    assert told["promotion"] is None
    spent = told["spent"]["prompt_tokens"] + told["spent"]["completion_tokens"]
    assert spent == sum(e.usage.total for e in exchanges()) <= TOKENS
    written = [path for path in environment.state_dir().rglob("*") if path.is_file()]
    assert not [path for path in written if b"sk-secret" in path.read_bytes()]


# --- behind a server ----------------------------------------------------------------------------


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def server_command(folder, port, engine_options):
    """What `vllm serve` runs; the program itself needs more than the CPU build has."""
    return [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(folder), "--served-model-name", "tiny-llama"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *options_as_flags(engine_options),
    ]


def options_as_flags(options):
    """Arguments of `vllm.LLM` as the server takes them."""
    for name, value in options.items():
        yield f"--{name.replace('_', '-')}"
        if value is not True:
            yield value if isinstance(value, str) else json.dumps(value)


@pytest.fixture
def server(tiny_model, engine_options, tmp_path):
    """The address of a vLLM server that is ready."""
    port = free_port()
    command = server_command(tiny_model, port, json.loads(engine_options.read_text()))
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        members = [*psutil.Process(process.pid).children(recursive=True), process]
        process.terminate()
        for member in members:
            try:
                member.wait(timeout=20)
            except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                member.kill()


def wait_until_ready(process, address, log):
    for _ in range(START_SECONDS):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            pass
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"the server did not start:\n{log.read_text()[-4000:]}")


def test_a_server_drafts(server, reference):
    asked = ("--drafter", "openai", "--base-url", server, "--model", "tiny-llama")
    told = tune(reference, *asked, *BUDGET)
    assert_noise_was_judged(told)


# --- in a process of its own --------------------------------------------------------------------


def test_vllm_drafts_without_a_server(tiny_model, engine_options, reference, engines_seen):
    asked = ("--drafter", "vllm", "--model", tiny_model, "--engine-options", engine_options)
    told = tune(reference, *asked, *BUDGET)
    assert_noise_was_judged(told)
    assert engines_seen == [0] * len(engines_seen)
    assert len(engines_seen) >= 3 + ROUNDS
    assert engines() == 0
    assert "vllm" not in sys.modules
