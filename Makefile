# tsnet-shim - build, tests and set-up. `make help` lists the targets.
#
#   BUILD=dir     output directory (default build; build-asan, build-tsan by SAN)
#   SAN=list      sanitizers, e.g. SAN=address,undefined or SAN=thread
#   V=1           show the commands
#   LWIP_DIR=dir  an unpacked lwIP 2.2.1 instead of the pinned download
#   DEPS=dir      libraries of scripts/build-deps instead of the system's
#   STATIC=1      programs without a dynamic linker (with DEPS)
#   APPS=a,b      cases of `make apps`; APPS_FLAGS=--prove and others: scripts/apps -h
#   CORE_DIRS, UNIT_DIRS   restrict what is built (for work on one folder)

SHELL := /bin/bash
COMMA := ,
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VERSION := 0.1.0
PREFIX ?= /usr/local
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
SAN ?=
BUILD ?= build$(if $(findstring thread,$(SAN)),-tsan,$(if $(SAN),-asan))

CORE_DIRS ?= core/base core/crypto core/model core/broker core/loop \
	core/state core/control core/wireguard core/path core/filter core/dns \
	core/tka core/acme core/serve netstack core/node core/drop core/io \
	core/host \
	core/localapi core/engine
UNIT_DIRS ?= $(notdir $(wildcard tests/unit/*))

PKGS := libsodium libcrypto libssl jansson libnghttp2 libzstd libcurl \
	libcares inih libmicrohttpd
DEPS ?=
STATIC ?=
pkg_config := $(if $(DEPS),PKG_CONFIG_PATH= \
	PKG_CONFIG_LIBDIR=$(DEPS)/lib/pkgconfig) pkg-config $(if $(DEPS),--static)
PKG_CFLAGS := $(shell $(pkg_config) --cflags $(PKGS) 2>/dev/null) \
	$(if $(DEPS),-isystem $(DEPS)/include -DCARES_NO_DEPRECATED)
# Faster AEAD (core/crypto/aead_mb.c); `make IPSEC_MB=` builds without.
IPSEC_MB ?= $(filter x86_64-linux-gnu,$(shell $(CC) -dumpmachine))
PKG_CFLAGS += $(if $(IPSEC_MB),-DTS_HAVE_IPSEC_MB)
PKG_LIBS := $(if $(IPSEC_MB),-lIPSec_MB) $(shell $(pkg_config) --libs $(PKGS) 2>/dev/null) \
	$(if $(DEPS),-L$(DEPS)/lib) -lev -lm

LWIP_DIR ?= build/lwip/src-2.2.1
LWIP_STAMP := $(LWIP_DIR)/.ready

# musl's messages have narrower lengths than the kernel's and glibc's, and its
# macros for them convert; the build for glibc looks after conversions.
WARN := -Wall -Wextra -Wshadow -Wconversion -Werror \
	$(if $(findstring musl,$(CC)),-Wno-conversion -Wno-sign-conversion)
PLAIN_CFLAGS := -std=gnu11 -O2 -g -D_GNU_SOURCE -DTSNET_VERSION='"$(VERSION)"' \
	-fvisibility=hidden -fPIC -fno-strict-aliasing -fstack-protector-strong
BASE_CFLAGS := $(PLAIN_CFLAGS) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) \
	$(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=undefined)
CFLAGS_OURS = $(BASE_CFLAGS) $(WARN) -I. -Iinclude -isystem $(LWIP_DIR)/src/include \
	-Inetstack $(PKG_CFLAGS)
CFLAGS_LWIP = $(BASE_CFLAGS) -w -I. -Inetstack -I$(LWIP_DIR)/src/include
LDFLAGS_ALL = $(if $(SAN),-fsanitize=$(SAN)) -Wl,-z,relro,-z,now
LDFLAGS_PROGRAM = $(LDFLAGS_ALL) $(if $(STATIC),-static-pie)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)')

# -- sources -----------------------------------------------------------------
MAIN_SRC := core/engine/host_main.c
CORE_SRC := $(filter-out $(MAIN_SRC),$(sort $(wildcard $(CORE_DIRS:%=%/*.c))))
CORE_OBJ := $(CORE_SRC:%.c=$(BUILD)/obj/%.o)
SHIM_CORE := core/base/addr.c core/base/wire.c core/base/err.c \
	core/base/elf_kind.c \
	core/broker/broker_wire.c core/broker/address_table.c \
	core/broker/rendezvous_rule.c core/broker/datagram_control.c \
	core/broker/option_rule.c core/broker/tcp_info.c
SHIM_SRC := $(sort $(wildcard shim/*.c)) $(SHIM_CORE)
# Never with sanitizers: it is loaded into programs that have no runtime of
# theirs.
SHIM_OBJ := $(SHIM_SRC:%.c=$(BUILD)/shim-obj/%.o)
# On aarch64 glibc has the stack protector's canary in ld.so, and libgcc's choice
# of atomics asks a private function of glibc: musl has neither.
# Small rather than fast: it is in every program, and is not where time goes. Its
# files are compiled as one, for what that saves; in one part, as the assembler
# names versions (old_glibc.h). All names are bound at the start, so calls into libc
# need no stubs: on x86-64 that is shorter.
SHIM_MACHINE := $(shell $(CC) -dumpmachine)
SHIM_CFLAGS := $(PLAIN_CFLAGS) -Os -ftls-model=initial-exec \
	-ffunction-sections -fdata-sections -fno-jump-tables \
	--param=max-inline-insns-auto=0 -flto -flto-partition=none \
	$(if $(findstring x86_64,$(SHIM_MACHINE)),-fno-plt) \
	$(if $(findstring aarch64,$(SHIM_MACHINE)),\
	-fno-stack-protector -mno-outline-atomics)
LAB_SRC := $(sort $(wildcard tests/lab/*.c))
LAB_OBJ := $(LAB_SRC:%.c=$(BUILD)/obj/%.o)
FLOOD_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard tests/flood/*.c)))
UNIT_SRC := $(sort $(wildcard $(UNIT_DIRS:%=tests/unit/%/test_*.c)))
SIM_SRC := $(if $(filter netstack,$(UNIT_DIRS)),$(sort $(wildcard tests/sim/test_*.c)))
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%) $(SIM_SRC:%.c=$(BUILD)/%)

LWIP_CORE := init def inet_chksum ip mem memp netif pbuf tcp tcp_in tcp_out \
	timeouts ipv4/ip4 ipv4/ip4_addr ipv6/ip6 ipv6/ip6_addr ipv6/nd6 \
	ipv6/icmp6
LWIP_OBJ := $(if $(filter netstack,$(CORE_DIRS)),\
	$(LWIP_CORE:%=$(BUILD)/obj/lwip/%.o))

# -- products ----------------------------------------------------------------
PRODUCTS := $(BUILD)/libtsnet.so $(BUILD)/libtailscale.so \
	$(BUILD)/libtsnet_shim.so \
	$(BUILD)/tsnet-host $(BUILD)/tsrun $(BUILD)/tsnet-extcap
.PHONY: all help demo check unit unit-programs e2e apps suites soak bundle musl foreign interop bench nat scale floods fuzz sanitize install \
	uninstall clean deps layers exports docs compile_commands.json lab
all: deps
	$(Q)$(MAKE) --no-print-directory products
.PHONY: products
products: $(PRODUCTS) layers docs exports

help:
	@sed -n 's/^\([a-z]*\):.*##/\1 -/p' Makefile

deps: ## install or name what is missing, fetch lwIP
	$(Q)scripts/install-deps
	$(Q)scripts/build-lwip $(LWIP_DIR)

$(LWIP_STAMP):
	$(Q)scripts/build-lwip $(LWIP_DIR)

# Other versions of the libraries: all is compiled anew.
DEPS_STAMPS := $(if $(DEPS),$(wildcard $(DEPS)/.done/*))
$(CORE_OBJ) $(BUILD)/obj/core/engine/host_main.o: $(DEPS_STAMPS)

$(BUILD)/obj/lwip/%.o: $(LWIP_STAMP) netstack/lwipopts.h
	$(call say,LWIP,$*)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_LWIP) -c $(LWIP_DIR)/src/core/$*.c -o $@

$(filter $(BUILD)/obj/netstack/%,$(CORE_OBJ)): | $(LWIP_STAMP)

$(BUILD)/obj/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_OURS) -MMD -MP -c $< -o $@

$(BUILD)/shim-obj/%.o: %.c
	$(call say,CC,$< (shim))
	@mkdir -p $(@D)
	$(Q)$(CC) $(SHIM_CFLAGS) $(WARN) -I. -MMD -MP -c $< -o $@

$(BUILD)/libtsnet.a: $(CORE_OBJ) $(LWIP_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $^

$(BUILD)/libtsnet.so: $(CORE_OBJ) $(LWIP_OBJ) core/engine/libtsnet.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS_ALL) -Wl,-soname,libtsnet.so.0 \
		-Wl,--version-script,core/engine/libtsnet.map -o $@ \
		$(CORE_OBJ) $(LWIP_OBJ) $(PKG_LIBS) -lpthread
	$(Q)ln -sf libtsnet.so $@.0

$(BUILD)/libtailscale.so: $(CORE_OBJ) $(LWIP_OBJ) core/engine/libtailscale.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS_ALL) -Wl,-soname,libtailscale.so \
		-Wl,--version-script,core/engine/libtailscale.map -o $@ \
		$(CORE_OBJ) $(LWIP_OBJ) $(PKG_LIBS) -lpthread

$(BUILD)/libtsnet_shim.so: $(SHIM_OBJ) shim/libtsnet_shim.map
	$(call say,LD,$@)
	$(Q)$(CC) $(SHIM_CFLAGS) $(WARN) -shared \
		-Wl,-z,relro,-z,now -Wl,--gc-sections \
		-Wl,--version-script,shim/libtsnet_shim.map \
		-Wl,--as-needed -Wl,-soname,libtsnet_shim.so -o $@ $(SHIM_OBJ)

$(BUILD)/tsnet-host: $(BUILD)/obj/core/engine/host_main.o $(BUILD)/libtsnet.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_PROGRAM) -o $@ $^ $(PKG_LIBS) -lpthread

$(BUILD)/tsrun $(BUILD)/tsnet-extcap: $(BUILD)/%: scripts/%
	$(call say,COPY,$@)
	$(Q)install -m 755 $< $@

lab: $(BUILD)/tsnet-lab $(BUILD)/tsnet-flood
$(BUILD)/tsnet-lab: $(LAB_OBJ) $(BUILD)/libtsnet.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_PROGRAM) -o $@ $^ $(PKG_LIBS) -lpthread

$(BUILD)/tsnet-flood: $(FLOOD_OBJ) $(BUILD)/libtsnet.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_PROGRAM) -o $@ $^ $(PKG_LIBS) -lpthread

# -- tests -------------------------------------------------------------------
$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libtsnet.a
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_OURS) -Itests -DTEST_CC='"$(CC)"' -MMD -MP -MF $@.d \
		$(LDFLAGS_ALL) $(TEST_LDFLAGS) $< $(BUILD)/libtsnet.a -o $@ $(PKG_LIBS) -lcmocka -lpthread

$(BUILD)/tests/sim/%: tests/sim/%.c $(BUILD)/libtsnet.a
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_OURS) -Itests -MMD -MP -MF $@.d \
		$(LDFLAGS_ALL) $(TEST_LDFLAGS) $< $(BUILD)/libtsnet.a -o $@ $(PKG_LIBS) -lcmocka -lpthread

$(filter $(BUILD)/tests/unit/shim/%,$(UNIT_BIN)): $(BUILD)/libtsnet_shim.so

unit-programs: $(UNIT_BIN)
unit: $(UNIT_BIN)
	$(Q)scripts/run-unit $(UNIT_BIN)

check: deps ## all hermetic tests
	$(Q)scripts/install-deps --tests
	$(Q)$(MAKE) --no-print-directory products lab $(UNIT_BIN)
	$(Q)BUILD=$(BUILD) scripts/check $(UNIT_BIN)

e2e: products lab
	$(Q)BUILD=$(BUILD) scripts/run-e2e $(TESTS)

apps: deps ## the matrix of programs; APPS=redis,curl: a part of it
	$(Q)scripts/install-deps --apps
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/apps $(APPS_FLAGS) $(subst $(COMMA), ,$(APPS))

demo: deps ## two stock programs talk over an embedded tailnet
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/demo

interop: deps ## the same scenarios against the real Go peers
	$(Q)scripts/install-deps --interop
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/interop

bundle: ## a tarball that needs no libraries; ARCH=aarch64 for another machine
	$(Q)scripts/install-deps --bundle $(ARCH)
	$(Q)scripts/build-lwip $(LWIP_DIR)
	$(Q)scripts/build-bundle $(VERSION) $(ARCH)

musl: ## built for musl in build/ARCH-linux-musl, and its unit tests; ARCH=aarch64
	$(Q)scripts/install-deps --musl $(ARCH)
	$(Q)scripts/build-lwip $(LWIP_DIR)
	$(Q)scripts/check-musl $(ARCH)

foreign: ## the bundle in root file systems of others, and on another machine
	$(Q)scripts/install-deps --foreign
	$(Q)scripts/build-lwip $(LWIP_DIR)
	$(Q)scripts/check-foreign $(TESTS)

suites: deps ## other people's test suites, natively and over the tailnet
	$(Q)scripts/install-deps --suites
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/suites

soak: deps ## random programs over one node for MINUTES=30
	$(Q)scripts/install-deps --tests
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/soak --minutes $(or $(MINUTES),30)

BENCH_FLAGS ?= --docs docs/performance.md
bench: deps ## figures beside the peers', into docs/performance.md; BENCH_FLAGS=--quick
	$(Q)scripts/install-deps --bench
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/bench $(BENCH_FLAGS)

nat: deps ## which path every pair of NATs takes, beside tailscaled's
	$(Q)scripts/install-deps --bench
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/nat-lab $(NAT_FLAGS)

scale: deps ## 10,000 peers and connections, 200 peers at once, new ones for a minute
	$(Q)scripts/install-deps --tests
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/scale

floods: deps ## what is left of a transfer's rate while somebody floods a node
	$(Q)scripts/install-deps --tests
	$(Q)$(MAKE) --no-print-directory products lab
	$(Q)BUILD=$(BUILD) scripts/floods $(FLOODS_FLAGS)

SECONDS_EACH := $(if $(findstring command,$(origin SECONDS)),$(SECONDS),30)
fuzz: deps ## every fuzz target for SECONDS=30 each
	$(Q)scripts/install-deps --tests
	$(Q)scripts/fuzz $(SECONDS_EACH) $(FUZZ)

sanitize: deps ## unit and end-to-end tests under ASan+UBSan, host under TSan
	$(Q)scripts/install-deps --tests
	$(Q)scripts/sanitize

# -- checks of the tree --------------------------------------------------------
layers:
	$(Q)scripts/check-layers
docs:
	$(Q)scripts/check-docs
exports: $(BUILD)/libtsnet.so $(BUILD)/libtailscale.so $(BUILD)/libtsnet_shim.so
	$(Q)scripts/check-exports $(BUILD)
compile_commands.json:
	$(Q)scripts/compile-commands "$(CC) $(CFLAGS_OURS)" \
		$(CORE_SRC) $(MAIN_SRC) $(wildcard shim/*.c) $(LAB_SRC) > $@

# -- installation ----------------------------------------------------------------
LIBDIR := $(PREFIX)/lib/tsnet-shim
install: products
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR) \
		$(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig \
		$(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/man/man3 \
		$(DESTDIR)$(PREFIX)/share/man/man5 \
		$(DESTDIR)$(PREFIX)/share/man/man7 \
		$(DESTDIR)$(PREFIX)/share/doc/tsnet-shim
	install -m 755 scripts/tsrun $(DESTDIR)$(PREFIX)/bin/tsrun
	install -m 755 $(BUILD)/tsnet-host $(BUILD)/libtsnet_shim.so \
		$(BUILD)/libtsnet.so $(BUILD)/libtailscale.so \
		$(BUILD)/tsnet-extcap $(DESTDIR)$(LIBDIR)/
	ln -sf tsnet-shim/libtsnet.so $(DESTDIR)$(PREFIX)/lib/libtsnet.so.0
	ln -sf libtsnet.so.0 $(DESTDIR)$(PREFIX)/lib/libtsnet.so
	ln -sf tsnet-shim/libtailscale.so $(DESTDIR)$(PREFIX)/lib/libtailscale.so
	install -m 644 include/tsnet.h include/tsnet_curl.h \
		include/tailscale.h include/libtailscale.h $(DESTDIR)$(PREFIX)/include/
	for name in tsnet libtailscale; do \
		sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
			$$name.pc.in \
			> $(DESTDIR)$(PREFIX)/lib/pkgconfig/$$name.pc; \
	done
	install -m 644 man/tsrun.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 man/tsnet.3 $(DESTDIR)$(PREFIX)/share/man/man3/
	install -m 644 man/tsnet.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 man/libtsnet_shim.7 $(DESTDIR)$(PREFIX)/share/man/man7/
	install -m 644 tsnet.conf.example README.md LICENSE \
		$(DESTDIR)$(PREFIX)/share/doc/tsnet-shim/

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/tsrun \
		$(DESTDIR)$(PREFIX)/lib/libtsnet.so \
		$(DESTDIR)$(PREFIX)/lib/libtsnet.so.0 \
		$(DESTDIR)$(PREFIX)/lib/libtailscale.so \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig/tsnet.pc \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig/libtailscale.pc \
		$(DESTDIR)$(PREFIX)/include/tsnet.h \
		$(DESTDIR)$(PREFIX)/include/tsnet_curl.h \
		$(DESTDIR)$(PREFIX)/include/tailscale.h \
		$(DESTDIR)$(PREFIX)/include/libtailscale.h \
		$(DESTDIR)$(PREFIX)/share/man/man1/tsrun.1 \
		$(DESTDIR)$(PREFIX)/share/man/man3/tsnet.3 \
		$(DESTDIR)$(PREFIX)/share/man/man5/tsnet.conf.5 \
		$(DESTDIR)$(PREFIX)/share/man/man7/libtsnet_shim.7
	rm -rf $(DESTDIR)$(LIBDIR) $(DESTDIR)$(PREFIX)/share/doc/tsnet-shim

clean:
	rm -rf build build-asan build-tsan build-fuzz compile_commands.json

-include $(shell find $(BUILD)/obj $(BUILD)/shim-obj $(BUILD)/tests -name '*.d' 2>/dev/null)
