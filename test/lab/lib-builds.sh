# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Common to the tests that build kernels of other configurations than Debian's: sourced after scripts/lib.sh. They build
# what is committed in the series' tree.

# shellcheck source=scripts/lib-series.sh
. "$top/scripts/lib-series.sh"

source=$build/source		# a work tree of $ktree, which has objects of its own, and that forbids others
objects=			# where the kernel is built; set by who sources this
make_args=()			# e.g. LLVM=1
build_packages=(bc binutils bison flex gcc git kmod libc6-dev libelf-dev libssl-dev make perl zstd)

# check_out_source: $source as it is on our branch.
check_out_source()
{
	demand_whole_branch
	worktree prune
	[ -e "$source/.git" ] || { rm -rf "$source"; worktree add -q --detach "$source" "$branch"; }
	kgit -C "$source" checkout -q --force --detach "$branch"
}

# knows OPTION: does KVM of this series have it?
knows() { grep -qx "config $1" "$source/arch/x86/kvm/Kconfig"; }

# kvm_options: KVM with all its parts. SEV needs an IOMMU and the driver ccp, which the lab loads anyway.
kvm_options()
{
	local option

	for option in KVM_IOAPIC KVM_SMM KVM_HYPERV KVM_XEN KVM_EXIT_STATS; do
		! knows $option || echo CONFIG_$option=y
	done
	cat <<-END
		CONFIG_CRYPTO=y
		CONFIG_CRYPTO_HW=y
		CONFIG_CRYPTO_DEV_CCP=y
		CONFIG_CRYPTO_DEV_CCP_DD=m
		CONFIG_IOMMU_SUPPORT=y
		CONFIG_AMD_IOMMU=y
		CONFIG_CRYPTO_DEV_SP_PSP=y
		CONFIG_KVM_AMD_SEV=y
	END
}

# omake ARG...: the kernel's make with the objects in $objects, all output in the log there.
omake()
{
	make -j"$(nproc)" -C "$source" O="$objects" ARCH=x86 LOCALVERSION= "${make_args[@]}" "$@" >>"$objects/log" 2>&1
}

# configure: gives $objects the configuration test/lab/small.config with the lines of stdin, the last of which wins. False
# if the kernel refuses one of them; the last line of the log says which.
configure()
{
	local refused new=$objects/config.new

	mkdir -p "$objects"
	awk 'match($0, /CONFIG_[A-Z0-9_]+/) { last[substr($0, RSTART, RLENGTH)] = $0 }
		END { for (option in last) print last[option] }' >"$objects/config.wanted"
	cat "$top/test/lab/small.config" "$objects/config.wanted" >"$objects/config.all"
	: >"$objects/log"
	omake KCONFIG_ALLCONFIG="$objects/config.all" KCONFIG_CONFIG="$new" allnoconfig || return
	refused=$(awk '
		FNR == NR { wanted[$0]; next }
		{ delete wanted[$0] }
		/^CONFIG_/ { sub(/=.*/, ""); is_set[$0] }
		END {
			for (line in wanted)
				if (line !~ /^# .* is not set$/ || substr(line, 3, length(line) - 13) in is_set)
					printf "%s ", line
		}' "$objects/config.wanted" "$new")
	[ -z "$refused" ] || { echo "refused: $refused" >>"$objects/log"; return 1; }
	# A .config that is the same must keep its date, or more is built again.
	cmp -s "$new" "$objects/.config" || cp "$new" "$objects/.config"
}

# no_warnings REGEX: false if the log has lines with it; the last line of the log says so.
no_warnings()
{
	local found

	found=$(grep -E -m 1 "$1" "$objects/log") || return 0
	echo "$found" >>"$objects/log"
	return 1
}
