# SPDX-License-Identifier: GPL-2.0
# Targets only: the logic lies in scripts/ and test/. A target's help is the text after its "##".

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test soak shell bench report lab selftest exitstat
.PHONY: modules install reload uninstall status kernel kernel-install kernel-deb
.PHONY: fetch apply build export check clean

# With make -n the scripts say what they would do.
run = +@scripts/$(1) $(if $(findstring n,$(firstword -$(MAKEFLAGS))),-n) $(2)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 } /^## / { print substr($$0, 4) }' Makefile

## In the lab, for Linux 6.12, or 6.1 with SERIES=6.1; on VMX, or SVM with LANE=svm:

demo: lab ## the main job: build, boot L1 and in it L2, show the exits that L2 reads with cpuid
	@test/run-demo.sh

test: ## run the tests, for both series, on VMX and SVM, or less with SERIES=... or LANE=...
	@scripts/for-each-series.sh test/run-tests.sh

soak: ## run the tests that take hours, for both series and lanes
	@test/run-soak.sh

shell: lab ## a console in L1, with a command there that boots L2
	@test/open-shell.sh

bench: lab selftest ## measure what the accounting costs, as a table
	@test/run-bench.sh

report: ## measure the VM-exits of a guest from boot to reboot, for both series and lanes: a page with pictures
	@test/run-report.sh

lab: build ## build the file systems of L1, the hypervisor, and of L2, its guest
	@test/build-lab.sh

selftest: build ## build the KVM selftest of the series
	$(call run,build-selftest.sh)

exitstat: apply ## build exitstat, which shows the exits in a guest or on a host, as build/exitstat
	$(call run,build-exitstat.sh)

## On a host, for the running kernel, or KVER=...:

modules: ## build the patched KVM modules
	$(call run,build-host-modules.sh)

install: ## install them beside the distribution's (as root)
	$(call run,install-modules.sh)

reload: ## unload KVM and load the installed modules (as root)
	$(call run,reload-modules.sh)

uninstall: ## remove them and load the distribution's (as root)
	$(call run,uninstall-modules.sh)

status: ## what KVM is running and installed, with which parameters
	$(call run,show-status.sh)

kernel: ## build a whole patched kernel with that kernel's configuration
	$(call run,build-kernel.sh)

kernel-install: ## install what "make kernel" built (as root)
	$(call run,install-kernel.sh)

kernel-deb: ## the same, and Debian packages of it
	$(call run,build-kernel.sh,deb)

## Work on the series (SERIES is 6.12, or 6.1 with SERIES=6.1):

fetch: ## get the kernel: Debian's source (or KSRC=DIR), the stock kernel and headers of that version
	$(call run,fetch-kernel.sh)

apply: fetch ## put the series on the kernel's tree, build/SERIES/linux, a commit for each patch
	$(call run,apply-series.sh)

build: apply ## build the patched KVM modules for Debian's stock kernel
	$(call run,build-modules.sh)

export: ## turn the commits in build/SERIES/linux back into patches/SERIES
	$(call run,export-series.sh)

check: ## check what needs no lab, in both series: strict application, style, warnings, a build after every patch
	$(call run,for-each-series.sh,scripts/check-series.sh)

clean: ## remove what was built; the downloads and the kernel's tree stay
	$(call run,clean-build.sh)
