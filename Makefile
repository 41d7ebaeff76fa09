# SPDX-License-Identifier: GPL-2.0
# Targets only: the logic lies in scripts/ and test/. A target's help is the text after its "##".

.DEFAULT_GOAL := help
.NOTPARALLEL:
# Variables go to the scripts by the environment: the kernel's make has an M of its own.
MAKEOVERRIDES =
.PHONY: help demo test soak mutants shell bench hot-path report lab selftests exitstat
.PHONY: modules install reload uninstall status kernel kernel-install kernel-deb
.PHONY: fetch apply build export range-diff carry port mbox check clean

# With make -n the scripts say what they would do.
run = +@scripts/$(1) $(if $(findstring n,$(firstword -$(MAKEFLAGS))),-n) $(2)
run_tests = @SERIES= LANE= scripts/need-packages.sh python3 && test/run-tests.py $(1)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 } /^## / { print substr($$0, 4) }' Makefile

## In the lab; SERIES=6.12 or LANE=svm takes another kernel than the home series', another vendor than Intel:

demo: lab ## the main job: build, boot L1 and in it L2, show the exits that L2 reads with cpuid
	@test/measure/demo/run-demo.sh

test: ## run the tests of all series, on VMX and SVM; TEST="migrate views" LANE=svm SERIES=6.12 runs less
	$(call run_tests,test)

soak: ## run the tests that take hours, of all series, on VMX and SVM
	$(call run_tests,soak)

mutants: lab ## break one rule of the series at a time and demand that a test fails; M=NAME breaks only that
	@test/run-mutants.sh

shell: lab ## a console in L1, with a command there that boots L2
	@test/lab/open-shell.sh

bench: lab selftests ## measure what the accounting costs, as a table
	@test/measure/bench/run-bench.sh

hot-path: build ## show what the accounting executes at an exit, instruction by instruction
	@test/measure/hot-path/show-hot-path.sh

report: ## measure the VM-exits of a guest from boot to reboot, for all series and lanes: a page with pictures
	@test/measure/report/run-report.sh

lab: build exitstat ## build the file systems of L1, the hypervisor, and of L2, its guest
	@test/lab/build-initramfs.sh

selftests: build ## build the KVM selftests of the series
	$(call run,build-selftest.sh)

exitstat: ## build exitstat, which shows the exits in a guest or on a host, as build/exitstat; needs no kernel's source
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

## Work on the series, see patches/README.md; SERIES=6.1 takes another one than the home series:

fetch: ## get the kernel: Debian's source (or KSRC=DIR), the stock kernel and headers of that version
	$(call run,fetch-kernel.sh)

apply: fetch ## put the series on the kernel's tree, build/SERIES/linux, a commit for each patch
	$(call run,apply-series.sh)

build: apply ## build the patched KVM modules for the lab's kernel, Debian's own
	$(call run,build-modules.sh)

export: ## turn the commits in build/SERIES/linux back into patches/SERIES and patches/files
	$(call run,export-series.sh)

range-diff: ## show how the other series differ from the home series
	$(call run,range-diff.sh)

carry: ## carry what changed in the home series to the others
	$(call run,carry-series.sh)

port: ## start the series for the next kernel from another's: FROM=7.3 TO=7.4
	$(call run,port-series.sh)

mbox: apply ## write the series as mails with all of their files, build/SERIES/series.mbox
	$(call run,make-mbox.sh)

check: ## check what needs no lab, in all series: strict application, style, links, warnings, a build after every patch
	@TEST="repository patches carry hot-path builds" $(MAKE) -s --no-print-directory test

clean: ## remove what was built; the downloads and the kernels' trees stay
	$(call run,clean-build.sh)
