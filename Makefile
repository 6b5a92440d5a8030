# Every target does all the set-up that it needs: Python 3.11+ and make are enough.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# a worker more than cores: half of what a test does is waiting
JOBS   ?= $(shell expr 1 + $$(getconf _NPROCESSORS_ONLN))
ONCE   ?=
SEED   ?= 1
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Pure modules: values in, values out. Their branches are covered wholly.
PURE = relay/delivery/caps.py,relay/delivery/digest.py,relay/delivery/escalation.py,\
relay/delivery/fallback.py,relay/delivery/heard.py,relay/delivery/joining.py,relay/delivery/news.py,\
relay/delivery/passing.py,relay/delivery/plan.py,relay/delivery/questions.py,relay/delivery/refusals.py,\
relay/delivery/shares.py,relay/delivery/stale.py,relay/delivery/storm.py,relay/delivery/twice.py,\
relay/delivery/watch.py,relay/masking.py,relay/message/*,relay/model.py,relay/queue/followups.py,\
relay/queue/rows.py,relay/queue/states.py,relay/report/dsn.py,relay/report/entries.py,relay/report/fields.py,\
relay/report/forwarded.py,relay/report/inbox.py,relay/report/machines.py,relay/report/notices.py,\
relay/report/operator.py,relay/report/reasons.py,relay/report/spoken.py,relay/report/steps.py,\
relay/report/values.py,relay/report/words.py,\
relay/smsc/callbacks.py,relay/smsc/lists.py,relay/smsc/multipart.py,relay/smsc/outcomes.py,\
relay/smsc/reading.py,relay/smsc/wire.py,relay/smtp/answers.py,relay/smtp/auth.py,relay/smtp/dkim_body.py,\
relay/smtp/domains.py,relay/smtp/legacy.py,relay/smtp/limits.py,relay/smtp/lines.py,relay/smtp/lockout.py,\
relay/smtp/policy.py,relay/smtp/protocol.py,relay/smtp/proxy.py,relay/smtp/results.py,\
relay/smtp/signatures.py,relay/smtp/spf.py,relay/smtp/timing.py,relay/smtp/verdicts.py,relay/values.py
NOT_PURE = relay/message/reader*.py

.PHONY: help demo test check lint types imports coverage interop soak mails bench lock clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements-test.txt pyproject.toml
	$(PIP) --require-hashes -r requirements-test.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.run ## show a mail's whole journey; ONCE=1 ends after it
	@$(BIN)/python -m relay demo $(if $(ONCE),--once)

test: $(VENV)/.test ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: lint types imports coverage ## all that must hold before a change lands

lint: $(VENV)/.test ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test ## mypy, strict
	$(BIN)/mypy

imports: $(VENV)/.test ## who may import whom
	$(BIN)/lint-imports --no-logo

coverage: $(VENV)/.test ## the tests, with branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90
	$(BIN)/coverage report --fail-under=100 --include='$(PURE)' --omit='$(NOT_PURE)'

interop: $(VENV)/.test ## swaks, msmtp, curl, nodemailer, Postfix and HAProxy send to the relay, PgBouncer stands behind it; as root it installs them
	tools/interop $(BIN)/python

soak: $(VENV)/.test ## kill the relay 1,000 times, walk it 1,000 times (SEED=n chooses which), two weeks of storms, crowds, long fuzzing
	KILLS=1000 KILLS_SEED=$(SEED) $(BIN)/python -m pytest tests/stories/test_kills.py
	MODEL_EXAMPLES=1000 $(BIN)/python -m pytest --hypothesis-seed=$(SEED) tests/stories/test_model.py
	STORM_ALARMS=250000 $(BIN)/python -m pytest -n 0 --timeout 3600 tests/delivery/test_storm_laws.py
	STORM_MAILS=50000 $(BIN)/python -m pytest -n 0 tests/stories/test_storm_week.py
	CROWD=each $(BIN)/python -m pytest -n 0 tests/stories/test_crowd.py
	FUZZ=100 $(BIN)/python -m pytest -n 0 --timeout 3600 tests/test_fuzz.py tests/smtp/test_fuzz.py tests/smtp/test_fuzz_doors.py

mails: $(VENV)/.test ## write anew what the kept mails become; read the difference
	$(BIN)/python tools/kept_mails.py

bench: $(VENV)/.test ## the benchmarks, a table in Markdown with this machine's figures; QUICK=1 takes three to five minutes
	$(BIN)/python tests/bench/run.py

lock: ## resolve the locked versions anew (needs uv)
	sh tools/lock

clean: ## remove what was made here
	rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
