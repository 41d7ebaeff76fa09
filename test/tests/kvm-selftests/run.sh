#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# KVM's own selftests give the same results on Debian's stock modules and on the patched ones. Runs all of x86 in L1,
# and prints a line for each, "ok NAME (RESULT in both)" or "not ok NAME: why". All results come into DIR/results.txt, of
# which a copy is kept as expected.SERIES-LANE.txt: what passes there must still do so.
# Usage: [SERIES=...] [LANE=...] run.sh DIR, with the lab built

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=scripts/lib-build.sh
. "$top/scripts/lib-build.sh"
# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
out=$1
results=$out/results.txt
kept=$here/expected.$series-$lane.txt
sources=$ktree/tools/testing/selftests/kvm

seconds=60		# that a program has
# Programs whose defaults want a larger and faster machine: more seconds, or less work.
declare -A longer=(
	[kvm_create_max_vcpus]=240
	[memslot_perf_test]=240
	[set_memory_region_test]=240
)
declare -A arguments=(
	[demand_paging_test]="-b 32M"
	[dirty_log_page_splitting_test]="-b 16M"
	[dirty_log_perf_test]="-b 32M"
	[kvm_page_table_test]="-b 32M"
	[memslot_modification_stress_test]="-b 32M"
	[memslot_perf_test]="-l 1 -s 512"
)

# Bochs never interrupts a guest that loops with interrupts off (RFLAGS.IF is 0), so L1 would stand still in these.
unfit=()
bochs=()
if [ "$lane" = vmx ]; then
	unfit=(hardware_disable_test hyperv_ipi hyperv_tlb_flush memslot_perf_test set_memory_region_test vmx_preemption_timer_test)
	bochs=(-b)
fi

# Linux 6.1.y does not build these: they use macros that its selftests' library and its headers do not have there.
unbuilt=()
[ "$series" != 6.1 ] || unbuilt=(dirty_log_test steal_time)

# programs KIND: those of the unpatched tree for x86 that build, without the series' own.
programs()
{
	local makefile

	makefile=$(kgit show "$base:tools/testing/selftests/kvm/Makefile.kvm" 2>/dev/null ||
		kgit show "$base:tools/testing/selftests/kvm/Makefile")
	sed -nE "s/^$1_(x86|x86_64|COMMON) \+?= *//p" <<<"$makefile" | grep -v '^\$' |
		grep -vxFf <(printf '%s\n' "${unbuilt[@]}")
}

# run_boot DIR NAME...: boots L1 and runs these on both sets of modules. QEMU forgets an interrupt now and then, hence the
# second chance.
run_boot()
{
	local dir=$1 name try files=()

	shift
	for name in "$@"; do
		echo "$name ${longer[$name]:-$seconds} ${arguments[$name]:-}"
		files+=("$work/tests/$name")
		[ "$name" != nx_huge_pages_test.sh ] || files+=("$work/tests/nx_huge_pages_test")
	done >"$work/tests.txt"
	for try in first second; do
		"$top/test/lab/boot-l1.sh" "${bochs[@]}" -m none -t 3000 -o "$dir" "$here/job.sh" \
			"$work"/{tests.txt,stock.tar,patched.tar} "${files[@]}" && return
		log "the $try try ended in: $(grep -a '^lab: ' "$dir/l1-console.log" | tail -n 1)"
	done
	die "L1 did not run the selftests to their end: see $dir"
}

# class FILE NAME SECONDS: how the program ended, by its status in FILE. 4 is the selftests' own for "cannot run here".
class()
{
	awk -v name="$2" -v limit="$3" '
		$1 != name { next }
		$2 == 0 { print "pass" }
		$2 == 4 { print "skip" }
		$2 == 137 { print ($3 >= limit ? "timeout" : "fail") }
		$2 != 0 && $2 != 4 && $2 != 137 { print "fail" }' "$1"
}

# tap FILE: its tests, a line each.
tap() { grep -E '^(not )?ok [0-9]+' "$1" || :; }

# outcomes SET NAME: what the program has come to in all boots up to now, a line each, sorted: its class, and the
# result of each of its tests.
outcomes()
{
	local dir

	for dir in "$out"/boot*; do
		if [ -e "$dir/$1/$2.txt" ]; then
			echo "$(class "$dir/$1/results" "$2" "${longer[$2]:-$seconds}") $(tap "$dir/$1/$2.txt" | paste -sd ';')"
		fi
	done | sort -u
}

# is_new NAME: has the patched KVM come to what the stock one has not?
is_new() { [ -n "$(comm -13 <(outcomes stock "$1") <(outcomes patched "$1"))" ]; }

# classes SET NAME: e.g. "pass", or "fail/pass" for one that is random.
classes() { outcomes "$1" "$2" | cut -d ' ' -f 1 | uniq | paste -sd /; }

# note SET NAME: why it does not pass, or the number of its tests, if it counts them.
note()
{
	local text=$out/boot1/$1/$2.txt why

	case $(class "$out/boot1/$1/results" "$2" "${longer[$2]:-$seconds}") in
	pass)
		why=$(tap "$text" | wc -l)
		[ "$why" -eq 0 ] || echo "$why tests"
		return ;;
	timeout) why="not done in ${longer[$2]:-$seconds} seconds" ;;
	skip)	why=$(sed -n 's/.*# SKIP[ -]*//p' "$text" | head -n 1) ;;
	*)	why=$(sed -n '/Test Assertion Failure/ { n; s/^ *//; p; q }' "$text") ;;
	esac
	echo "${why:-$(tail -n 1 "$text")}"
}

# drop_lab_splats FILE: what is in FILE but that a program wants more memory than L1 has, and in Bochs RCU's report that
# a guest with interrupts off kept the CPU too long.
drop_lab_splats()
{
	local stall='s/^[^\n]*rcu: INFO: [^\n]* stall.*?entry_SYSCALL_64[^\n]*\n//gms'

	[ "$lane" = vmx ] || stall=
	sed '/invoked oom-killer/,/Out of memory: Killed process/d' "$1" | perl -0pe "$stall"
}

# splats SET: what test/lab/scan-splats.sh finds in what the kernel logged, without the numbers.
splats()
{
	local log

	find "$out"/boot*/"$1" -name '*.dmesg' -size +0 | while read -r log; do
		{ echo "$log:"; drop_lab_splats "$log"; } >"$log.scanned"
		"$top/test/lab/scan-splats.sh" "$log.scanned" || :
	done | sed -E 's/^[^ ]*:[0-9]+:\[[^]]*\] //; s/0x[0-9a-f]+|[0-9a-f]{8,}|[0-9]+/N/g' | sort -u
}

classes='^(pass|skip|fail|timeout)(/(pass|skip|fail|timeout))*$'

# judge NAME: its verdict, and its line in the results.
judge()
{
	local name=$1 stock patched note before

	stock=$(classes stock "$name")
	patched=$(classes patched "$name")
	note=$(note stock "$name")
	printf '%-40s %-10s %-10s %s\n' "$name" "${stock:--}" "${patched:--}" "$note" >>"$results"

	before=$(awk -v name="$name" '$1 == name { print $2, $3 }' "$kept" 2>/dev/null || :)
	if ! [[ $stock =~ $classes && $patched =~ $classes ]]; then
		not_ok "$name" "no result: '$stock' unpatched, '$patched' patched: see $out/boot1"
	elif is_new "$name"; then
		not_ok "$name" "$stock unpatched, $patched patched, in $boots runs: see $out/boot*/{stock,patched}/$name.txt"
	elif [ "$before" = "pass pass" ] && [[ $patched != *pass* ]]; then
		not_ok "$name" "$patched in both ($note), but pass in ${kept##*/}"
	elif [ "$(outcomes stock "$name")" != "$(outcomes patched "$name")" ] || [[ $stock = */* ]]; then
		ok "$name (random: $stock unpatched, $patched patched)"
	elif [ "$patched" = pass ]; then
		ok "$name (pass in both)"
	else
		ok "$name ($patched in both: $note)"
	fi
}

mapfile -t paths < <(programs TEST_GEN_PROGS; programs TEST_GEN_PROGS_EXTENDED)
mapfile -t scripts < <(programs TEST_PROGS)
[ ${#paths[@]} -gt 0 ] || die "there are no selftests for x86 in $sources/Makefile"
"$top/scripts/build-selftest.sh" "${paths[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{stock,tests}
for path in "${paths[@]}"; do
	cp "$selftests/${path##*/}" "$work/tests/"
done
cp "${scripts[@]/#/$sources/}" "$work/tests/"
for module in kvm kvm-intel kvm-amd; do
	xz -dcf "$(stock_module "arch/x86/kvm/$module")" >"$work/stock/$module.ko"
done
tar -C "$work/stock" -cf "$work/stock.tar" .
tar -C "$modules" -cf "$work/patched.tar" kvm.ko kvm-intel.ko kvm-amd.ko

mapfile -t names < <({ programs TEST_GEN_PROGS; programs TEST_PROGS; } | sed 's,.*/,,' |
	grep -vxFf <(printf '%s\n' "${unfit[@]}") | LC_ALL=C sort)
changed=$(kgit diff --name-only --diff-filter=a "$base" HEAD -- tools/testing/selftests |
	grep -vE '/(Makefile|Makefile.kvm|\.gitignore)$' || :)
if [ -z "$changed" ]; then
	ok "the series leaves KVM's own as they are"
else
	not_ok "the series leaves KVM's own as they are" "it changes ${changed//$'\n'/, }"
fi

boots=1
run_boot "$out/boot1" "${names[@]}"
while [ $boots -lt 4 ]; do
	differing=()
	for name in "${names[@]}"; do
		! is_new "$name" || differing+=("$name")
	done
	[ ${#differing[@]} -gt 0 ] || break
	boots=$((boots + 1))
	log "once more, because they differ: ${differing[*]}"
	run_boot "$out/boot$boots" "${differing[@]}"
done

for name in "${names[@]}"; do
	judge "$name"
done

new=$(comm -13 <(splats stock) <(splats patched))
if [ -z "$new" ]; then
	ok "no splat that the stock modules do not give"
else
	not_ok "no splat that the stock modules do not give" "$(head -n 1 <<<"$new"): see $out/boot*/patched/*.dmesg"
fi

[ ${#unbuilt[@]} -eq 0 ] || log "not run, because they do not build: ${unbuilt[*]}"
[ ${#unfit[@]} -eq 0 ] || log "not run, because L1 would hang in Bochs: ${unfit[*]}"
if [ ! -s "$kept" ]; then
	not_ok "the kept list" "there is no $kept: copy $results to it"
else
	gone=$(comm -23 <(cut -d ' ' -f 1 "$kept" | sort) <(printf '%s\n' "${names[@]}" | sort) | paste -sd ' ')
	if [ -z "$gone" ]; then
		ok "all that are in ${kept##*/} were run${unfit[*]:+, which leaves out what hangs Bochs: ${unfit[*]}}"
	else
		not_ok "all that are in ${kept##*/} were run" "gone: $gone"
	fi
fi
