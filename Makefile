# Two commands matter: `make lab` opens the course, `make test` proves it.
# Both make .venv first where it is missing or out of date.
#   make lab PORT=8899 ARGS=--no-browser
#   make test ARGS="-k bundle"
#   make lab PYTHON=python3.12

PYTHON ?= $(shell command -v python3 || command -v python)
ifeq ($(strip $(PYTHON)),)
$(error no Python was found: install Python 3.11 or newer, or name one: make lab PYTHON=/path/to/python3.12)
endif

.PHONY: lab test env labs lock help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -5

lab:
	@"$(PYTHON)" course.py lab $(if $(PORT),--port "$(PORT)") $(ARGS)

test:
	@"$(PYTHON)" course.py test $(ARGS)

env:
	@"$(PYTHON)" course.py env $(ARGS)

# labs/ out of solutions/
labs:
	@"$(PYTHON)" course.py labs $(ARGS)

# make bench-grading, bench-monitoring, bench-serving: measure; print a table, write bench/NAME.json
bench-%:
	@"$(PYTHON)" course.py bench $* $(ARGS)

# requirements.lock and requirements-test.lock out of pyproject.toml
lock:
	@"$(PYTHON)" course.py lock $(ARGS)
