# SPDX-License-Identifier: GPL-2.0
# Targets only: the logic lies in scripts/ and test/. A target's help is the text after its "##".

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help fetch apply build export check lab selftest demo shell test bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

fetch: ## get the kernel: Debian's source (or KSRC=DIR), the stock kernel and headers of that version
	@scripts/fetch-kernel.sh

apply: fetch ## put the series on the kernel's tree, build/6.12/linux, a commit for each patch
	@scripts/apply-series.sh

build: apply ## build the patched KVM modules for Debian's stock kernel
	@scripts/build-modules.sh

export: ## turn the commits in build/6.12/linux back into patches/6.12
	@scripts/export-series.sh

check: fetch ## check what needs no lab: strict application, style, warnings, a build after every patch
	@scripts/check-series.sh

lab: build ## build the file systems of L1, the hypervisor, and of L2, its guest
	@test/build-lab.sh

selftest: build ## build the KVM selftest of the series
	@scripts/build-selftest.sh

demo: lab ## the main job: build, boot L1 and in it L2, show the exits that L2 reads with cpuid
	@test/run-demo.sh

shell: lab ## a console in L1, with a command there that boots L2
	@test/open-shell.sh

test: lab selftest ## run the tests in the lab
	@test/run-tests.sh

bench: lab selftest ## measure what the accounting costs, as a table
	@test/run-bench.sh

clean: ## remove what was built; the downloads and the kernel's tree stay
	@scripts/clean-build.sh
