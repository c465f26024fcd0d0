"""A language model of 0.8 million random weights, made on the spot, and a reference to tune.

Its drafts are noise. What is shown with it is the plumbing: that a real vLLM is started, asked,
held to a form, counted and ended.
"""

import json
import sysconfig
from pathlib import Path

import pytest

CONTEXT = 3584
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "vocab_size": 2048,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "dtype": "float32",
}
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
TUNED = """
import numpy as np
import outpace
from jaxtyping import Float64

@outpace.optimize(workloads={"small": {"n": 3000}}, inputs={"u": outpace.Uniform(-1, 1)})
def bent(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    a = u * factor
    b = a * a + u
    return np.where(b > 0.0, b * u, -b) - a
"""

ENGINE_OPTIONS = {
    "load_format": "dummy",
    "enforce_eager": True,
    "gpu_memory_utilization": 0.05,
    "kv_cache_memory_bytes": 64 << 20,
    "distributed_executor_backend": "uni",
    "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
}
"""What makes vLLM small and quick; dummy weights are random ones."""
VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
"""What a machine of two cores needs."""


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a Llama, with a tokenizer trained on the standard library's sources."""
    from tokenizers import ByteLevelBPETokenizer

    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    folder.mkdir()
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train(
        [str(path) for path in sources],
        vocab_size=CONFIG["vocab_size"],
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": CONTEXT,
        "chat_template": CHAT,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """State, cache and data of its own, a small vLLM, and a key that nobody must see."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "tuned_by_noise.py"
    path.write_text(TUNED)
    return f"{path}:bent"


@pytest.fixture
def engine_options(tmp_path):
    path = tmp_path / "engine.json"
    path.write_text(json.dumps(ENGINE_OPTIONS))
    return path
