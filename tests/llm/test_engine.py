"""vLLM in a process of its own: what it is told, what becomes of its failures, and that it ends."""

import json
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from outpace import environment
from outpace.cli.app import app
from outpace.codegen.llm import engine_process
from outpace.codegen.llm.engine import Engine
from outpace.codegen.llm.exchange import ChatMessage
from outpace.codegen.llm.options import EngineOptions, ModelOptions
from outpace.codegen.llm.transport import ChatRequest, RequestFailed, Trouble
from outpace.errors import EnvironmentError_, StorageError, UsageError
from outpace.model import Target
from outpace.tuner.drafting import choose, draft_rounds, examine_model, open_drafter
from outpace.tuner.exchanges import FOLDER, RecordedExchanges

KEY = "sk-secret-0123456789"
PROMPT = (ChatMessage("user", "Write a kernel."),)
REQUEST = ChatRequest(PROMPT, {"max_tokens": 64, "temperature": 0.5}, {})
PLENTY = 60.0
"""Seconds that nothing takes which does not hang."""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """State of its own, and keys that no engine must see."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("OPENAI_API_KEY", "VLLM_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, KEY)


@pytest.fixture
def folder(tmp_path):
    """Of a model, as far as anybody looks here."""
    path = tmp_path / "some-model"
    path.mkdir()
    (path / "config.json").write_text("{}")
    return path


def is_running(pid):
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def engines():
    """Processes of engines that this one has started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [child.pid] if "engine" in " ".join(child.cmdline()) else []
    return found


# --- a program in the place of vLLM's process ---------------------------------------------------

SAYS = """
import json, os, subprocess, sys, time

def say(**words):
    print(json.dumps(words), flush=True)

def ready():
    sys.stdin.readline()
    say(type="Ready", context=4096)

def answer(text):
    usage = dict(type="Usage", prompt=7, completion=5)
    say(type="Answered", usage=usage, replies=[dict(type="Reply", text=text, finish_reason="stop")])

"""
BEHAVIOURS = {
    "answers": "ready()\nfor line in sys.stdin: answer(json.dumps([json.loads(line), "
    "dict(os.environ)]))",
    "dies at the start": "print('no GPU here', file=sys.stderr); sys.exit(3)",
    "fails at the start": "say(type='Failed', reason='ValueError: no such quantization')",
    "is not ready": "sys.stdin.readline(); answer('hello')",
    "hangs at the start": "time.sleep(600)",
    "hangs": "more = subprocess.Popen(['sleep', '600'])\n"
    "open(sys.argv[1], 'w').write(str(more.pid))\nready(); time.sleep(600)",
    "dies": "ready(); sys.stdin.readline(); print('out of memory', file=sys.stderr); os._exit(9)",
    "fails": "ready(); sys.stdin.readline(); say(type='Failed', reason='EngineDeadError: it died')",
    "refuses": "ready()\nfor line in sys.stdin: say(type='Refused', reason='ValueError: too long')",
    "babbles": "ready(); sys.stdin.readline(); print('INFO loading weights', flush=True)\n"
    "time.sleep(600)",
    "says nothing": "ready(); sys.stdin.readline(); say(type='Answered', replies=[], "
    "usage=dict(type='Usage', prompt=1, completion=1))\ntime.sleep(600)",
    "writes without end": "ready()\nwhile True: sys.stdout.write('x' * 65536)",
    "closes its pipes": "ready(); sys.stdin.readline(); os.close(1); time.sleep(600)",
}


@pytest.fixture
def start(tmp_path, folder):
    """Makes an engine whose process behaves like that."""
    made = []

    def start(behaviour, start_seconds=PLENTY):
        program = tmp_path / "engine.py"
        program.write_text(SAYS + BEHAVIOURS[behaviour])
        command = (sys.executable, "-S", str(program), str(tmp_path / "pid"))
        options = EngineOptions(folder, {"max_model_len": 4096}, start_seconds)
        made.append(Engine(options, tmp_path / "engine.log", command))
        return made[-1]

    yield start
    for engine in made:
        engine.rest()
    assert engines() == []


def test_an_engine_answers_until_it_rests_and_again_after_that(start):
    engine = start("answers")
    assert engine.context is None
    assert engines() == []
    first, second = (engine.send(REQUEST, PLENTY) for _ in range(2))
    assert engine.context == 4096
    assert (first.usage.prompt, first.usage.completion, first.usage.reported) == (7, 5, True)
    assert first.replies[0].finish_reason == "stop"
    assert len(engines()) == 1
    engine.rest()
    assert engines() == []
    third = engine.send(REQUEST, PLENTY)
    asked = [json.loads(done.replies[0].text)[0] for done in (first, second, third)]
    assert asked[0]["prompt"][0]["content"] == "Write a kernel."
    assert len({ask.pop("seed") for ask in asked}) == 3
    told = {"samples": 1, "reply_tokens": 64, "temperature": 0.5, "form": None}
    assert all(told.items() <= ask.items() for ask in asked)


def test_no_key_reaches_the_engine_and_nothing_is_downloaded(start, monkeypatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    _, variables = json.loads(start("answers").send(REQUEST, PLENTY).replies[0].text)
    assert KEY not in json.dumps(variables)
    assert variables["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert variables["HF_HUB_OFFLINE"] == variables["VLLM_NO_USAGE_STATS"] == "1"


@pytest.mark.parametrize(
    ("behaviour", "trouble", "message"),
    [
        ("dies at the start", Trouble.NO_ENGINE, "exit code 3; no GPU here"),
        ("fails at the start", Trouble.NO_ENGINE, "ValueError: no such quantization"),
        ("is not ready", Trouble.NO_ENGINE, "it is not ready"),
        ("dies", Trouble.ENGINE_ENDED, "exit code 9; out of memory"),
        ("fails", Trouble.ENGINE_ENDED, "EngineDeadError"),
        ("refuses", Trouble.REJECTED, "ValueError: too long"),
        ("babbles", Trouble.MALFORMED, "JSON is malformed"),
        ("says nothing", Trouble.MALFORMED, "it holds no replies"),
        ("writes without end", Trouble.MALFORMED, "it is longer than 1 MiB"),
        ("closes its pipes", Trouble.ENGINE_ENDED, "it closed its pipe"),
    ],
)
def test_an_engine_that_fails_says_why_and_is_gone(start, monkeypatch, behaviour, trouble, message):
    monkeypatch.setattr(engine_process, "MOST_BYTES", 1 << 20)
    with pytest.raises(RequestFailed, match=message) as failed:
        start(behaviour).send(REQUEST, PLENTY)
    assert failed.value.trouble is trouble
    assert not failed.value.is_temporary
    if trouble is not Trouble.REJECTED:
        assert "engine.log" in str(failed.value)
        assert engines() == []


@pytest.mark.parametrize(
    ("behaviour", "trouble"),
    [("hangs at the start", Trouble.NO_ENGINE), ("hangs", Trouble.SLOW)],
)
def test_an_engine_that_hangs_is_ended_with_all_it_has_started(start, tmp_path, behaviour, trouble):
    engine = start(behaviour, start_seconds=0.3 if trouble is Trouble.NO_ENGINE else PLENTY)
    # Longer than a pipe holds, so that writing it waits as well.
    long = ChatRequest((ChatMessage("user", "x" * 300_000),), REQUEST.parameters, {})
    with pytest.raises(RequestFailed, match="nothing within 0 s") as failed:
        engine.send(long, 0.3)
    assert failed.value.trouble is trouble
    assert engines() == []
    if behaviour == "hangs":
        assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_log_that_cannot_be_written_is_told(folder, tmp_path):
    (tmp_path / "file").write_text("")
    engine = Engine(EngineOptions(folder), tmp_path / "file" / "engine.log")
    with pytest.raises(StorageError, match=r"engine.log cannot be written"):
        engine.send(REQUEST, PLENTY)


def test_forms_of_other_servers_are_refused_without_a_start(start):
    with pytest.raises(RequestFailed, match="no such parameter") as failed:
        start("answers").send(ChatRequest(PROMPT, REQUEST.parameters, {"grammar": "root"}), PLENTY)
    assert failed.value.trouble is Trouble.REJECTED
    assert engines() == []


# --- vLLM's process, with a package in the place of vLLM ----------------------------------------

PACKAGE = '''
import os, re, sys, time
from types import SimpleNamespace
from typing import Any
import msgspec

class SamplingParams(msgspec.Struct):
    n: int = 1
    max_tokens: int = 16
    temperature: float = 1.0
    top_p: float = 0.9
    seed: int | None = None
    structured_outputs: Any = None

class LLM:
    def __init__(self, model, max_model_len=16384, **arguments):
        print("loading", model)  # on stdout, where answers would be
        assert os.path.isfile(os.path.join(model, "config.json"))
        if arguments:
            raise TypeError(f"unexpected argument {sorted(arguments)[0]!r}")
        self.model_config = SimpleNamespace(max_model_len=max_model_len)

    def get_default_sampling_params(self):
        return SamplingParams(top_p=0.5)

    def chat(self, messages, params, use_tqdm):
        assert params.top_p == 0.5 and use_tqdm is False
        text = messages[-1]["content"]
        if "Ask for ever" in text:
            time.sleep(600)
        if params.max_tokens == 512:  # the probe
            form = params.structured_outputs
            assert form.regex == "outpace-[0-9]{4}"
            texts = [f"outpace-{1000 + i}" for i in range(params.n)]
        else:
            texts = [REPLY.replace("FACTOR", str(params.seed + i)) for i in range(params.n)]
        outputs = [SimpleNamespace(text=t, finish_reason="stop", token_ids=[0] * 9) for t in texts]
        return [SimpleNamespace(prompt_token_ids=[0] * 100, outputs=outputs)]

REPLY = """{"language": "numba", "idea": "times FACTOR"}
```python
def kernel(u, factor, out):
    out[:] = u * factor + FACTOR
```
"""
'''
SAMPLING = """
class StructuredOutputsParams:
    def __init__(self, regex):
        if "(c)" in regex:
            raise ValueError("this form cannot be compiled")
        self.regex = regex
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package vllm that loads nothing and replies at once."""
    path = tmp_path / "packages" / "vllm"
    path.mkdir(parents=True)
    (path / "__init__.py").write_text(PACKAGE)
    (path / "sampling_params.py").write_text(SAMPLING)
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setenv("PYTHONPATH", str(path.parent))


@pytest.fixture
def options(folder):
    """Makes options of a model that this package replies for."""

    def make(arguments=None, **changes):
        fields = {"rounds": 2, "samples": 3, "reply_tokens": 400, "request_seconds": PLENTY}
        engine = EngineOptions(folder, arguments or {})
        return ModelOptions(None, folder.name, **{**fields, **changes}, engine=engine)

    return make


class Judged:
    """Stands for a campaign; notes what was explored, and which engines ran meanwhile."""

    def __init__(self, reference):
        self.reference, self.target, self.trials = reference, Target("x86_64", "some cpu", 2), ()
        self.is_spent = False
        self.explored, self.engines = [], []
        self.observer = SimpleNamespace(notice=lambda message: None)
        self.evaluator = SimpleNamespace(timed=list, refuse=lambda draft, reason: None)

    def explore(self, drafts, share):
        self.explored.append(drafts)
        self.engines += engines()


@pytest.mark.usefixtures("package")
def test_a_campaign_is_drafted_without_a_server(options, reference, tmp_path):
    choice = choose("vllm", ("numba",), options(prices=None, most_tokens=100_000))
    drafter = open_drafter(choice, tmp_path)
    assert drafter.name == "vllm"
    assert engines() == []
    campaign = Judged(reference)
    drafting = draft_rounds(campaign, drafter, choice)
    assert [len(drafts) for drafts in campaign.explored] == [3, 3]
    assert campaign.engines == []
    assert engines() == []
    assert "vllm" not in sys.modules
    recorded = RecordedExchanges(tmp_path / FOLDER).all()
    assert recorded[0].place == "probe/structured_outputs.regex"
    assert {e.model for e in recorded} == {"some-model"}
    assert drafting.spent.prompt_tokens == 100 * len(recorded)
    assert drafting.spent.completion_tokens == 9 * sum(len(e.replies) for e in recorded)
    origin = campaign.explored[0][0].provenance
    assert (origin.drafter, origin.model) == ("vllm", "some-model")
    assert "loading" in (tmp_path / "engine.log").read_text()
    # What was recorded needs no engine.
    (tmp_path / "engine.log").unlink()
    again = Judged(reference)
    draft_rounds(again, open_drafter(choice, tmp_path), choice)
    assert again.explored == campaign.explored
    assert not (tmp_path / "engine.log").exists()


@pytest.mark.usefixtures("package")
def test_what_an_engine_can_do_is_found_out(options):
    found = examine_model(options({"max_model_len": 3000}))
    assert found.context == 3000
    assert found.abilities.enforcement is not None
    assert found.abilities.several
    assert found.abilities.usage
    with pytest.raises(EnvironmentError_, match=r"in vLLM gives no drafts.*argument 'speed'"):
        examine_model(options({"speed": 2}))


@pytest.mark.usefixtures("package")
def test_a_form_that_vllm_refuses_is_an_answer(folder, tmp_path):
    engine = Engine(EngineOptions(folder), tmp_path / "engine.log")
    form = {"structured_outputs": {"regex": "(c)"}}
    with pytest.raises(RequestFailed, match="cannot be compiled") as failed:
        engine.send(ChatRequest(PROMPT, REQUEST.parameters, form), PLENTY)
    assert failed.value.trouble is Trouble.REJECTED
    assert len(engine.send(REQUEST, PLENTY).replies) == 1
    engine.rest()


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("text", "code"), [("Be quick", 0), ("Ask for ever", -signal.SIGKILL)])
def test_an_engine_whose_drafter_is_gone_ends(folder, text, code):
    program = """
        import sys
        from outpace.codegen.llm import engine_child
        engine_child._PATIENCE = float(sys.argv[1])
        engine_child.main()
    """
    patience = 0.1 if code else 60
    command = [sys.executable, "-c", textwrap.dedent(program), str(patience)]
    ask = {
        "prompt": [{"type": "ChatMessage", "role": "user", "content": text}],
        "samples": 1,
        "reply_tokens": 9,
        "temperature": 1.0,
        "seed": 1,
        "form": None,
    }
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment.engine_variables(),
        start_new_session=True,
    )
    with child:
        child.stdin.write(json.dumps({"folder": str(folder), "arguments": {}}).encode() + b"\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"type": "Ready", "context": 16384}
        child.stdin.write(json.dumps(ask).encode() + b"\n")
        child.stdin.close()
        assert child.wait(PLENTY) == code


# --- who may be asked ---------------------------------------------------------------------------


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no folder with a config.json; .* nothing is downloaded"):
        EngineOptions(tmp_path)


def test_another_model_among_the_arguments_is_refused(folder):
    with pytest.raises(UsageError, match="write --model FOLDER instead"):
        EngineOptions(folder, {"model": "other"})


def test_a_model_is_behind_a_server_or_in_an_engine(folder):
    for address, engine in ((None, None), ("http://localhost/v1", EngineOptions(folder))):
        with pytest.raises(UsageError, match="one of them"):
            ModelOptions(address, "m", engine=engine)


def test_a_missing_vllm_is_told_with_what_to_install(options, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EnvironmentError_, match=r"pip install 'outpace\[vllm\]'"):
        open_drafter(choose("vllm", ("numba",), options()), tmp_path)


@pytest.mark.parametrize(
    ("names", "served", "message"),
    [
        ("openai,vllm", False, "ask openai or vllm"),
        ("vllm", True, "write --model FOLDER"),
        ("openai", False, "write --model NAME and --base-url"),
        ("builtin", False, "the drafter vllm is not asked"),
    ],
)
def test_drafters_and_models_that_do_not_fit_are_refused(options, names, served, message):
    model = ModelOptions("http://localhost/v1", "m") if served else options()
    with pytest.raises(UsageError, match=message):
        choose(names, ("numba",), model)


def test_campaigns_of_other_models_and_arguments_are_told_apart(options, folder):
    told = [options(), options({"seed": 1}), ModelOptions("http://localhost/v1", folder.name)]
    assert len({model.identity for model in told}) == 3
    assert str(folder.parent) not in options().identity


MODULE = """
import numpy as np
import outpace
from jaxtyping import Float64

@outpace.optimize(workloads={"small": {"n": 64}})
def scale(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    return u * factor
"""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--drafter", "vllm", "--model", "nowhere"], 2, "no folder with a config.json"),
        (["--drafter", "vllm", "--model", "m", "--base-url", "http://h/v1"], 2, "asks no server"),
        (["--engine-options", "e.json"], 2, "needs --drafter vllm"),
        (
            ["--drafter", "vllm", "--model", "FOLDER", "--engine-options", "e.json"],
            2,
            "no JSON object of arguments",
        ),
        (["--drafter", "vllm", "--model", "FOLDER"], 4, "outpace[vllm]"),
    ],
)
def test_the_command_line_says_what_is_missing(
    folder, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.json").write_text("[1]")
    (tmp_path / "module_without_engine.py").write_text(MODULE)
    given = [str(folder) if a == "FOLDER" else a for a in arguments]
    done = CliRunner().invoke(app, ["tune", "module_without_engine.py:scale", *given])
    assert done.exit_code == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
