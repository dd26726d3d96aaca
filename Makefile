# SPDX-License-Identifier: GPL-2.0-or-later
#
# For people; the kernel's build reads Kbuild. All products go to build/.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
LIBDIR32 ?= $(PREFIX)/lib32
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc
DESTDIR ?=
SECTIONS ?= 1 2 3 4 5 6 7 8

where = DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" LIBDIR32="$(LIBDIR32)" \
	UNITDIR="$(UNITDIR)" SYSCONFDIR="$(SYSCONFDIR)"
mandir = $(PREFIX)/share/man

.DEFAULT_GOAL := all
# Targets that need the same product each see to it; the makes they call may use -j.
.NOTPARALLEL:

## all: build the module, the library, the command kipc, the naming service, the tests and the demo
all: module lib tools selftests demo-build

## module: build kipc.ko (KERNEL=6.12 or 7.x: for that kernel; KDIR=: with that build directory)
module: setup
	@scripts/with-kernel scripts/quietly "module" build/log/module.log scripts/build-module

## lib: build libkipc, static and shared
lib: setup
	@scripts/quietly "library" build/log/lib.log $(MAKE) -C userlib all lib32

## tools: build the command kipc and the naming service
tools: lib
	@scripts/quietly "tools" build/log/tools.log $(MAKE) -C tools all
	@scripts/quietly "naming service" build/log/named.log $(MAKE) -C tools/named all

## selftests: build the test programs
selftests: lib tools
	@scripts/quietly "selftests" build/log/selftests.log scripts/build-selftests

demo-build: lib
	@scripts/quietly "demo" build/log/demo.log $(MAKE) -C demo all

## demo: run the demo, a real job with users and crashes, in a test VM
demo: module demo-build
	@scripts/with-kernel scripts/vm-demo

bench-build: lib
	@scripts/quietly "benchmark" build/log/bench.log $(MAKE) -C bench all

## bench: measure kipc and its peers side by side (QUICK=1: less often; W="rpc/64 dropin": those)
bench: module bench-build
	@bench/run $(if $(QUICK),--quick) $(W)

## vm: a shell in a test VM with module, library, demo and tests
vm: all
	@scripts/with-kernel scripts/vm-shell

## check: run every check and test (T=name: one test program; KERNEL=6.12 or 7.x: there)
check: setup
	@scripts/with-kernel scripts/check $(T)

## check-all: what CI runs, all tiers; and where the time went
check-all: setup
	@scripts/check-all

## check-debug: run the tests on kernels that look for bugs themselves (T=name; built first)
check-debug: setup
	@scripts/check-debug $(T)

## fuzz: fuzz the ioctls on the debug kernel (TIME=60 seconds, SEED=; REPRO=: a finding again)
fuzz: setup
	@scripts/fuzz $(if $(TIME),--time $(TIME)) $(if $(SEED),--random $(SEED)) \
		$(if $(REPRO),--repro $(REPRO))

## coverage: which lines of the module the tests reach, with an HTML report
coverage: setup
	@status=0; scripts/check-debug --no-races || status=1; scripts/coverage || status=1; \
		exit "$$status"

## check-static: only the checks that need no VM
check-static: setup
	@scripts/check --static

## check-kernels: run the tests with every kernel supported
check-kernels: setup
	@scripts/check-kernels

## check-bench: measure, and fail if kipc needs more than bench/baseline.tsv says
check-bench: setup
	@scripts/check-bench

## model: check every state of the model of hand-off, wake-up and reply in docs/model/
model: setup
	@scripts/model

## check-harness: show that the tests' VM and judge notice every kind of bug (FLAVOUR=debug, kcsan)
check-harness: setup
	@scripts/with-kernel scripts/check-harness $(if $(FLAVOUR),--flavour $(FLAVOUR))

# Installing needs no more than what builds: not the packages of the tests.

## install: install all (DESTDIR=, PREFIX=/usr/local, KDIR=); "make uninstall" undoes that
install: install-module install-lib install-tools install-named install-man install-system

## install-module: the module, for the kernel that "make module" builds it for
install-module:
	@DESTDIR="$(DESTDIR)" scripts/quietly "module installed" build/log/install-module.log \
		scripts/install-module

## install-lib: library, headers, pkg-config file, drop-in libraries (LIBDIR=PREFIX/lib, LIBDIR32=)
install-lib:
	@$(MAKE) -C userlib install $(where)
	$(if $(DESTDIR),,@ldconfig)

## install-tools: the command kipc
install-tools:
	@$(MAKE) -C userlib all $(where)
	@$(MAKE) -C tools install $(where)

## install-named: the naming service, its unit and policy (UNITDIR=, SYSCONFDIR=/etc)
install-named:
	@$(MAKE) -C userlib all $(where)
	@$(MAKE) -C tools/named install $(where)
	$(if $(DESTDIR),,@systemd-sysusers "$(PREFIX)/lib/sysusers.d/kipc-named.conf" && \
		systemctl daemon-reload)

## install-man: the manual pages (SECTIONS="1 4": these)
install-man:
	@scripts/install-manuals "$(DESTDIR)$(mandir)" $(SECTIONS)

# Who may open the device, and that the module is loaded at boot. udevd knows only the
# groups that were there when it read the rules.
install-system:
	@install -D -m 644 packaging/60-kipc.rules "$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-kipc.rules"
	@install -D -m 644 packaging/kipc.sysusers "$(DESTDIR)$(PREFIX)/lib/sysusers.d/kipc.conf"
	@install -D -m 644 packaging/kipc.modules-load "$(DESTDIR)$(PREFIX)/lib/modules-load.d/kipc.conf"
	$(if $(DESTDIR),,@systemd-sysusers "$(PREFIX)/lib/sysusers.d/kipc.conf" && udevadm control --reload)

## uninstall: remove what "make install" installed, with the same DESTDIR=, PREFIX=, KDIR=
uninstall:
	@DESTDIR="$(DESTDIR)" scripts/install-module --remove
	@$(MAKE) -C userlib uninstall $(where)
	@$(MAKE) -C tools uninstall $(where)
	@$(MAKE) -C tools/named uninstall $(where)
	@scripts/install-manuals --remove "$(DESTDIR)$(mandir)" $(SECTIONS)
	@rm -f "$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-kipc.rules" \
		"$(DESTDIR)$(PREFIX)/lib/sysusers.d/kipc.conf" \
		"$(DESTDIR)$(PREFIX)/lib/modules-load.d/kipc.conf"
	$(if $(DESTDIR),,@ldconfig)

## packages: build the Debian packages in build/packages/
packages: setup
	@scripts/build-packages

## check-packages: install, use and remove the packages in a plain Debian, in a VM
check-packages: setup
	@scripts/check-packages

## setup: install the Debian packages that are missing
setup:
	@scripts/setup

## clean: remove build/
clean:
	rm -rf build

## help: this list
help:
	@sed -n 's/^## //p' Makefile | awk '{ name = $$1; sub(/^[^ ]* /, ""); printf "  %-15s %s\n", name, $$0 }'

.PHONY: all module lib tools selftests demo-build demo bench bench-build vm check check-all \
	check-kernels check-static check-bench check-debug coverage fuzz model check-harness install \
	install-module install-lib install-tools install-named install-man install-system uninstall packages \
	check-packages setup clean help
