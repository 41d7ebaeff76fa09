// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test for the interface to the statistics of VM-Exits, i.e. for CPUID
 * 0x4FFFFFF9..0x4FFFFFFF and for the parameters of kvm.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_stats.h"

#define ABI_VERSION		2
#define ABI_SIGNATURE		"KVMExitStats"
#define ABI_FLAG_VMX		BIT(0)
#define ABI_FLAG_SVM		BIT(1)
#define ABI_FLAG_LEDGER		BIT(2)
#define ABI_FLAG_ON		BIT(31)

/* No leaf, neither KVM nor the CPU knows it. */
#define LEAF_NONE		0x4ffffff5u

#define REASON_UD		by_vendor(EXIT_REASON_EXCEPTION_NMI,	\
					  SVM_EXIT_EXCP_BASE + UD_VECTOR)

static struct kvm_vcpu *main_vcpu;

/*
 * KVM's parameters.  Put the old values back however the test ends.
 */
static struct param {
	const char *name;
	bool changed;
	char old[16];
} params[] = {
	{ "exit_stats" },
	{ "exit_stats_cpuid" },
	{ "exit_stats_log" },
	{ "force_emulation_prefix" },
};

enum {
	PARAM_EXIT_STATS,
	PARAM_CPUID,
	PARAM_LOG,
	PARAM_EMULATION,
};

static bool write_param(const char *name, const char *val)
{
	char path[128];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;

	ok = write(fd, val, strlen(val)) == strlen(val);
	close(fd);
	return ok;
}

static bool set_param(int i, const char *val)
{
	struct param *param = &params[i];

	if (!param->changed &&
	    !exit_stats_read_param("kvm", param->name, param->old,
				   sizeof(param->old)))
		return false;
	if (!write_param(param->name, val))
		return false;

	param->changed = true;
	return true;
}

static void restore_params(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(params); i++) {
		if (params[i].changed)
			write_param(params[i].name, params[i].old);
		params[i].changed = false;
	}
}

/* A test that wants other values than the user has can only run as root. */
static bool need_param(int i, const char *val)
{
	static char why[128];

	if (set_param(i, val))
		return true;

	snprintf(why, sizeof(why), "can't write the parameter %s of kvm",
		 params[i].name);
	skip(why);
	return false;
}

/* KVM tells a VM of a frequency that the CPU does not have then. */
static bool tsc_depends_on_cpufreq(void)
{
	return !this_cpu_has(X86_FEATURE_INVTSC) &&
	       !access("/sys/devices/system/cpu/cpu0/cpufreq", F_OK);
}

static void test_abi(void)
{
	struct cpuid_read r = vcpu_read(main_vcpu, LEAF_ABI, 0);
	u32 tsc_khz = __vm_ioctl(main_vcpu->vm, KVM_GET_TSC_KHZ, NULL);
	char signature[13] = {};

	memcpy(signature, &r.ebx, 4);
	memcpy(signature + 4, &r.ecx, 4);
	memcpy(signature + 8, &r.edx, 4);
	check(r.eax == ABI_VERSION, "version %u", r.eax);
	check(!strcmp(signature, ABI_SIGNATURE), "signature '%s'", signature);

	r = vcpu_read(main_vcpu, LEAF_ABI, 1);
	check(r.eax == by_vendor(exit_stats_reasons[exit_stats_nr_reasons - 1],
				 SVM_EXIT_VMGEXIT),
	      "highest reason %#x", r.eax);
	check(r.ebx == (by_vendor(ABI_FLAG_VMX, ABI_FLAG_SVM) |
			 ABI_FLAG_LEDGER | ABI_FLAG_ON),
	      "flags %#x", r.ebx);
	check(r.ecx == tsc_khz || tsc_depends_on_cpufreq(),
	      "TSC of %u kHz, should be %u", r.ecx, tsc_khz);
	check(r.edx, "session is zero");
	check(r.edx == vcpu_read(main_vcpu, LEAF_ABI, 1).edx,
	      "session is not stable");
}

static void test_abi_subleaves(void)
{
	static const u32 subleaves[] = {
		2, 3, 10, 79, 0x10000, 0x80000000, 0x80000001, 0xffffffff,
	};
	struct cpuid_read r;
	int i;

	for (i = 0; i < ARRAY_SIZE(subleaves); i++) {
		r = vcpu_read(main_vcpu, LEAF_ABI, subleaves[i]);
		check_regs(&r, 0, 0, 0, 0);
	}
}

/* Cycles are those of the host's TSC, whatever the guest's frequency is. */
static void test_abi_tsc(void)
{
	u32 tsc_khz = vcpu_read(main_vcpu, LEAF_ABI, 1).ecx, now;
	struct kvm_vm *vm = vm_create(1);
	struct kvm_vcpu *vcpu;

	/* KVM takes a VM's frequency as long as there's no vCPU. */
	check(!__vm_ioctl(vm, KVM_SET_TSC_KHZ, (void *)(2ul * tsc_khz)),
	      "KVM can't give a guest twice the frequency");
	vcpu = exit_stats_add_vcpu(vm, 0);
	sync_global_to_guest(vm, is_svm);
	now = vcpu_read(vcpu, LEAF_ABI, 1).ecx;
	check(now == tsc_khz, "TSC of %u kHz, was %u", now, tsc_khz);

	kvm_vm_free(vm);
}

/* The leaves next to those of the statistics are like any that don't exist. */
static void test_neighbours(void)
{
	static const u32 indices[] = { 0, 1, 10, NO_REASON };
	struct cpuid_read r, none;
	int i;

	for (i = 0; i < ARRAY_SIZE(indices); i++) {
		none = vcpu_read(main_vcpu, LEAF_NONE - 1, indices[i]);
		r = vcpu_read(main_vcpu, LEAF_NONE, indices[i]);
		check_regs(&r, none.eax, none.ebx, none.ecx, none.edx);

		none = vcpu_read(main_vcpu, LEAF_ALL_EXITS + 2, indices[i]);
		r = vcpu_read(main_vcpu, LEAF_ALL_EXITS + 1, indices[i]);
		check_regs(&r, none.eax, none.ebx, none.ecx, none.edx);
	}
}

/* The far reasons turn into defined ones, should any bits get lost. */
static void test_undefined_reasons(void)
{
	static const u32 far[] = {
		0x10000, 0x1000a, 0x10072, 0x10400, 0x7fffffff, 0x80000000,
		0x8000000a, 0x8000001e, 0x80000072, 0x80000400, 0xf0000000,
		0xffffff72, 0xfffffffb, 0xffffffff,
	};
	u32 reason;
	int i;

	for (reason = 0; reason < 0x480; reason++) {
		if (!exit_stats_is_defined(reason))
			vcpu_check_reason(main_vcpu, reason, ~0u);
	}
	for (i = 0; i < ARRAY_SIZE(far); i++) {
		if (!exit_stats_is_defined(far[i]))
			vcpu_check_reason(main_vcpu, far[i], ~0u);
	}
}

/* Leaves that aren't of a reason ignore the index. */
static void test_ignored_index(void)
{
	static const u32 indices[] = { 0, 35, 80, 0x80000000, 0xffffffff };
	struct cpuid_read *first, *r;
	int i, tries;
	bool exact;

	for (tries = MAX_TRIES; tries; tries--) {
		vcpu_clear_reads(main_vcpu);
		first = vcpu_job(main_vcpu)->reads;
		for (i = 0; i < ARRAY_SIZE(indices); i++)
			vcpu_add_read(main_vcpu, LEAF_ALL_EXITS, indices[i]);
		vcpu_run_reads(main_vcpu);

		exact = true;
		for (i = 0; i < ARRAY_SIZE(indices); i++)
			exact &= exits_of(first + i) == exits_of(first) + i;
		if (exact)
			break;
	}
	check(tries, "consecutive reads of all exits never differ by one");

	for (i = 0; i < ARRAY_SIZE(indices); i++)
		check(!first[i].ecx && !first[i].edx,
		      "ECX, EDX of %#x aren't zero", LEAF_ALL_EXITS);

	vcpu_clear_reads(main_vcpu);
	for (i = 0; i < ARRAY_SIZE(indices); i++)
		vcpu_add_read(main_vcpu, LEAF_ALL_CYCLES, indices[i]);
	vcpu_run_reads(main_vcpu);
	for (i = 0; i < ARRAY_SIZE(indices); i++) {
		r = first + i;
		check(!r->eax && !r->edx, "EAX, EDX of %#x aren't zero",
		      LEAF_ALL_CYCLES);
		check(!i || cycles_of(r) > cycles_of(r - 1),
		      "all cycles don't grow");
	}
}

static void guest_read_emulated(struct guest_job *job)
{
	struct cpuid_read *r;
	u32 i;

	for (i = 0; i < job->nr_reads; i++) {
		r = &job->reads[i];
		asm volatile(KVM_FEP "cpuid"
			     : "=a"(r->eax), "=b"(r->ebx), "=c"(r->ecx),
			       "=d"(r->edx)
			     : "a"(r->function), "c"(r->index)
			     : "memory");
	}
}

/* The emulator gives the answer, on the exit of the prefix' #UD. */
static void test_emulator(void)
{
	struct cpuid_read *r, direct[3];
	u64 nr_cpuid, nr_ud;

	if (!need_param(PARAM_EMULATION, "1"))
		return;

	direct[0] = vcpu_read(main_vcpu, LEAF_ABI, 0);
	direct[1] = vcpu_read(main_vcpu, LEAF_ABI, 1);
	direct[2] = vcpu_read(main_vcpu, LEAF_EXITS, REASON_HYPERCALL);

	vcpu_clear_reads(main_vcpu);
	r = vcpu_add_read(main_vcpu, LEAF_ABI, 0);
	vcpu_add_read(main_vcpu, LEAF_ABI, 1);
	vcpu_add_read(main_vcpu, LEAF_EXITS, REASON_HYPERCALL);
	vcpu_add_read(main_vcpu, LEAF_OWN, REASON_CPUID);
	vcpu_add_read(main_vcpu, LEAF_BOTH, REASON_UD);
	vcpu_add_read(main_vcpu, LEAF_EXITS, REASON_CPUID);
	vcpu_add_read(main_vcpu, LEAF_EXITS, REASON_UD);
	vcpu_add_read(main_vcpu, LEAF_CYCLES, NO_REASON);
	vcpu_run_job(main_vcpu, guest_read_emulated);

	check(!memcmp(r, direct, sizeof(direct)), "answers differ");
	nr_cpuid = exits_of(&r[5]) - exits_of(&r[3]);
	check(!nr_cpuid, "%lu exits by CPUID", nr_cpuid);
	nr_ud = exits_of(&r[6]) - exits_of(&r[4]);
	check(nr_ud >= 2, "%lu exits by #UD", nr_ud);
	check_regs(&r[7], 0, 0, 0, ~0u);

	restore_params();
}

static bool is_on(void)
{
	return vcpu_read(main_vcpu, LEAF_ABI, 1).ebx & ABI_FLAG_ON;
}

static void test_exit_stats_off(void)
{
	struct ledger before, after;
	u64 nr, all, cycles;
	struct change c;

	if (!need_param(PARAM_EXIT_STATS, "N"))
		return;
	vcpu_run_reads(main_vcpu);
	vcpu_read_ledger(main_vcpu, &before);

	check(!is_on(), "accounting is on according to the flags");
	nr = vcpu_read_exits(main_vcpu, LEAF_EXITS, REASON_HYPERCALL);
	all = vcpu_read_exits(main_vcpu, LEAF_ALL_EXITS, 0);
	cycles = vcpu_read_cycles(main_vcpu, LEAF_ALL_CYCLES, 0);

	c = vcpu_provoke_hypercalls(main_vcpu, 50);
	check(!c.exits && !c.both && !c.own && !c.cycles,
	      "D +%ld, A +%ld, 9 +%ld, %ld cycles", c.exits, c.both, c.own,
	      c.cycles);

	vcpu_check_hypercalls(main_vcpu, LEAF_EXITS, nr);
	check(vcpu_read_exits(main_vcpu, LEAF_ALL_EXITS, 0) == all,
	      "all exits have changed");
	check(vcpu_read_cycles(main_vcpu, LEAF_ALL_CYCLES, 0) == cycles,
	      "all cycles have changed");

	/* Time passes, but what userspace does is no reason's. */
	vcpu_read_ledger(main_vcpu, &after);
	check(after.cycles[STATE_VMM] > before.cycles[STATE_VMM],
	      "no cycles in userspace");
	check(!memcmp(after.user_exits, before.user_exits,
		      sizeof(after.user_exits)),
	      "exits that userspace completed have changed");

	check(set_param(PARAM_EXIT_STATS, "Y"), "can't switch on again");
	check(is_on(), "accounting is off according to the flags");
	vcpu_measure_hypercalls(main_vcpu, 50);
	vcpu_check_hypercalls(main_vcpu, LEAF_EXITS, nr + 51);

	restore_params();
}

/* Without the leaves, the answer is that to any leaf that doesn't exist. */
static void check_leaves_absent(struct kvm_vcpu *vcpu)
{
	static const u32 indices[] = { 0, 1, 10, 18, 80, 0xffffffff };
	struct cpuid_read r, none;
	u32 leaf;
	int i;

	for (i = 0; i < ARRAY_SIZE(indices); i++) {
		none = vcpu_read(vcpu, LEAF_NONE, indices[i]);
		for (leaf = LEAF_OWN_STATE; leaf <= LEAF_ALL_EXITS; leaf++) {
			r = vcpu_read(vcpu, leaf, indices[i]);
			check_regs(&r, none.eax, none.ebx, none.ecx, none.edx);
		}
	}
}

static void test_cpuid_off(void)
{
	u64 nr;

	nr = vcpu_read_exits(main_vcpu, LEAF_EXITS, REASON_HYPERCALL);
	if (!need_param(PARAM_CPUID, "N"))
		return;

	check_leaves_absent(main_vcpu);

	/* Accounting goes on. */
	vcpu_provoke_hypercalls(main_vcpu, 20);

	check(set_param(PARAM_CPUID, "Y"), "can't switch on again");
	vcpu_check_hypercalls(main_vcpu, LEAF_EXITS, nr + 21);

	restore_params();
}

/* A guest that isn't to know of KVM doesn't find out by a leaf. */
static void test_no_signature(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = exit_stats_create_vm(1, &vcpu);

	vcpu_get_cpuid_entry(vcpu, KVM_CPUID_SIGNATURE)->ebx = 0;
	vcpu_set_cpuid(vcpu);
	check_leaves_absent(vcpu);

	kvm_vm_free(vm);
}

/* Userspace's leaf comes first, and hides no other one. */
static void test_own_leaf(void)
{
	struct kvm_cpuid2 *cpuid;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = exit_stats_create_vm(1, &vcpu);
	u32 nent = vcpu->cpuid->nent;
	struct cpuid_read r;

	cpuid = allocate_kvm_cpuid2(nent + 1);
	memcpy(cpuid->entries, vcpu->cpuid->entries,
	       nent * sizeof(*cpuid->entries));
	cpuid->entries[nent] = (struct kvm_cpuid_entry2) {
		.function = LEAF_EXITS,
		.index = REASON_CPUID,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = 1, .ebx = 2, .ecx = 3, .edx = 4,
	};
	vcpu_init_cpuid(vcpu, cpuid);
	free(cpuid);

	r = vcpu_read(vcpu, LEAF_EXITS, REASON_CPUID);
	check_regs(&r, 1, 2, 3, 4);
	vcpu_measure_hypercalls(vcpu, 3);
	check(vcpu_read_exits(vcpu, LEAF_BOTH, REASON_CPUID),
	      "no exits by CPUID");

	kvm_vm_free(vm);
}

/* There is nothing to configure, and nothing for userspace to pass on. */
static void test_not_supported_cpuid(void)
{
	const struct kvm_cpuid2 *cpuid = kvm_get_supported_cpuid();
	u32 i;

	for (i = 0; i < cpuid->nent; i++)
		check(cpuid->entries[i].function < LEAF_OWN_STATE ||
		      cpuid->entries[i].function > LEAF_ALL_EXITS,
		      "KVM_GET_SUPPORTED_CPUID has %#x",
		      cpuid->entries[i].function);
}

static void check_description(const char *name, u32 unit, u32 size)
{
	u64 val[EXIT_STATS_NR_SLOTS];
	struct kvm_stats_desc desc;
	u32 flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_BASE_POW10 | unit;

	vcpu_read_stat(main_vcpu, name, &desc, val, size);
	check(desc.flags == flags, "%s: flags %#x, should be %#x", name,
	      desc.flags, flags);
	check(desc.size == size, "%s: %u elements, should be %u", name,
	      desc.size, size);
	check(!desc.exponent, "%s: exponent %d", name, desc.exponent);
}

/* Userspace finds out from KVM what the numbers are. */
static void test_descriptions(void)
{
	static const char * const states[] = {
		"wall_cycles", "guest_cycles", "kvm_cycles", "vmm_cycles",
		"halted_cycles", "preempted_cycles", "blocked_cycles",
		"outside_cycles",
	};
	int i;

	check_description("exit_counts", KVM_STATS_UNIT_NONE,
			  EXIT_STATS_NR_SLOTS);
	check_description("exit_cycles", KVM_STATS_UNIT_CYCLES,
			  EXIT_STATS_NR_SLOTS);
	check_description("exit_user_counts", KVM_STATS_UNIT_NONE,
			  EXIT_STATS_NR_SLOTS);
	check_description("exit_user_cycles", KVM_STATS_UNIT_CYCLES,
			  EXIT_STATS_NR_SLOTS);
	for (i = 0; i < ARRAY_SIZE(states); i++)
		check_description(states[i], KVM_STATS_UNIT_CYCLES, 1);
}

/* Logging is no business of the guest. */
static void test_log_off(void)
{
	if (!need_param(PARAM_LOG, "N"))
		return;
	vcpu_measure_hypercalls(main_vcpu, 3);

	check(set_param(PARAM_LOG, "Y"), "can't switch on again");
	vcpu_measure_hypercalls(main_vcpu, 3);

	restore_params();
}

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
	{ "ABI leaf", test_abi },
	{ "ABI leaf, other subleaves", test_abi_subleaves },
	{ "ABI leaf, TSC of the host", test_abi_tsc },
	{ "no leaves beside", test_neighbours },
	{ "undefined reasons", test_undefined_reasons },
	{ "totals ignore the index", test_ignored_index },
	{ "CPUID by the emulator", test_emulator },
	{ "exit_stats=N", test_exit_stats_off },
	{ "exit_stats_cpuid=N", test_cpuid_off },
	{ "no signature of KVM, no leaves", test_no_signature },
	{ "userspace's own leaf", test_own_leaf },
	{ "not in KVM_GET_SUPPORTED_CPUID", test_not_supported_cpuid },
	{ "descriptions of the binary statistics", test_descriptions },
	{ "exit_stats_log=N", test_log_off },
};

int main(int argc, char *argv[])
{
	struct kvm_vm *vm;
	int i;

	ksft_print_header();
	exit_stats_init();
	atexit(restore_params);
	ksft_set_plan(ARRAY_SIZE(tests));

	vm = exit_stats_create_vm(1, &main_vcpu);
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		tests[i].fn();
		report(tests[i].name);
	}
	kvm_vm_free(vm);

	ksft_finished();
}
