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

# build_variant: the configuration of stdin, with KVM always built anew, for its warnings. modpost and the linker find
# what is used and not there.
build_variant()
{
	rm -rf "$objects"/{arch/x86,virt}/kvm
	configure &&
		omake vmlinux modules &&
		[ -e "$objects/arch/x86/kvm/exit_stats.o" ] &&
		no_warnings '(arch/x86|virt)/kvm/.*[Ww]arning'
}

# variant NAME OPTION...: the verdict on the configuration with these lines.
variant()
{
	local name=$1 start=$SECONDS log="$out/${1//[ =]/-}.log"

	shift
	if { base_options; [ $# -eq 0 ] || printf '%s\n' "$@"; } | build_variant; then
		ok "$name"
	else
		not_ok "$name" "see $log: $(tail -n 1 "$objects/log")"
	fi
	cp "$objects/log" "$log"
	log "$name took $((SECONDS - start)) s"
}

need_packages "${build_packages[@]}" clang lld llvm
need_disk 3
one_at_a_time
check_out_source
rm -rf "$objects"

variant "all of KVM as modules"
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
make_args=(LLVM=1)
variant "clang" CONFIG_CC_IS_CLANG=y
make_args=()
variant "32 bits" "# CONFIG_"{64BIT,AMD_IOMMU,CRYPTO_DEV_SP_PSP,KVM_AMD_SEV}" is not set"	# SEV is for 64 only
rm -rf "$objects"
