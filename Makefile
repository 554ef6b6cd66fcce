# adl-server: one non-recursive Makefile. `make help` lists the targets.

VERSION := $(shell cat VERSION)
CC ?= cc
PKG_CONFIG ?= pkg-config
# With ASan and UBSan the unit tests take 224 s of processor time to compile so, and 521 s at the
# levels of the program.
CFLAGS ?= $(if $(SAN),-O1 -g1,-O2 -g)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

# Where things are installed; each variable can be set on the command line.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions
ZSHCOMPDIR ?= $(DATADIR)/zsh/site-functions
FISHCOMPDIR ?= $(DATADIR)/fish/vendor_completions.d
SYSTEMDUNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc

# A flavour is a set of compiler flags with its own directory below BUILD:
# make SAN=address|undefined|thread|address,undefined, make COVERAGE=1
BUILD ?= build
SAN ?=
COVERAGE ?=
WERROR ?=
comma := ,
# The libraries of another machine below one directory (tests/arm/sysroot.sh makes it), to build
# for that machine: make CC=aarch64-linux-gnu-gcc BUILD=build-arm
SYSROOT ?= $(abspath $(wildcard $(BUILD)/sysroot))
MACHINE := $(shell $(CC) -dumpmachine)
ARCH := $(firstword $(subst -, ,$(MACHINE)))
ifneq ($(SYSROOT),)
override CC += --sysroot=$(SYSROOT)
PKG_CONFIG := env PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) \
	PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(MACHINE)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig \
	$(PKG_CONFIG)
endif
OBJ := $(BUILD)/$(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(if $(COVERAGE),coverage,release))
PROGRAM := $(if $(SAN)$(COVERAGE),$(OBJ)/adl-server,$(BUILD)/adl-server)
UNIT := $(OBJ)/unit-tests

# The code that the sanitizers add makes GCC warn about paths that cannot be taken.
SAN_CFLAGS = -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-Wno-format-truncation -Wno-maybe-uninitialized
# Of the program's files, not of the tests': they compute the expected values slowly
# enough. The counters are not atomic, which would make the kernels many times slower;
# a lost count does not matter where only zero or not is asked.
COVERAGE_CFLAGS = $(if $(COVERAGE),$(if $(filter tests/%,$<),,--coverage -Wno-maybe-uninitialized))
# STATIC=1: a program that opens no library, of libraries that are all static and without TLS
# (docs/deploy/static.sh makes them). TLS= leaves TLS out of another program too.
STATIC ?=
TLS ?= $(if $(STATIC),,1)
PACKAGES := libmicrohttpd $(if $(TLS),gnutls) jansson libjpeg libwebp spng zlib nettle expat \
	yaml-0.1 $(if $(STATIC),openblas)
ifneq ($(STATIC),)
override PKG_CONFIG += --static
endif
# What the sanitizers write down of each variable and line are millions of addresses, which every start of
# a program that may lie anywhere would correct.
PIE := $(if $(SAN),-fno-pie,-fPIE)
PROJECT_CFLAGS := -std=c11 -D_GNU_SOURCE -Iengine -I. \
	-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-fno-math-errno -ffp-contract=off $(PIE) -fstack-protector-strong -pthread \
	-DADL_VERSION='"$(VERSION)"' \
	$(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null) \
	$(if $(STATIC),-DADL_STATIC) $(if $(TLS),,-DADL_NO_TLS) \
	$(if $(WERROR),-Werror) \
	$(if $(SAN),$(SAN_CFLAGS),-D_FORTIFY_SOURCE=2)
# musl gives threads a stack of 128 KiB where the program does not say how much they need.
PROJECT_LDFLAGS := $(if $(STATIC),-static-pie -Wl$(comma)-z$(comma)stack-size=8388608,-pie) -Wl,-z,relro,-z,now -pthread $(if $(SAN),-no-pie -fsanitize=$(SAN)) \
	$(if $(COVERAGE),--coverage)
LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lm -ldl

ENGINE_SRC := $(wildcard engine/*/*.c engine/*/*/*.c)
MODELS_SRC := $(wildcard models/*.c models/*/*.c)
SERVER_SRC := $(wildcard server/*.c server/*/*.c)
ASSETS_SRC := $(wildcard server/*/*.S)
TEST_SRC := $(filter-out $(if $(TLS),,tests/server/api/test_server_tls.c),\
	$(wildcard $(foreach d,support models engine/* server/*,tests/$d/*.c)))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
# Everything below web/ is part of the page but what its pictures were drawn from.
WEB_FILES := $(sort $(filter-out web/examples/%.svg,$(shell find web -type f ! -name '.*'))) \
	server/api/openapi.json

objects = $(patsubst %,$(OBJ)/%.o,$(1))
ENGINE_OBJ := $(call objects,$(ENGINE_SRC) $(MODELS_SRC))
SERVER_OBJ := $(call objects,$(SERVER_SRC) $(ASSETS_SRC))
TEST_OBJ := $(call objects,$(TEST_SRC))
FUZZ_OBJ := $(call objects,$(FUZZ_SRC) tests/fuzz/driver.c)
FUZZERS := $(FUZZ_SRC:%.c=$(OBJ)/%)
# The unit tests are linked with everything but main().
TESTED_OBJ := $(ENGINE_OBJ) $(filter-out %/main.c.o,$(SERVER_OBJ))

.PHONY: all help
all: $(PROGRAM)
#: make                 build the program: build/adl-server
#: make V=1             show the commands; SAN=address,undefined|thread: with sanitizers
#: make WERROR=1        warnings are errors; BUILD=DIR: another build directory;
#:                      CC=aarch64-linux-gnu-gcc: for another machine, with its libraries in SYSROOT=DIR

help:
	@sed -n 's/^#: //p' Makefile

$(PROGRAM): $(ENGINE_OBJ) $(SERVER_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PROJECT_LDFLAGS) -o $@ $^ $(LIBS) $(LDLIBS)

$(UNIT): $(TESTED_OBJ) $(TEST_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PROJECT_LDFLAGS) -o $@ $^ $(LIBS) -lcunit $(LDLIBS)

# With a sanitizer's checks, unrolled loops take minutes to compile at -O3.
LOOPS_O := $(if $(SAN),-O1,-O3)
# So would tiles of many pixels (grouped_loops.h, depthwise_wide_loops.h).
TILES := $(if $(SAN),-DADL_SMALL_TILES)
# Only the kernel files, and one that resizes, may use instructions beyond the baseline of the
# architecture, because the program decides at run time which of them it calls. Kernels alone may
# contract a product and a sum to an FMA. The files of another architecture are compiled to nothing.
ifeq ($(ARCH),x86_64)
FLAGS_avx2 := -mavx2 -mfma -ffp-contract=fast
FLAGS_avx512 := -mavx512f -mavx512dq -mavx512vl $(FLAGS_avx2)
FLAGS_engine/kernels/avx2.c := $(LOOPS_O) $(FLAGS_avx2) $(TILES)
FLAGS_engine/kernels/avx2_strassen.c := $(LOOPS_O) $(FLAGS_avx2)
FLAGS_engine/kernels/avx2_winograd.c := $(LOOPS_O) $(FLAGS_avx2)
FLAGS_engine/kernels/avx512.c := $(LOOPS_O) $(FLAGS_avx512) $(TILES)
FLAGS_engine/kernels/avx512_strassen.c := $(LOOPS_O) $(FLAGS_avx512)
FLAGS_engine/kernels/avx512_winograd.c := $(LOOPS_O) $(FLAGS_avx512)
# The last bits of 8-bit inference are defined without FMA (engine/kernels/int8.h).
FLAGS_engine/kernels/avx2_int8.c := $(LOOPS_O) -mavx2
FLAGS_engine/kernels/avx2_vnni_int8.c := $(LOOPS_O) -mavx2 -mavxvnni
FLAGS_engine/kernels/avx512_int8.c := $(LOOPS_O) -mavx2 -mavx512f -mavx512bw -mavx512vl \
	-mavx512vnni
# Resizing has no sums that could be contracted.
FLAGS_engine/image/resize_avx2.c := -mavx2
FLAGS_engine/kernels/avx512_bf16.c := $(LOOPS_O) $(FLAGS_avx512) -mavx512bw -mavx512bf16
else ifeq ($(ARCH),aarch64)
# Every processor of 64 bits has NEON and FMA.
FLAGS_engine/kernels/neon.c := $(LOOPS_O) -ffp-contract=fast $(TILES)
FLAGS_engine/kernels/neon_strassen.c := $(LOOPS_O) -ffp-contract=fast
FLAGS_engine/kernels/neon_winograd.c := $(LOOPS_O) -ffp-contract=fast
FLAGS_engine/kernels/neon_dot_int8.c := $(LOOPS_O) -march=armv8.2-a+dotprod
endif
FLAGS_engine/kernels/generic.c := $(LOOPS_O) $(TILES)
# The vectors that GCC 12 makes of its matrix product read rows that do not exist.
FLAGS_engine/kernels/generic_int8.c := $(LOOPS_O) -fno-tree-vectorize
# Class maps are made while the engine waits, and loops over enlarged maps are much of what a small
# network leaves to do.
$(foreach f,boxes cam localize map_rule scoremap,$(eval FLAGS_engine/wsol/$f.c := $(LOOPS_O)))
FLAGS_engine/plan/class_weights.c := $(LOOPS_O)
# Tests include their helpers as "support/NAME.h".
$(foreach f,$(TEST_SRC) $(FUZZ_SRC),$(eval FLAGS_$f := -Itests))
# The tests' own definitions compute what a test expects. They read nothing from outside and take
# most of the time of the tests that use them, so a sanitizer does not watch them.
DEFINITIONS := tests/support/conv_run_define.c tests/support/gradient_reference.c \
	tests/support/oracle.c
$(foreach f,$(DEFINITIONS),$(eval FLAGS_$f += -O3 $(if $(SAN),-fno-sanitize=all)))
# clang's sanitizers take minutes over some of the kernels; no parser calls them, and the unit tests
# run them under GCC's.
ifdef LIBFUZZER
$(foreach f,$(filter engine/kernels/%,$(ENGINE_SRC)),$(eval FLAGS_$f += -O1 -fno-sanitize=all))
endif
# The loops of a file that this processor may not run, with one instruction replaced.
FLAGS_tests/support/int8_vnni.c += $(LOOPS_O) $(if $(filter x86_64,$(ARCH)),-mavx2)
# The directory in which the program looks for the model that is installed with it.
PATH_FLAGS := -DADL_DATADIR='"$(DATADIR)/adl-server"'
$(foreach f,$(SERVER_SRC),$(eval FLAGS_$f := $$(PATH_FLAGS)))
$(SERVER_OBJ): $(OBJ)/paths

$(OBJ)/%.c.o: %.c $(OBJ)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(PROJECT_CFLAGS) $(FLAGS_$<) $(COVERAGE_CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/%.S.o: %.S $(OBJ)/assets/server/api/asset_list.h $(OBJ)/flags
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -I. -I$(OBJ)/assets -Wa,-I$(OBJ)/assets -c -o $@ $<

# The files of the page as they are sent, compressed, with their list. MODULES=apart leaves the
# modules of a page apart, for a look at them.
$(OBJ)/assets/server/api/asset_list.h: $(WEB_FILES) $(OBJ)/web-files server/api/pack_assets.sh \
		server/api/join_modules.awk
	$(call say,PACK,$@)
	$(Q)MODULES='$(MODULES)' server/api/pack_assets.sh $(OBJ)/assets $(WEB_FILES)
$(foreach f,server/api/assets.c server/report/report_html.c tests/server/api/test_assets.c,$(eval FLAGS_$f += -I$(OBJ)/assets)\
	$(eval $(OBJ)/$f.o: $(OBJ)/assets/server/api/asset_list.h))

# These files hold the flags. They are rewritten only when the flags change, and every
# object that depends on them is then compiled anew.
$(OBJ)/flags: FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(PROJECT_CFLAGS) \
	$(foreach f,$(filter FLAGS_engine/%,$(.VARIABLES)),$f $($f))
$(OBJ)/paths: FLAGS = $(PATH_FLAGS)
$(OBJ)/web-files: FLAGS = $(MODULES) $(WEB_FILES) $(shell command -v brotli)
$(OBJ)/flags $(OBJ)/paths $(OBJ)/web-files: force
	@mkdir -p $(@D)
	@$(PKG_CONFIG) --exists --print-errors $(PACKAGES) || \
		{ echo 'a library that the build needs is missing: try `make deps`' >&2; exit 1; }
	@printf '%s\n' $(call quoted,$(FLAGS)) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

quoted = '$(subst ','\'',$(1))'
.PHONY: force

-include $(patsubst %.o,%.d,$(ENGINE_OBJ) $(SERVER_OBJ) $(TEST_OBJ) $(FUZZ_OBJ))

# --- dependencies ------------------------------------------------------------

# One job for each processor, unless the user passed -j.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: deps run
deps:
#: make deps            install the Debian packages the build needs (sudo if not root)
	@.ci/deps build

#: make run             install what is missing, build, start the server;
#:                      MODEL=FILE chooses the model, ARGS= passes more options
# The server prints where it listens, which it alone knows.
run: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@echo 'Ctrl-C stops the server'
	$(PROGRAM) serve$(if $(MODEL), --model $(MODEL)) $(ARGS)

# --- tests -------------------------------------------------------------------

.PHONY: check test check-deps check-run quick unit unit-run soak fuzz fuzz-targets
#: make check           install what the tests need, build, run every test that can run here;
#:                      SAN=address|undefined|thread: the unit tests in that flavour
#: make check-deps      install what make check skips otherwise: Chromium and its driver, Node,
#:                      ONNX Runtime and linters of OpenAPI for Node (in the build directory),
#:                      OpenCV, Open MPI and MPICH, nginx, Caddy, HAProxy, lintian, shellcheck, mandoc
check test:
	@.ci/deps build test
	@.ci/deps --optional extra
	@$(MAKE) --no-print-directory $(JOBS) check-run

check-deps:
	@failed=0; for group in build test extra browser opencv mpi proxy packages monitoring onnx openapi; do \
		BUILD='$(BUILD)' .ci/deps $$group || failed=1; done; exit $$failed

check-run: unit $(if $(SAN),,all)
	@MAKE='$(MAKE)' BUILD='$(BUILD)' OBJ='$(OBJ)' SAN='$(SAN)' PROGRAM='$(PROGRAM)' UNIT='$(UNIT)' \
		tests/check.sh $(TEST)

#: make quick           run the unit tests but the slow ones, in less than 30 s
quick:
	@$(MAKE) --no-print-directory $(JOBS) unit
	@$(UNIT) --quick --jobs $(shell nproc) $(TEST)

# The build does not need CUnit, so that it may be missing.
.PHONY: have-cunit
$(TEST_OBJ): | have-cunit
have-cunit:
	@echo '#include <CUnit/CUnit.h>' | $(CC) $(CPPFLAGS) $(CFLAGS) -E -x c - >/dev/null 2>&1 || \
		{ echo 'the unit tests need CUnit: try `.ci/deps test`' >&2; exit 1; }

unit: $(UNIT)
#: make unit            build the unit tests
unit-run: $(UNIT)
	$(UNIT) $(TEST)
#: make unit-run        run the unit tests. TEST=NAME: only suites or tests whose name contains
#:                      NAME; it works with check, quick and coverage as well

.PHONY: coverage coverage-run
#: make coverage        run the unit tests and print their line coverage by folder (needs gcov,
#:                      which comes with GCC)
coverage:
	@$(MAKE) --no-print-directory $(JOBS) COVERAGE=1 unit
	@$(MAKE) --no-print-directory COVERAGE=1 coverage-run

coverage-run: $(UNIT)
	@OBJ='$(OBJ)' UNIT='$(UNIT)' .ci/coverage $(TEST)

.PHONY: check-arm
#: make check-arm       build for 64-bit ARM with Debian's cross compiler, in ARM_BUILD=build-arm, and
#:                      run what the instruction set matters for under QEMU; needs the Debian packages
#:                      gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user, and downloads ARM's
#:                      libraries once. TEST=NAME as above; TEST=--goldens: whole networks alone, or
#:                      TEST="--goldens NAME..." some of them
ARM_BUILD ?= build-arm
check-arm: all
	@missing=$$(.ci/deps --missing arm); [ -z "$$missing" ] || \
		{ echo 'missing:' $$missing '- try `.ci/deps arm`' >&2; exit 1; }
	@tests/arm/sysroot.sh '$(ARM_BUILD)/sysroot'
	@$(MAKE) --no-print-directory $(JOBS) CC=aarch64-linux-gnu-gcc BUILD='$(ARM_BUILD)' \
		SYSROOT='$(abspath $(ARM_BUILD)/sysroot)' all unit
	@ARM_BUILD='$(ARM_BUILD)' PROGRAM='$(PROGRAM)' tests/arm/check.sh $(TEST)

#: make soak            the slow tests: all unit tests under ASan and UBSan, whole networks among them;
#:                      ONNX Runtime and OpenCV on ONNX files of all sizes and batches; training in
#:                      1, 2 and 4 processes under MPI, and their memory; what localize
#:                      exports, read back; what a normal
#:                      client gets beside hostile ones; whether the end of a server loses a request,
#:                      and whether 100,000 requests leave memory behind;
#:                      and the installed service under systemd, in a Debian 12 in a container (needs
#:                      root; the Debian is made once, in the build directory); and the package of
#:                      make deb, installed, upgraded and purged there, and built twice,
#:                      and the image of make oci, run in namespaces,
#:                      and the program of make static, which has to compute the same bits
soak: $(PROGRAM)
	@.ci/deps --optional soak
	@SLOW=1 $(MAKE) --no-print-directory SAN=address,undefined check
	@SLOW=1 tests/onnx/run.sh; status=$$?; [ $$status = 77 ] || exit $$status
	@SLOW=1 tests/opencv/run.sh; status=$$?; [ $$status = 77 ] || exit $$status
	@SLOW=1 PROGRAM='$(PROGRAM)' tests/mpi/run.sh; status=$$?; [ $$status = 77 ] || exit $$status
	@tests/soak/rank_memory.py '$(PROGRAM)'; status=$$?; [ $$status = 77 ] || exit $$status
	@tests/soak/exports.py '$(PROGRAM)'
	@tests/soak/drain.py '$(PROGRAM)'
	@tests/soak/fairness.py --long --seconds 10 --least-share 0.7 --server '$(PROGRAM)'
	@tests/soak/fairness.py --long --seconds 10 --least-share 0.7 --addresses --server '$(PROGRAM)'
	@tests/soak/endure.py --program '$(PROGRAM)'
	@BUILD='$(BUILD)' tests/soak/systemd.sh; status=$$?; [ $$status = 77 ] || exit $$status
	@BUILD='$(BUILD)' tests/soak/package.sh; status=$$?; [ $$status = 77 ] || exit $$status
	@BUILD='$(BUILD)' tests/soak/image.sh; status=$$?; [ $$status = 77 ] || exit $$status
	@BUILD='$(BUILD)' PROGRAM='$(PROGRAM)' tests/soak/static.sh --twice; status=$$?; [ $$status = 77 ] || exit $$status

# Each fuzz target is a program of its own that replays files and mutates them.
$(FUZZERS): $(OBJ)/tests/fuzz/%: $(OBJ)/tests/fuzz/%.c.o $(if $(LIBFUZZER),,$(OBJ)/tests/fuzz/driver.c.o) $(TESTED_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PROJECT_LDFLAGS) -o $@ $^ $(LIBS) $(LDLIBS)

fuzz-targets: $(FUZZERS)
#: make fuzz            mutate the fuzz corpora for SECONDS=60 each, under sanitizers
fuzz:
	@$(MAKE) --no-print-directory $(JOBS) SAN=address,undefined fuzz-targets
	@BUILD='$(BUILD)' tests/fuzz/run.sh $(or $(SECONDS),60)

#: make libfuzzer       the same by clang's libFuzzer, guided by coverage: TARGET=http for
#:                      SECONDS=60, one process; new inputs and a report in build/libfuzzer/TARGET
.PHONY: libfuzzer
libfuzzer:
	@BUILD='$(BUILD)' MAKE='$(MAKE)' tests/fuzz/libfuzzer.sh '$(or $(TARGET),http)' $(or $(SECONDS),60)

# --- training ----------------------------------------------------------------

.PHONY: experiments model
DATA ?= ../shared/data/objects104

#: make experiments     train and measure ADL against CAM on DATA=../shared/data/objects104:
#:                      docs/results.md, in several hours; resumes if it was interrupted.
#:                      Other tables: docs/experiments/README.md
experiments: $(PROGRAM)
	@$(PROGRAM) experiment docs/experiments/objects104.json --data '$(DATA)' \
		--out '$(BUILD)/experiments/objects104' --results docs/results.md

#: make model           train models/default.safetensors anew on DATA, in an hour or two;
#:                      resumes if it was interrupted
model: $(PROGRAM)
	@PROGRAM='$(PROGRAM)' DATA='$(DATA)' OUT='$(BUILD)/model' MODEL=models/default.safetensors \
		docs/experiments/train-model.sh

# --- speed -------------------------------------------------------------------

.PHONY: bench-save bench-compare
#: make bench-save      measure the four networks, inference and training; save the figures and
#:                      the program as build/bench/NAME.json and .program (NAME=the commit)
#: make bench-compare   run the saved program and this one in turns; exit 1 if a row is slower by
#:                      more than 5 % (NAME=the newest). Some only, or another tolerance:
#:                      BENCH="ARCHS=resnet50 THREADS=1 MODES=inference TOLERANCE=3"
NAME :=
BENCH :=
bench-save bench-compare: $(PROGRAM)
	@PROGRAM='$(PROGRAM)' OUT='$(BUILD)/bench' docs/performance/bench.sh $(@:bench-%=%) $(NAME) $(BENCH)

.PHONY: bench-peers
#: make bench-peers     compare the speed of the networks with ONNX Runtime (needs Node and npm)
#:                      and write a section of docs/performance.md, in some minutes.
#:                      Some only: PEERS="ARCHS=resnet50 THREADS=1 RESULTS="
PEERS ?=
bench-peers: $(PROGRAM)
	@PROGRAM='$(PROGRAM)' BUILD='$(BUILD)' \
		docs/performance/peers.sh RESULTS=docs/performance.md $(PEERS)

.PHONY: bench-imported
#: make bench-imported  the same for networks that came as ONNX files, which python3-torch makes once
bench-imported: $(PROGRAM)
	@PROGRAM='$(PROGRAM)' BUILD='$(BUILD)' \
		docs/performance/imported.sh RESULTS=docs/performance.md $(PEERS)

.PHONY: bench-train-peers
#: make bench-train-peers  compare the speed of training steps with PyTorch (needs python3-torch);
#:                      settings as above
bench-train-peers: $(PROGRAM)
	@PROGRAM='$(PROGRAM)' \
		/usr/bin/python3 docs/performance/train_peers.py RESULTS=docs/performance/training.md $(PEERS)

# --- the source --------------------------------------------------------------

.PHONY: lint format hooks
#: make lint            clang-format, clang-tidy, cppcheck, shellcheck, mandoc; tsc, eslint and
#:                      html-validate for the page: those that are installed (CHANGED=COMMIT: only files that differ from it)
lint: compile_commands.json
	@CHANGED='$(CHANGED)' BUILD='$(BUILD)' .ci/lint

#: make format          format all C sources (with the clang-format of Debian 12, version 14)
format:
	@.ci/clang-format -i $(ENGINE_SRC) $(MODELS_SRC) $(SERVER_SRC) $(TEST_SRC) \
		$(wildcard $(foreach d,engine/* engine/*/* models models/* server/* tests/support,$d/*.h) tests/fuzz/*.[ch])

#: make hooks           install a git hook that runs format, layers and quick before each commit;
#:                      it calls make with the variables given here
hooks:
	@.ci/pre-commit --install $(MAKEOVERRIDES)

# For clangd and clang-tidy: how each source is compiled. Written anew only when it changes.
COMPILED := $(ENGINE_SRC) $(MODELS_SRC) $(SERVER_SRC) $(TEST_SRC) $(wildcard tests/fuzz/*.c)
compile_commands.json: $(OBJ)/flags force
	$(file >$(OBJ)/$@.new,[)
	$(foreach f,$(COMPILED),$(file >>$(OBJ)/$@.new,$(if $(filter-out $(firstword $(COMPILED)),$f),$(comma)){\
	"directory": "$(CURDIR)"$(comma) "file": "$f"$(comma) \
	"command": "$(subst ",\",$(CC) $(CPPFLAGS) $(CFLAGS) $(PROJECT_CFLAGS) $(FLAGS_$f) -c $f)"}))
	$(file >>$(OBJ)/$@.new,])
	@if cmp -s $(OBJ)/$@.new $@; then rm $(OBJ)/$@.new; else mv $(OBJ)/$@.new $@; fi

# --- installing --------------------------------------------------------------

UNITS := $(notdir $(wildcard systemd/*.service systemd/*.socket))
MODELS := $(notdir $(wildcard models/*.safetensors))
INSTALLED = $(BINDIR)/adl-server $(MANDIR)/man1/adl-server.1 $(BASHCOMPDIR)/adl-server \
	$(ZSHCOMPDIR)/_adl-server $(FISHCOMPDIR)/adl-server.fish \
	$(UNITS:%=$(SYSTEMDUNITDIR)/%) $(MODELS:%=$(DATADIR)/adl-server/%)

.PHONY: install uninstall dist deb oci static clean
#: make install         install program, man page, completions, systemd units, the models;
#:                      DESTDIR= PREFIX=/usr/local BINDIR= DATADIR= MANDIR= SYSTEMDUNITDIR= ...
install: $(PROGRAM)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(BINDIR)/adl-server
	$(if $(wildcard docs/adl-server.1),install -D -m 644 docs/adl-server.1 $(DESTDIR)$(MANDIR)/man1/adl-server.1)
	install -d $(DESTDIR)$(BASHCOMPDIR) $(DESTDIR)$(ZSHCOMPDIR) $(DESTDIR)$(FISHCOMPDIR)
	$(PROGRAM) completion bash >$(DESTDIR)$(BASHCOMPDIR)/adl-server
	$(PROGRAM) completion zsh >$(DESTDIR)$(ZSHCOMPDIR)/_adl-server
	$(PROGRAM) completion fish >$(DESTDIR)$(FISHCOMPDIR)/adl-server.fish
	chmod 644 $(DESTDIR)$(BASHCOMPDIR)/adl-server $(DESTDIR)$(ZSHCOMPDIR)/_adl-server \
		$(DESTDIR)$(FISHCOMPDIR)/adl-server.fish
	install -d $(DESTDIR)$(SYSTEMDUNITDIR)
	install -d -m 755 $(DESTDIR)$(SYSCONFDIR)/adl-server
	for unit in $(UNITS); do \
		sed 's|@BINDIR@|$(BINDIR)|g' systemd/$$unit >$(DESTDIR)$(SYSTEMDUNITDIR)/$$unit || exit 1; done
	chmod 644 $(UNITS:%=$(DESTDIR)$(SYSTEMDUNITDIR)/%)
	$(if $(MODELS),install -d $(DESTDIR)$(DATADIR)/adl-server)
	$(if $(MODELS),install -m 644 $(MODELS:%=models/%) $(DESTDIR)$(DATADIR)/adl-server)

#: make uninstall       remove what make install installed (same variables)
uninstall:
	rm -f $(INSTALLED:%=$(DESTDIR)%)
	@# What a user has put there is not removed.
	for directory in $(DATADIR) $(SYSCONFDIR); do \
		rmdir $(DESTDIR)$$directory/adl-server 2>/dev/null || true; done

#: make dist            pack the last commit into build/adl-server-VERSION.tar.gz
dist:
	@mkdir -p $(BUILD)
	git archive --prefix=adl-server-$(VERSION)/ HEAD | gzip -9n >$(BUILD)/adl-server-$(VERSION).tar.gz

#: make deb             make a Debian package, build/adl-server_VERSION_ARCH.deb, which is the same
#:                      bytes in any directory (docs/packaging.md); DEB_SUFFIX=+site1: a version of
#:                      one's own
deb:
	@BUILD='$(BUILD)' MAKE='$(MAKE)' JOBS='$(JOBS)' DEB_SUFFIX='$(DEB_SUFFIX)' systemd/debian/build.sh

#: make oci             make an image for containers of that package and of Debian's libraries, as
#:                      build/adl-server-VERSION-ARCH.oci.tar, without a daemon;
#:                      OCI_LIBRARIES="libtiff.so.6 libheif.so.1": with AVIF and HEIC too
OCI_LIBRARIES ?= libtiff.so.6
oci: deb
	@BUILD='$(BUILD)' OCI_LIBRARIES='$(OCI_LIBRARIES)' docs/deploy/oci.sh "$$(ls -t $(BUILD)/adl-server_*.deb | head -n 1)"

#: make static          make a program that needs no shared library, of musl and libraries that are
#:                      compiled for it once (in minutes, from Debian's sources), without TLS, TIFF,
#:                      AVIF, HEIC and MPI: build/adl-server-VERSION-ARCH-static.tar.gz
static:
	@BUILD='$(BUILD)' MAKE='$(MAKE)' JOBS='$(JOBS)' docs/deploy/static.sh

#: make clean           remove the build directory
clean:
	rm -rf $(BUILD) compile_commands.json
