#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests exitstat without a hypervisor: with sanitizers and a fake CPU (fake-cpuid.c) against the transcripts here, where
# it meets trouble, and what other programs make of its output. Prints a verdict for each test. Needs root, for a /sys
# of its own. Usage: run.sh

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"

here=$top/test/tests/exitstat-unit
source=$top/patches/files/tools/kvm/exitstat
work=$top/build/exitstat-test
bin=$work/bin
tools=$top/build/tools			# Debian's promtool and node_exporter
shipped=$top/build/exitstat		# without the fake
debugfs=/sys/kernel/debug/kvm

# build_fake: exitstat with the fake CPU, as $bin/exitstat.
build_fake()
{
	rm -rf "$work"
	mkdir -p "$bin"
	quiet "$work/log" gcc -std=gnu11 -D_GNU_SOURCE -g -O1 -Wall -Wextra -Werror \
		-fsanitize=address,undefined -fno-sanitize-recover=undefined \
		-Wl,--wrap=clock_gettime,--wrap=sigtimedwait,--wrap=waitpid \
		-iquote "$top/build/exitstat.obj/arch/x86/include/uapi" -iquote "$source" \
		-DEXITSTAT_VERSION='"Linux of the test"' -o "$bin/exitstat" \
		"$source"/{exitstat,names,guest,host,output}.c "$here/fake-cpuid.c"
}

# same_output WANTED ACTUAL: whether these files are; else the difference is kept.
same_output() { diff -U 100 "$@" | tee -a "$work/differences"; }

# run_transcript FILE [SED_SCRIPT]: run each command, "$ COMMAND"; what it prints, through SED_SCRIPT, and its exit
# status, "= N", are those in FILE.
run_transcript()
{
	local line command='' wanted='' actual

	while IFS= read -r line; do
		case $line in
		'$ '*)
			command=${line#\$ }
			wanted=
			;;
		'= '*)
			actual=$(status=0; eval "$command" 2>&1 || status=$?; echo "= $status")
			actual=$(sed -E "${2-}" <<<"$actual")
			verdict "${1%.transcript}: $command" same_output <(echo "$wanted$line") <(echo "$actual")
			;;
		*)	wanted+=$line$'\n' ;;
		esac
	done <"$here/$1"
}

# start_vm TABLE QEMU_ARG...: a process that exitstat takes for QEMU, $vm, with TABLE in its directory in debugfs.
start_vm()
{
	local table=$1 dir file

	shift
	/usr/bin/python3 -c 'import signal; signal.pause()' "$@" &
	vm=$!
	until grep -q pause "/proc/$vm/cmdline"; do sleep 0.1; done

	dir=$debugfs/$vm-11
	mkdir -p "$dir"/vcpu{0,1}
	cp "$here/hosts/$table" "$dir/exit_stats"
	for file in "$here/hosts/$table"-vcpu*; do
		[ ! -e "$file" ] || cp "$file" "$dir/vcpu${file##*vcpu}/exit_stats"
	done
}

# check_host: on the host, with a /sys of this script's own.
check_host()
{
	local parameters=/sys/module/kvm/parameters web amd

	mount -t tmpfs tmpfs /sys
	run_transcript host-unpatched.transcript

	mkdir -p $parameters
	echo Y >$parameters/exit_stats
	run_transcript host-without-debugfs.transcript

	mkdir -p $debugfs
	chmod 700 $debugfs
	cp "$bin/exitstat" /sys/
	run_transcript host-without-vms.transcript
	start_vm vmx -S -name 'guest=web,,1,debug-threads=on'
	web=$vm
	run_transcript host-debugfs.transcript "s/\b$web\b/WEB/g; s/ +/ /g"
	start_vm svm -name 'd"\b'
	amd=$vm
	run_transcript host-names.transcript "s/\b$web\b/WEB/g; s/\b$amd\b/AMD/g; s/ +/ /g"
	kill "$web" "$amd"

	rm -r "${debugfs:?}"/*
	start_vm ledger -name web
	run_transcript host-ledger.transcript "s/\b$vm\b/WEB/g; s/ +/ /g"
	kill "$vm"

	rm -r "${debugfs:?}"/*
	start_vm newer --name debug-threads=on,guest=new
	run_transcript host-newer.transcript "s/\b$vm\b/NEW/g; s/ +/ /g"
	ln -sf exit_stats "$debugfs/$vm-11/exit_stats"
	run_transcript host-unreadable.transcript "s/\b$vm\b/NEW/g"
	kill "$vm"
}

# Each of these is a test: the last line that it prints says why it fails.

full_disk()
{
	! exitstat >/dev/full 2>"$work/error" || return
	grep -x 'exitstat: cannot write: No space left on device' "$work/error"
}

full_disk_later()
{
	! exitstat --csv 1 3 >/dev/full 2>"$work/error" || return
	[ "$(wc -l <"$work/error")" -eq 1 ]
}

closed_output() { ! exitstat >&- 2>"$work/error" && grep -x 'exitstat: cannot write: Bad file descriptor' "$work/error"; }

# Dies of SIGPIPE without a word, long before its last interval.
closed_pipe()
{
	local statuses

	exitstat --csv -a 1 1000000 2>"$work/error" | head -n 1 >/dev/null
	statuses=("${PIPESTATUS[@]}")
	echo "${statuses[*]}, $(cat "$work/error")"
	[ "${statuses[0]}" -eq 141 ] && [ ! -s "$work/error" ]
}

# interrupt SIGNAL ARG...: ends an exitstat that sleeps; its exit status is $interrupted, its output in $work/output.
interrupt()
{
	local sig=$1 pid

	shift
	# A job in the background ignores SIGINT otherwise, and so does all that this has started, if it is one itself.
	set -m
	EXITSTAT_SLEEP=1 env --default-signal=INT exitstat "$@" >"$work/output" 2>"$work/error" &
	pid=$!
	set +m
	sleep 1.5
	kill "-$sig" $pid
	interrupted=0
	wait $pid || interrupted=$?
	echo "exit status $interrupted, $(cat "$work/error")"
}

sigint_while_asleep()
{
	interrupt INT --json 0.2
	[ $interrupted -eq 130 ] && [ ! -s "$work/error" ] && [ "$(wc -l <"$work/output")" -ge 2 ] && jq . "$work/output"
}

sigterm_while_asleep() { interrupt TERM 100; [ $interrupted -eq 143 ] && [ ! -s "$work/output" ]; }

# As in a terminal, the signal is for both. What COMMAND cost is still said.
sigint_while_command_runs()
{
	local pid status=0

	set -m
	env --default-signal=INT exitstat -- sleep 100 2>"$work/output" &
	pid=$!
	set +m
	sleep 1
	kill -INT -- -$pid
	wait $pid || status=$?
	echo "exit status $status, $(cat "$work/output")"
	[ $status -eq 130 ] && grep 'seconds elapsed' "$work/output"
}

# on_terminal COMMAND: its output there, which has 10 lines of 60 columns.
on_terminal() { TERM=xterm script -qefc "stty rows 10 cols 60; $1" /dev/null </dev/null; }

top_redraws()
{
	on_terminal 'exitstat -t -a 1 3' | tr -d '\r' >"$work/output"
	cat "$work/output"
	[ "$(grep -c $'\033\\[H\033\\[J' "$work/output")" -eq 3 ] && [ "$(wc -l <"$work/output")" -le 30 ]
}

bold_header() { on_terminal exitstat | grep $'\033\\[1m'; }
no_color() { ! NO_COLOR=1 on_terminal exitstat | grep $'\033'; }
dumb_terminal() { ! on_terminal 'TERM=dumb exitstat' | grep $'\033'; }

# The numbers of all formats are the same.
json_is_csv()
{
	diff <(exitstat --json -A 1 2 | jq -r '.counts[] | .vcpu as $v | .reasons[] |
		[$v, .reason, .name // "", .exits, .cycles, .ns] | @csv' | tr -d \") \
		<(exitstat --csv -A 1 2 | tail -n +2 | cut -d , -f 5-)
}

json_adds_up()
{
	exitstat --json | jq -e '.counts[0] |
		([.reasons[].exits] | add) == .exits and ([.reasons[].cycles] | add) == .cycles'
}

# Numbers have a point, whatever the language.
no_language()
{
	localedef -i de_DE -f UTF-8 "$work/de_DE.UTF-8"
	diff <(LOCPATH=$work LC_ALL=de_DE.UTF-8 exitstat) <(LC_ALL=C exitstat)
}

shipped_is_static() { file -L "$shipped" | grep 'statically linked'; }

# The options in --help are those in the man page.
options_are_documented()
{
	diff <(exitstat --help | sed -nE '/^ +-/{s/^ +//; s/  .*//; p}' | grep -oE -- '--?[a-zA-Z]+' | sort) \
		<(sed -n '/^\.SH OPTIONS/,/^\.SH OUTPUT/{/^\.TP/{n; s/\\//g; p}}' "$source/exitstat.1" |
			grep -oE -- '--?[a-zA-Z]+' | sort)
}

man_page() { ! man --warnings -l "$source/exitstat.1" 2>&1 >/dev/null | grep .; }

# promtool_package: where Debian has it: in a package of its own since Debian 13.
promtool_package() { if [ -n "$(apt-cache madison promtool)" ]; then echo promtool; else echo prometheus; fi; }

# fetch_program PACKAGE NAME: Debian's, into $bin, without the rest of the package.
fetch_program()
{
	[ ! -x "$tools/$2" ] || return 0
	mkdir -p "$tools"
	(cd "$tools" && apt-get download -qq -o APT::Sandbox::User=root "$1" &&
		dpkg-deb --fsys-tarfile "$1"_*.deb | tar -xO "./usr/bin/$2" >"$2.part" && rm "$1"_*.deb) &&
		chmod +x "$tools/$2.part" && mv "$tools/$2.part" "$tools/$2"
}

promtool_accepts() { exitstat "$@" --openmetrics | "$tools/promtool" check metrics; }

# What node_exporter serves is what the example in the documentation wrote, no more and no less.
node_exporter_serves()
{
	local pid address answer

	mkdir -p "$work/textfiles"
	(cd "$work/textfiles" && eval "$(grep '^ *exitstat --openmetrics >' "$top/Documentation/exitstat.rst")")
	"$tools/prometheus-node-exporter" --collector.disable-defaults --collector.textfile \
		--collector.textfile.directory="$work/textfiles" --web.listen-address=127.0.0.1:0 2>"$work/error" &
	pid=$!
	for _ in $(seq 100); do
		address=$(sed -n 's/.*msg="Listening on" address=//p' "$work/error")
		[ -z "$address" ] || ! answer=$(curl -s "http://$address/metrics") || break
		sleep 0.1
	done
	kill $pid
	# It writes 1946 as 1946, but 14149950 as 1.414995e+07.
	[ -s "$work/textfiles/exitstat.prom" ] && diff <(grep '^kvm_' "$work/textfiles/exitstat.prom" | sort) \
		<(awk '/^kvm_/ { $2 = sprintf("%.0f", $2); print }' <<<"$answer" | sort) &&
		grep -x 'node_textfile_scrape_error 0' <<<"$answer"
}

# The documentation's query, for a VM with two vCPUs that each take 3,000,000 cycles a minute at 1 MHz.
promql_works()
{
	cat >"$work/rules.yml" <<-END
		groups:
		  - name: exitstat
		    rules:
		      - record: time
		        expr: $(grep '^ *sum by' "$top/Documentation/exitstat.rst")
	END
	cat >"$work/promql.yml" <<-END
		rule_files: [rules.yml]
		evaluation_interval: 1m
		tests:
		  - interval: 1m
		    input_series:
		      - series: 'kvm_vm_exit_cycles_total{instance="h",pid="9",vm="v",vcpu="0",code="12",reason="HLT"}'
		        values: '0+3000000x10'
		      - series: 'kvm_vm_exit_cycles_total{instance="h",pid="9",vm="v",vcpu="1",code="12",reason="HLT"}'
		        values: '0+3000000x10'
		      - series: 'kvm_tsc_frequency_hertz{instance="h"}'
		        values: '1000000x10'
		    promql_expr_test:
		      - expr: time
		        eval_time: 10m
		        exp_samples:
		          - labels: 'time{instance="h",vm="v",reason="HLT"}'
		            value: 0.1
	END
	"$tools/promtool" test rules "$work/promql.yml"
}

if [ -z "${in_namespace:-}" ]; then
	[ "$(id -u)" -eq 0 ] || die "only root can have a /sys of its own: run it as root"
	need_packages curl file gcc jq libc6-dev locales make man-db procps python3 util-linux bsdutils
	exec unshare --mount --pid --fork --kill-child --mount-proc --propagation private env in_namespace=1 "$0"
fi

[ -e "$shipped" ] || die "exitstat is not built: run 'make exitstat'"
build_fake
export TZ=UTC EXITSTAT_SCENE="$here/scenes/vmx" PATH=$bin:$PATH
unset NO_COLOR
cd "$here/scenes"

run_transcript guest.transcript
for name in full_disk full_disk_later closed_output closed_pipe sigint_while_asleep sigterm_while_asleep \
	sigint_while_command_runs top_redraws bold_header no_color dumb_terminal json_is_csv json_adds_up no_language \
	shipped_is_static options_are_documented man_page; do
	verdict "${name//_/ }" $name
done
verdict "promtool is there" fetch_program "$(promtool_package)" promtool
verdict "node_exporter is there" fetch_program prometheus-node-exporter prometheus-node-exporter
for options in '' -A '-a -c 1'; do
	# shellcheck disable=SC2086	# options
	verdict "promtool accepts --openmetrics $options" promtool_accepts $options
done
verdict "node_exporter serves --openmetrics" node_exporter_serves
verdict "PromQL works on --openmetrics" promql_works
export EXITSTAT_SCENE=$here/scenes/unpatched
check_host
