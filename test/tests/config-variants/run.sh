#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds KVM, without warnings, in configurations that are not Debian's, and as much of a kernel as it takes to link it.
# Leaves the logs in DIR. Usage: [SERIES=...] run.sh DIR

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../../scripts/lib.sh"
# shellcheck source=test/lib.sh
. "$top/test/lib.sh"
# shellcheck source=test/lab/lib-builds.sh
. "$top/test/lab/lib-builds.sh"

out=$1
objects=$build/variants

base_options()
{
	echo "# CONFIG_BLOCK is not set"	# KVM needs no disks, and they take long
	echo CONFIG_KVM_WERROR=y
	kvm_options
}

# build_modules: the configuration of stdin, with KVM always built anew, for its warnings. modpost and the linker find what
# is used and not there.
build_modules()
{
	rm -rf "$objects"/{arch/x86,virt}/kvm
	configure &&
		omake vmlinux modules &&
		no_warnings '(arch/x86|virt)/kvm/.*[Ww]arning'
}

# build_variant: the same, with the statistics.
build_variant() { build_modules && [ -e "$objects/arch/x86/kvm/exit_stats.o" ]; }

# judge NAME COMMAND: the verdict on COMMAND, which builds the configuration of stdin.
judge()
{
	local start=$SECONDS log="$out/${1//[ =]/-}.log"

	if "$2"; then
		ok "$1"
	else
		not_ok "$1" "see $log: $(tail -n 1 "$objects/log")"
	fi
	cp "$objects/log" "$log"
	log "$1 took $((SECONDS - start)) s"
}

# variant NAME OPTION...: the verdict on the configuration with these lines.
variant() { { base_options; [ $# -eq 1 ] || printf '%s\n' "${@:2}"; } | judge "$1" build_variant; }

# instructions: of KVM's modules. Without numbers: data move, and so does a field of struct kvm_vcpu_arch.
instructions()
{
	local module

	for module in kvm kvm-intel kvm-amd; do
		objdump -dr --no-show-raw-insn "$objects/arch/x86/kvm/$module.ko" |
			sed -E 's/^ *[0-9a-f]+:\s*//; s/[0-9a-f]+ <(.*)>/\1/; s/0x[0-9a-f]+(\(%rip\))?/N/g'
	done
}

# build_without: the configuration of stdin, and that of the unpatched KVM, have the same instructions.
build_without()
{
	build_modules &&
		instructions >"$out/without.txt" &&
		kgit -C "$source" checkout -q --force --detach "base/$name" &&
		base_options | build_modules &&
		instructions >"$out/unpatched.txt" &&
		[ "$(wc -l <"$out/unpatched.txt")" -gt 100000 ] &&
		diff "$out/unpatched.txt" "$out/without.txt" >>"$objects/log"
}

need_packages "${build_packages[@]}" clang lld llvm
need_disk 3
one_at_a_time
check_out_source
rm -rf "$objects"

variant "all of KVM as modules"
{ base_options; echo "# CONFIG_KVM_EXIT_STATS is not set"; } | judge "KVM_EXIT_STATS=n adds no instruction" build_without
check_out_source
for option in JUMP_LABEL DEBUG_FS SMP; do
	variant "$option=n" "# CONFIG_$option is not set"
done
without=()
for option in KVM_SMM KVM_HYPERV KVM_XEN; do
	if ! knows $option; then
		log "Linux $series has no $option: no verdict"
		continue
	fi
	without+=("# CONFIG_$option is not set")
	variant "$option=n" "${without[-1]}"
done
[ ${#without[@]} -lt 2 ] || variant "all of these off" "${without[@]}"
variant "KVM=y" CONFIG_{KVM,KVM_INTEL,KVM_AMD,CRYPTO_DEV_CCP_DD}=y	# without ccp in it, too, there is no SEV
if grep -q 'select ARCH_SUPPORTS_RT$' "$source/arch/x86/Kconfig"; then
	variant "PREEMPT_RT" CONFIG_PREEMPT_RT=y
else
	log "Linux $series has no PREEMPT_RT for x86: no verdict"
fi
if knows KVM_INTEL_TDX; then
	variant "TDX" CONFIG_{HYPERVISOR_GUEST,X86_X2APIC,X86_MCE,COMPACTION,CMA,INTEL_TDX_HOST,KVM_INTEL_TDX}=y
else
	log "Linux $series has no TDX: no verdict"
fi
make_args=(LLVM=1)
variant "clang" CONFIG_CC_IS_CLANG=y
make_args=()
variant "32 bits" "# CONFIG_"{64BIT,AMD_IOMMU,CRYPTO_DEV_SP_PSP,KVM_AMD_SEV}" is not set"	# SEV is for 64 only
rm -rf "$objects"
