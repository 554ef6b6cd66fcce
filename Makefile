# adl-server: one non-recursive Makefile. `make help` lists the targets.

VERSION := $(shell cat VERSION)
CC ?= cc
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

# Where things are installed (each can be set from outside).
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions
SYSTEMDUNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc

# A flavour is a set of compiler flags with its own build folder:
# make SAN=address|undefined|thread|address,undefined
BUILD ?= build
SAN ?=
WERROR ?=
FLAVOUR := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)
comma := ,
OBJ := $(BUILD)/$(subst $(comma),-,$(FLAVOUR))
PROGRAM := $(if $(SAN),$(OBJ)/adl-server,$(BUILD)/adl-server)
UNIT := $(OBJ)/unit-tests

PACKAGES := libmicrohttpd jansson libjpeg libwebp spng zlib
PROJECT_CFLAGS := -std=c11 -D_GNU_SOURCE -Iengine -I. \
	-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-fno-math-errno -ffp-contract=off -fPIE -fstack-protector-strong -pthread \
	-DADL_VERSION='"$(VERSION)"' \
	$(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null) \
	$(if $(WERROR),-Werror) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all,-D_FORTIFY_SOURCE=2)
PROJECT_LDFLAGS := -pie -Wl,-z,relro,-z,now -pthread $(if $(SAN),-fsanitize=$(SAN))
LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lopenblas -lm

ENGINE_SRC := $(wildcard engine/*/*.c)
MODELS_SRC := $(wildcard models/*.c)
SERVER_SRC := $(wildcard server/*.c)
ASSETS_SRC := $(wildcard server/*.S)
TEST_SRC := $(wildcard tests/*.c)
WEB_FILES := $(wildcard web/*) $(wildcard server/*.json)

objects = $(patsubst %,$(OBJ)/%.o,$(1))
ENGINE_OBJ := $(call objects,$(ENGINE_SRC) $(MODELS_SRC))
SERVER_OBJ := $(call objects,$(SERVER_SRC) $(ASSETS_SRC))
TEST_OBJ := $(call objects,$(TEST_SRC))
# Unit tests see everything but main().
TESTED_OBJ := $(ENGINE_OBJ) $(filter-out %/main.c.o,$(SERVER_OBJ))

.PHONY: all help
all: $(PROGRAM)

help:
	@grep -E '^#: ' Makefile | sed 's/^#: //'
#: make                 build the program: build/adl-server

$(PROGRAM): $(ENGINE_OBJ) $(SERVER_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PROJECT_LDFLAGS) -o $@ $^ $(LIBS) $(LDLIBS)

$(UNIT): $(TESTED_OBJ) $(TEST_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PROJECT_LDFLAGS) -o $@ $^ $(LIBS) -lcunit $(LDLIBS)

# Only the kernel files may use wider instructions than the baseline; each is
# chosen at run time. Contraction to FMA is theirs to use as well.
$(OBJ)/engine/kernels/avx2.c.o: KERNEL_FLAGS := -O3 -mavx2 -mfma -ffp-contract=fast
$(OBJ)/engine/kernels/avx512.c.o: KERNEL_FLAGS := -O3 -mavx512f -mavx512dq -mavx512vl -mavx2 -mfma -ffp-contract=fast
$(OBJ)/engine/kernels/generic.c.o: KERNEL_FLAGS := -O3

$(OBJ)/%.c.o: %.c Makefile VERSION
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(PROJECT_CFLAGS) $(KERNEL_FLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/%.S.o: %.S $(WEB_FILES) Makefile
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -I. -c -o $@ $<

-include $(patsubst %.o,%.d,$(ENGINE_OBJ) $(SERVER_OBJ) $(TEST_OBJ))

# --- tests -------------------------------------------------------------------

.PHONY: unit unit-run
unit: $(UNIT)
#: make unit            build the unit tests
unit-run: $(UNIT)
	$(UNIT) $(TEST)
#: make unit-run        run them (TEST=NAME: only suites or tests with that in their name)

.PHONY: clean
clean:
	rm -rf $(BUILD)
#: make clean           remove the build folder
