#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compares what counts VM-exits, reason by reason, on the workloads of test/jobs/witnesses.sh: exit_stats, a histogram
# of the tracepoint kvm_exit, perf kvm stat, KVM's own statistics, and the guest's own number. All must be equal, but
# for what Documentation/what-is-measured.rst says. The table is build/SERIES/soak/LANE/witnesses/table.txt.
# Usage: [KSERIES=...] [LANE=vmx|svm] test/soak/witnesses.sh, with the lab built (make lab)

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

out=$build/soak/$lane/witnesses

# judge BEFORE WORKLOAD [N WITNESS REASON...]: a verdict for each of those that count, and the table into table.txt.
judge()
{
	awk -v lane="$lane" -v workload="$2" -v n="${3:-}" -v witness="${4:-}" -v reasons="${*:5}" '
		# count WHO NAME EXITS: sign is -1 for those before the workload.
		function count(who, name, exits) { seen[who, name] += sign * exits; names[name] }
		function value(key) { return substr($0, match($0, key ": *[0-9]+") + length(key) + 1) + 0 }
		# judge NAME WHO SHOULD: whether WHO has counted as many exits of reason NAME.
		function judge(name, who, should)
		{
			if (is(who, name) + 0 == should + 0)
				return
			why = sprintf("%s: %d, not %d", name, is(who, name), should)
		}
		function is(who, name) { return seen[who, name] + 0 }
		function verdict(what)
		{
			if (why == "")
				print "ok witnesses: " workload ": " what
			else
				print "not ok witnesses: " workload ": " what ": " why
			why = ""
		}
		FILENAME ~ /stats$/ && $1 ~ /^[0-9]/ {
			name = $2
			for (i = 3; i < NF - 2; i++)
				name = name "_" $i
			names_of[$1] = name
			count("exit_stats", name, $(NF - 2))
			sum += sign * $(NF - 2)
		}
		FILENAME ~ /exits$/ { exits += sign * $1 }
		/^# trigger info:/ { who = /guest_rip/ ? "program" : "hist" }
		/Dropped: [1-9]/ { why_dropped = FILENAME ": " $0 }
		FILENAME ~ /hist$/ && /exit_reason:/ {
			reason = lane == "svm" ? sprintf("0x%x", value("exit_reason")) : value("exit_reason") % 65536
			count(who, names_of[reason], value("hitcount"))
		}
		FILENAME ~ /msr$/ && /write:/ { msr[value("write")] += sign * value("hitcount") }
		FILENAME ~ /kvm$/ { own[$1] += sign * $2 }
		FILENAME ~ /samples$/ {
			count($1, $2, $3)
			vcpus += $1 == "last"
		}
		FILENAME ~ /perf$/ && /%.*us/ {
			for (i = 1; $i !~ /^[0-9]+$/; i++)
				name = i == 1 ? $i : name "_" $i
			count("perf", name, $i)
		}
		END {
			for (name in names)
				judge(name, "hist", is("exit_stats", name))
			if (why_dropped)
				why = why_dropped
			verdict("the tracepoint has seen the same exits, reason by reason")

			for (name in names)
				judge(name, "seen", is("exit_stats", name))
			verdict("perf has recorded the same exits, reason by reason")

			for (name in names)
				judge(name, "perf", is("exit_stats", name) - is("last", name))
			if (vcpus < 1 || vcpus > 2)
				why = vcpus " vCPUs"
			verdict("perf kvm stat counts all but the last exit of each vCPU")

			if (sum != exits || sum <= 0)
				why = sprintf("%d, not %d", exits, sum)
			verdict("KVM has counted as many exits")

			own_names = "EXTERNAL_INTERRUPT INTERRUPT_WINDOW IO_INSTRUCTION HLT VMCALL"
			split(lane == "svm" ? "interrupt vintr io hlt hypercall" : own_names, name_of)
			split("irq_exits irq_window_exits io_exits halt_exits hypercalls", stat_of)
			for (i = 1; i in name_of; i++) {
				owns[name_of[i]] = own[stat_of[i]]
				if (own[stat_of[i]] != is("exit_stats", name_of[i]))
					why = sprintf("%s: %d, not %d", stat_of[i], own[stat_of[i]],
						is("exit_stats", name_of[i]))
			}
			verdict("KVM has counted as many of the reasons that it counts")

			if (n) {
				found = witness == "program" ? 0 : msr[witness == "write"]
				for (i = split(reasons, expected); i && witness == "program"; i--)
					found += is("program", expected[i])
				if (found != n)
					why = sprintf("%d, not %d", found, n)
				verdict("the guest has caused as many")
			}

			format = "%-10s %-20s %10s %10s %10s %10s %10s %10s\n"
			table = "sort -k 1,1 -k 3,3nr >>\"" out "\""
			owns["total"] = exits
			for (name in names) {
				for (i = split("exit_stats hist seen perf", who_of); i; i--)
					seen[who_of[i], "total"] += is(who_of[i], name)
			}
			names["total"]
			for (name in names)
				if (is("exit_stats", name) || is("hist", name) || is("seen", name))
					printf(format, workload, name, is("exit_stats", name), is("hist", name),
						is("seen", name), is("perf", name), (name in owns) ? owns[name] : "-",
						index(" " reasons " ", " " name " ") ? n : "-") | table
		}' out="$out/table.txt" sign=-1 "$out/$1".{stats,exits,hist,msr,kvm} \
		sign=1 "$out/$2".{stats,exits,hist,msr,kvm,samples,perf}
}

"$top/test/build-debian-l1.sh"
need_packages gcc xz-utils
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Where no other code of L2 is, so that the histogram can tell its exits.
quiet "$out/exit-workload.log" gcc -Wall -Wextra -Werror -O2 -static -nostdlib -ffreestanding \
	-Wl,-Ttext-segment=0x5e570000 -o "$work/exit-workload" "$top/test/exit-workload.c"
xz -dcf "$(stock_module arch/x86/kernel/msr)" >"$work/msr.ko"

"$top/test/run-l1.sh" -d -t 2400 -o "$out" "$top/test/jobs/witnesses.sh" "$work/exit-workload" "$work/msr.ko" ||
	echo "not ok witnesses: its run in L1 failed: see $out"
printf '%-10s %-20s %10s %10s %10s %10s %10s %10s\n' workload reason exit_stats hist "perf's" "perf kvm" "KVM's own" \
	"guest's N" >"$out/table.txt"
before=
while read -r workload known; do
	# shellcheck disable=SC2086	# words
	[ -z "$before" ] || judge "$before" "$workload" $known
	before=$workload
done <"$out/workloads"
