# `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: install
install: .venv/.complete ## Make .venv with the modelops command

.venv/.complete: pyproject.toml requirements/dev.txt e2e/clients/javascript/package-lock.json tools/venv.sh
	bash tools/venv.sh

.PHONY: demo
demo: install ## Serve a tiny model on Kubernetes and chat with it
	$(PY) -m e2e.demo up

.PHONY: demo-down
demo-down: ## Take away all that `make demo` made, except the cache
	python3 -m e2e.demo down

.PHONY: kubeconfig
kubeconfig: ## Print the path of the local cluster's kubeconfig
	@python3 -m e2e.cluster kubeconfig

.PHONY: lint
lint: install ## Style, types, architecture
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

.PHONY: test-fast
test-fast: lint ## The inner loop: lint and all tests that need no cluster
	$(PY) -m pytest tests -m "not slow" --ignore tests/integration -n 2 --dist loadfile -q

.PHONY: test
test: install ## Everything: lint, unit, integration on a real apiserver, e2e on a real cluster
	$(PY) -m e2e.suite

.PHONY: bench
bench: install ## Measure, as ratios in one run; writes build/bench/*.json and docs/benchmarks.md
	$(PY) -m e2e.bench
	$(MAKE) --no-print-directory bench-schema

.PHONY: bench-schema
bench-schema: install ## Ask the gateway 12,500 things that its OpenAPI document allows or not
	$(PY) -m pytest tests/gateway/test_schema.py -q --cases 1000 --record

.PHONY: bench-prefix
bench-prefix: install ## Measure prefix-aware routing beside least requests, on two vLLM engines
	$(PY) -m e2e.bench.prefix

.PHONY: bench-overload
bench-overload: install ## Measure what a model still does when it is asked for three times too much
	$(PY) -m e2e.bench.overload

.PHONY: bench-gateway
bench-gateway: install ## Measure the gateway beside bare Envoy, nginx, litellm and vllm-router
	$(PY) -m e2e.bench.gateway

.PHONY: bench-scaling
bench-scaling: install ## Measure scaling: on a trace, beside KEDA and an oracle, and from zero, beside real KEDA
	$(PY) -m e2e.bench.scaling

.PHONY: bench-builds
bench-builds: install ## Measure a build beside the bare tool, and what a hundred equal ones start
	$(PY) -m e2e.bench.builds

.PHONY: bench-quantization
bench-quantization: install ## Measure what each method of quantization saves, costs and loses; goes on after a kill
	$(PY) -m e2e.bench.quantization

.PHONY: bench-jobs
bench-jobs: install ## Measure the job queue: workers and Redis killed, what is lost and how long jobs wait
	$(PY) -m e2e.bench.jobs

.PHONY: lock
lock: ## Resolve the pinned, hashed requirements anew
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	  --group dev pyproject.toml -o requirements/dev.txt
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml -o operator/requirements.txt

.PHONY: generate
generate: install ## Write what is made from the types: CRDs, reference, golden files
	$(PY) -m grpc_tools.protoc -Isrc --python_out=src --pyi_out=src \
	  src/modelops/gateway/demand/externalscaler.proto
	.venv/bin/modelops crd --out crds
	.venv/bin/modelops reference --out docs/reference
	.venv/bin/modelops openapi > docs/reference/openapi.json
	$(PY) -m pytest tests/golden tests/chart/test_golden.py tests/gateway/test_render.py -q --update-golden

.PHONY: clean-all
clean-all: demo-down ## Remove the virtual environment, builds and the whole cache
	python3 -m e2e.cluster purge
	rm -rf .venv build e2e/clients/javascript/node_modules
