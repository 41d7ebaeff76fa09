#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the selftest and an L2 in L1s whose kernels look for bugs: "debug" has lockdep, KASAN, UBSAN, kmemleak and the
# like, "kcsan" looks for data races. With KASAN Bochs would take too long, so there "locking" is "debug" without it.
# objtool checks the noinstr code of all. Leaves the logs in DIR.
# Usage: [SERIES=...] [LANE=...] run.sh DIR, with the lab and the selftests built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"
# shellcheck source=test/lab/lib-builds.sh
. "$top/test/lab/lib-builds.sh"

out=$1
tests=$top/test/tests
kernels=(locking kcsan)
[ "$lane" = vmx ] || kernels=(debug kcsan)
kernel=			# one of them

# options: the kernel's, beside those of test/lab/small.config.
options()
{
	kvm_options
	printf 'CONFIG_%s=y\n' PREEMPT USERFAULTFD DEBUG_KERNEL DEBUG_ENTRY NOINSTR_VALIDATION WERROR KVM_WERROR
	echo CONFIG_LOG_BUF_SHIFT=20	# dmesg is to hold all since the boot
	case $kernel in
	debug)
		printf 'CONFIG_%s=y\n' KASAN KASAN_GENERIC KASAN_OUTLINE
		;;&
	debug | locking)
		printf 'CONFIG_%s=y\n' PROVE_LOCKING DEBUG_ATOMIC_SLEEP DEBUG_PREEMPT DEBUG_LIST \
			UBSAN UBSAN_BOUNDS UBSAN_SHIFT UBSAN_BOOL UBSAN_ENUM DEBUG_KMEMLEAK
		! grep -q UBSAN_SANITIZE_ALL "$source/lib/Kconfig.ubsan" || echo CONFIG_UBSAN_SANITIZE_ALL=y
		echo CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE=40000
		;;
	kcsan)
		printf 'CONFIG_%s=y\n' KCSAN KCSAN_EARLY_ENABLE KCSAN_INTERRUPT_WATCHER
		;;
	esac
}

# succeeded STATUS WHY: a verdict's command for what ran before, with its progress shown.
succeeded() { echo "$2"; [ "$1" -eq 0 ]; }

# check_noinstr: make lets objtool look for calls out of noinstr code in vmlinux.o only, so KVM is linked to that.
check_noinstr()
{
	local all=$objects/vmlinux-kvm.o status=0

	ld -r --allow-multiple-definition -o "$all" "$objects/vmlinux.o" "$objects"/arch/x86/kvm/{kvm,kvm-intel,kvm-amd}.o &&
		"$objects/tools/objtool/objtool" --noinstr --link "$all" || status=$?
	rm -f "$all"
	return $status
}

# build_kernel: false, with the reason at the end of the log, if that fails or warns of KVM. KVM is always built anew,
# for its warnings.
build_kernel()
{
	rm -rf "$objects"/{vmlinux.o,arch/x86/kvm,virt/kvm}
	options | configure &&
		omake bzImage modules &&
		check_noinstr >>"$objects/log" 2>&1 &&
		no_warnings 'leaves .noinstr.text section|(arch/x86|virt)/kvm/.*[Ww]arning'
}

# passed_selftest FILE.status: all of its tests were run and are ok. That of the statistics says nothing in Linux 6.1.
passed_selftest()
{
	local tap=${1%.status}.txt

	[ "$(cat "$1")" = 0 ] || { echo "exit status $(cat "$1"), see $tap"; return 1; }
	! grep '^not ok' "$tap" && { grep -q '^ok ' "$tap" || [ "$series ${tap##*/}" = "6.1 statistics.txt" ]; }
}

# drop_others_races FILE: what is in FILE but KCSAN's reports on races in which the series has no part, i.e. one of the
# functions has nothing to do with the statistics. Those are kept in FILE.races; KVM has some of its own.
drop_others_races()
{
	local ours='exit_(stats|sum)|ledger|copy_stat|vcpu_(run|enter_guest|ioctl_run|load|create)|stats?_(read|get)|copy_to_user'

	awk -v races="$1.races" -v ours="$ours" '
		function is_ours(title,	names, n, i) {
			sub(/.*data-race in /, "", title)
			n = split(title, names, " / ")
			for (i = 1; i <= n; i++)
				if (names[i] !~ ours)
					return 0
			return 1
		}
		{ sub(/\r$/, ""); text = $0; sub(/^\[[^]]*\] */, "", text) }
		text ~ /^=+$/ && !within { within = 1; report = $0 "\n"; next }
		within { report = report $0 "\n" }
		within && /BUG: KCSAN: data-race in / { others = !is_ours(text) }
		within && text ~ /^=+$/ {
			if (others)
				printf "%s", report >races
			else
				printf "%s", report
			within = others = 0
			next
		}
		!within { print }
		END { if (within) printf "%s", report }' "$1"
}

# no_splats FILE...: the kernel's own words on what it checks are no splat.
no_splats()
{
	local file status=0

	for file; do
		drop_others_races "$file" | grep -v 'RCU lockdep checking is enabled' >"$file.scanned"
		"$top/test/lab/scan-splats.sh" "$file.scanned" || status=1
	done
	return $status
}

# run_kernel: the selftest and L2 in an L1 with it. Two CPUs, for races; one in Bochs, where preemption makes them.
run_kernel()
{
	local dir=$out/$kernel files=$out/$kernel-files status=0 cpus=2

	[ "$lane" = svm ] || cpus=1
	mkdir -p "$files/modules"
	find "$objects" -name '*.ko' -exec cp -t "$files/modules" {} +
	for job in selftest counters; do
		cp "$tests/$job/job.sh" "$files/$job.sh"
	done
	"$top/test/lab/boot-l1.sh" -o "$dir" -c $cpus -t 2000 -k "$objects/arch/x86/boot/bzImage" -m "$files/modules" \
		"$tests/debug-kernels/job.sh" "$files"/*.sh "$selftests"/{exit_stats*,kvm_binary_stats}_test || status=$?
	verdict "the jobs run" succeeded $status "exit status $status, see $dir"
	for status in "$dir"/*.status; do
		verdict "selftest ($(basename "$status" .status))" passed_selftest "$status"
	done
	"$tests/counters/judge.py" "$dir" || not_ok "comparing the counters" "see $dir"
	cat "$dir/verdicts" || :	# if it is missing, the jobs failed
	verdict "no splat" no_splats "$dir"/{l1-console.log,l1-dmesg.txt,l2-dmesg.txt}
}

# test_kernel: builds it, and runs it if that works.
test_kernel()
{
	local status=0

	log "building the kernel $kernel"
	build_kernel || status=$?
	cp "$objects/log" "$out/$kernel-build.log"
	verdict "builds without a warning from KVM" succeeded $status "$(tail -n 1 "$objects/log")"
	[ $status -ne 0 ] || run_kernel
}

need_packages "${build_packages[@]}"
need_disk 3
check_out_source
for kernel in "${kernels[@]}"; do
	objects=$build/debug-$kernel
	make_args=("LOCALVERSION=-$kernel")
	test_kernel | sed -u -E "s/^(ok|not ok|skip) /&$kernel: /"
done
