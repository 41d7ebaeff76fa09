// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test for the statistics of VM-Exits beyond a single vCPU that runs: two VMs,
 * two vCPUs or many, a nested guest, and vCPUs that the CPU refuses to run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "exit_stats.h"

#define REASON_SHUTDOWN		by_vendor(EXIT_REASON_TRIPLE_FAULT,	\
					  SVM_EXIT_SHUTDOWN)
#define REASON_FAILED_ENTRY	by_vendor(EXIT_REASON_INVALID_STATE,	\
					  (u32)SVM_EXIT_ERR)
#define REASON_RESUME		by_vendor(EXIT_REASON_VMRESUME, SVM_EXIT_VMRUN)

static void test_two_vms(void)
{
	struct kvm_vcpu *old_vcpu, *vcpu;
	struct kvm_vm *old_vm, *vm;
	u64 old;

	old_vm = exit_stats_create_vm(1, &old_vcpu);
	vcpu_measure_hypercalls(old_vcpu, 100);
	old = vcpu_read_exits(old_vcpu, LEAF_EXITS, REASON_HYPERCALL);

	vm = exit_stats_create_vm(1, &vcpu);
	vcpu_check_hypercalls(vcpu, LEAF_EXITS, 0);
	vcpu_check_hypercalls(vcpu, LEAF_BOTH, 0);
	vcpu_check_hypercalls(vcpu, LEAF_OWN, 0);

	/* Each of them executes one more to warm up. */
	vcpu_measure_hypercalls(vcpu, 5);
	vcpu_measure_hypercalls(old_vcpu, 1000);
	vcpu_check_hypercalls(vcpu, LEAF_EXITS, 6);
	vcpu_check_hypercalls(vcpu, LEAF_BOTH, 6);
	vcpu_check_hypercalls(vcpu, LEAF_OWN, 6);
	vcpu_check_hypercalls(old_vcpu, LEAF_EXITS, old + 1001);

	check(vcpu_read_exits(vcpu, LEAF_ALL_EXITS, 0) <
	      vcpu_read_exits(old_vcpu, LEAF_ALL_EXITS, 0),
	      "more exits in the new VM");
	check(vcpu_read(vcpu, LEAF_ABI, 1).edx !=
	      vcpu_read(old_vcpu, LEAF_ABI, 1).edx, "sessions are the same");

	kvm_vm_free(vm);
	kvm_vm_free(old_vm);
}

static void check_two_vcpus(struct kvm_vcpu *vcpus[], u64 nr0, u64 nr1)
{
	int i;

	vcpu_check_hypercalls(vcpus[0], LEAF_OWN, nr0);
	vcpu_check_hypercalls(vcpus[1], LEAF_OWN, nr1);
	for (i = 0; i < 2; i++) {
		vcpu_check_hypercalls(vcpus[i], LEAF_EXITS, nr0 + nr1);
		vcpu_check_hypercalls(vcpus[i], LEAF_BOTH, nr0 + nr1);
	}
}

static void *provoke_2999_hypercalls(void *vcpu)
{
	vcpu_provoke_hypercalls(vcpu, 2999);
	return NULL;
}

static void test_two_vcpus(void)
{
	u64 cycles0, cycles1, cycles;
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm;
	pthread_t thread;

	vm = exit_stats_create_vm(2, vcpus);

	/* One after the other ... */
	vcpu_provoke_hypercalls(vcpus[0], 29);
	check_two_vcpus(vcpus, 30, 0);
	vcpu_provoke_hypercalls(vcpus[1], 11);
	check_two_vcpus(vcpus, 30, 12);

	/* ... and at the same time. */
	pthread_create(&thread, NULL, provoke_2999_hypercalls, vcpus[1]);
	vcpu_provoke_hypercalls(vcpus[0], 1999);
	pthread_join(thread, NULL);
	check_two_vcpus(vcpus, 2030, 3012);

	cycles0 = vcpu_read_cycles(vcpus[0], LEAF_OWN, REASON_HYPERCALL);
	cycles1 = vcpu_read_cycles(vcpus[1], LEAF_OWN, REASON_HYPERCALL);
	cycles = vcpu_read_cycles(vcpus[0], LEAF_CYCLES, REASON_HYPERCALL);
	check(cycles0 && cycles1 && cycles == cycles0 + cycles1,
	      "%lu cycles, should be %lu + %lu", cycles, cycles0, cycles1);

	vcpu_check_exits_stat(vcpus[0]);

	kvm_vm_free(vm);
}

/* KVM's log names it by its ID, too: see what this test leaves there. */
static void test_sparse_id(void)
{
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm;

	vm = exit_stats_create_vm(1, vcpus);
	vcpus[1] = exit_stats_add_vcpu(vm, EXIT_STATS_MAX_VCPU_ID - 1);
	check(vcpu_read_exits(vcpus[1], LEAF_ALL_EXITS, 0), "no exits");
	vcpu_provoke_hypercalls(vcpus[1], 11);
	check_two_vcpus(vcpus, 0, 12);

	kvm_vm_free(vm);
}

/*
 * A total takes KVM long if there are many vCPUs, and lets others run meanwhile.
 */
#define NR_IDLE_VCPUS		480
#define NR_TOTALS		100
#define HOG_USECS		1000
#define HIGH_HALF_USECS		10000000

/* The cycles of a total, the least of many: all that disturbs KVM adds to it. */
static u64 least_cycles;

static void guest_read_totals(struct guest_job *job)
{
	struct cpuid_read total, own;
	u64 last, cycles;
	int i;

	read_leaf(&own, LEAF_OWN, REASON_CPUID);
	for (i = 0; i < NR_TOTALS; i++) {
		last = cycles_of(&own);
		read_leaf(&total, LEAF_ALL_EXITS, 0);
		read_leaf(&own, LEAF_OWN, REASON_CPUID);
		cycles = cycles_of(&own) - last;
		if (!least_cycles || cycles < least_cycles)
			least_cycles = cycles;
	}
}

static s64 measure_totals(struct kvm_vcpu *vcpu)
{
	least_cycles = 0;
	sync_global_to_guest(vcpu->vm, least_cycles);
	vcpu_run_job(vcpu, guest_read_totals);
	sync_global_from_guest(vcpu->vm, least_cycles);
	return least_cycles;
}

static struct kvm_vm *create_vm_of_many(struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm = exit_stats_create_vm(1, vcpu);
	int i;

	for (i = 1; i <= NR_IDLE_VCPUS; i++)
		__vm_vcpu_add(vm, i);
	return vm;
}

static u64 now_usecs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

/*
 * Cycles may need more than 32 bits, if the TSC is fast enough for a test.  The
 * slot of CPUID's exits is their reason.
 */
static void test_high_half(void)
{
	static const u32 leaves[] = {
		LEAF_OWN, LEAF_BOTH, LEAF_CYCLES, LEAF_ALL_CYCLES,
	};
	u64 cycles, last = UINT_MAX, vals[EXIT_STATS_NR_SLOTS], end;
	struct kvm_stats_desc desc;
	struct kvm_vcpu *vcpu;
	struct cpuid_read *r;
	struct kvm_vm *vm;
	u32 tsc_khz;
	int i;

	vm = create_vm_of_many(&vcpu);
	tsc_khz = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	end = now_usecs() + HIGH_HALF_USECS;
	do {
		vcpu_run_job(vcpu, guest_read_totals);
		vcpu_read_stat(vcpu, "exit_cycles", &desc, vals,
			       ARRAY_SIZE(vals));
	} while (vals[REASON_CPUID] <= UINT_MAX && now_usecs() < end &&
		 tsc_khz > UINT_MAX / (HIGH_HALF_USECS / 1000));

	if (vals[REASON_CPUID] <= UINT_MAX) {
		skip("the TSC is too slow");
	} else {
		for (i = 0; i < ARRAY_SIZE(leaves); i++)
			vcpu_add_read(vcpu, leaves[i], REASON_CPUID);
		vcpu_run_reads(vcpu);
		for (i = 0; i < ARRAY_SIZE(leaves); i++) {
			r = &vcpu_job(vcpu)->reads[i];
			cycles = cycles_of(r);
			check(cycles > last, "CPUID %#x: %lu cycles, were %lu",
			      r->function, cycles, last);
			last = cycles;
		}
	}

	kvm_vm_free(vm);
}

static bool hog_stop;

/* Take the CPU from the vCPU half of the time. */
static void *hog_cpu(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	u64 end;

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		return "can't have a real-time priority";

	while (!READ_ONCE(hog_stop)) {
		end = now_usecs() + HOG_USECS;
		while (now_usecs() < end)
			;
		usleep(HOG_USECS);
	}
	return NULL;
}

static pthread_t start_hog(void)
{
	pthread_t thread;

	WRITE_ONCE(hog_stop, false);
	pthread_create(&thread, NULL, hog_cpu, NULL);
	return thread;
}

/* Why there was none, or NULL. */
static void *stop_hog(pthread_t thread)
{
	void *why;

	WRITE_ONCE(hog_stop, true);
	pthread_join(thread, &why);
	return why;
}

static void stay_on_cpu(cpu_set_t *old)
{
	cpu_set_t one;

	TEST_ASSERT(!sched_getaffinity(0, sizeof(*old), old),
		    "sched_getaffinity() failed");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(one), &one),
		    "sched_setaffinity() failed");
}

static long nr_preemptions(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

/*
 * The handler's time is its exit's, and the others' is not, but for a part of what
 * it costs to switch to them.  Where a total takes long enough, others get the CPU
 * more than once in each.
 */
static void test_preempted(void)
{
	s64 alone, preempted, others;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pthread_t thread;
	int tries = 5;
	u32 tsc_khz;
	cpu_set_t old;
	void *why;
	bool near;
	long nr;

	vm = create_vm_of_many(&vcpu);
	tsc_khz = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	stay_on_cpu(&old);

	/* What the host does meanwhile may disturb either of the two. */
	do {
		alone = measure_totals(vcpu);
		thread = start_hog();
		nr = nr_preemptions();
		preempted = measure_totals(vcpu);
		nr = nr_preemptions() - nr;
		why = stop_hog(thread);
		others = nr * HOG_USECS / NR_TOTALS * tsc_khz / 1000;
		near = preempted > alone * 3 / 4 &&
		       preempted < alone * 3 / 2 + others / 3;
	} while (!near && !why && --tries);

	ksft_print_msg("a total of %u vCPUs: %ld cycles, %ld if preempted, %ld times in %u\n",
		       NR_IDLE_VCPUS + 1, alone, preempted, nr, NR_TOTALS);
	if (why) {
		skip(why);
	} else {
		check(near, "%ld cycles, %ld if preempted", alone, preempted);
		if (alone > 4ll * HOG_USECS * tsc_khz / 1000)
			check(nr > 2 * NR_TOTALS, "preempted %ld times", nr);
	}

	sched_setaffinity(0, sizeof(old), &old);
	kvm_vm_free(vm);
}

static void guest_spin(struct guest_job *job)
{
	u64 start = rdtsc();

	while (rdtsc() - start < job->nr)
		;
}

/* How long this thread has waited for a CPU, in us */
static u64 run_delay(void)
{
	unsigned long long delay = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	if (f) {
		if (fscanf(f, "%*u %llu", &delay) != 1)
			delay = 0;
		fclose(f);
	}
	return delay / 1000;
}

/* A guest that computes and must share its CPU, against the scheduler's account. */
static void test_preempted_guest(void)
{
	struct ledger before, after;
	u64 away, delay, elapsed;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pthread_t thread;
	u32 tsc_khz;
	cpu_set_t old;
	void *why;

	vm = exit_stats_create_vm(1, &vcpu);
	tsc_khz = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	stay_on_cpu(&old);
	vcpu_job(vcpu)->nr = 100ull * HOG_USECS * tsc_khz / 1000;

	thread = start_hog();
	usleep(HOG_USECS);
	vcpu_read_ledger(vcpu, &before);
	delay = run_delay();
	vcpu_run_job(vcpu, guest_spin);
	delay = run_delay() - delay;
	vcpu_read_ledger(vcpu, &after);
	why = stop_hog(thread);

	elapsed = after.cycles[STATE_WALL] - before.cycles[STATE_WALL];
	away = after.cycles[STATE_PREEMPTED] - before.cycles[STATE_PREEMPTED];
	ksft_print_msg("%lu of %lu cycles preempted, i.e. %lu us, the scheduler says %lu\n",
		       away, elapsed, away * 1000 / tsc_khz, delay);
	if (why) {
		skip(why);
	} else {
		/* Where timers are coarse the hog sleeps for long. */
		check(away > (u64)HOG_USECS * tsc_khz / 1000 &&
		      away < elapsed * 3 / 4,
		      "%lu of %lu cycles preempted", away, elapsed);
		/* It has what switching tasks takes, too. */
		delay = delay * tsc_khz / 1000;
		check(delay > away * 3 / 4 && delay < away * 2,
		      "%lu cycles preempted, the scheduler has %lu", away,
		      delay);
	}

	sched_setaffinity(0, sizeof(old), &old);
	kvm_vm_free(vm);
}

#define XEN_HYPERCALL_MSR	0x40000200
#define XEN_SCHED_OP		29
#define XEN_SCHEDOP_POLL	3

static struct {
	u32 *ports;
	u32 nr_ports;
	u64 timeout;	/* in ns */
} xen_poll;

static void do_xen_poll(void)
{
	u64 ret = XEN_SCHED_OP;

	xen_poll.timeout = 2000000;
	if (is_svm)
		asm volatile("vmmcall" : "+a"(ret)
			     : "D"(XEN_SCHEDOP_POLL), "S"(&xen_poll) : "memory");
	else
		asm volatile("vmcall" : "+a"(ret)
			     : "D"(XEN_SCHEDOP_POLL), "S"(&xen_poll) : "memory");
	GUEST_ASSERT_EQ(ret, 0);
}

/*
 * KVM halts a guest of Xen's in the handler of a hypercall.  Have it poll all
 * the time, which it comes to after a few times.
 */
static void test_xen_poll(void)
{
	static const struct scenario poll = {
		.vmx_reason = EXIT_REASON_VMCALL,
		.svm_reason = SVM_EXIT_VMMCALL,
		.provoke = do_xen_poll,
	};
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = XEN_HYPERCALL_MSR,
	};
	struct kvm_xen_hvm_attr shinfo = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
	};
	struct ledger before, after;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct change c;
	u64 halted;

	if ((kvm_check_cap(KVM_CAP_XEN_HVM) & config.flags) != config.flags) {
		skip("KVM does not emulate Xen's interface");
		return;
	}

	vm = exit_stats_create_vm(1, &vcpu);
	vm_enable_cap(vm, KVM_CAP_HALT_POLL, 100000000);
	vm_ioctl(vm, KVM_XEN_HVM_CONFIG, &config);
	shinfo.u.shared_info.gfn =
		addr_gva2gpa(vm, vm_alloc_page(vm)) / vm->page_size;
	vm_ioctl(vm, KVM_XEN_HVM_SET_ATTR, &shinfo);

	vcpu_measure(vcpu, &poll, 20);
	vcpu_read_ledger(vcpu, &before);
	c = vcpu_measure(vcpu, &poll, 10);
	vcpu_read_ledger(vcpu, &after);
	halted = after.cycles[STATE_HALTED] - before.cycles[STATE_HALTED];
	check(c.cycles < c.elapsed / 2, "%ld of %lu cycles", c.cycles,
	      c.elapsed);
	check(halted > c.elapsed / 2, "%lu of %lu cycles halted", halted,
	      c.elapsed);

	kvm_vm_free(vm);
}

/* All of them exit to L1, which steps over them, and keeps no registers. */
#define L2_GUEST(name, hypercall)					\
static void name(void)							\
{									\
	asm volatile("1: " hypercall "\n\t"				\
		     "mov %0, %%eax\n\t"				\
		     "mov %1, %%ecx\n\t"				\
		     "cpuid\n\t"					\
		     "jmp 1b\n\t"					\
		     : : "i"(LEAF_EXITS), "i"(EXIT_REASON_CPUID));	\
}

L2_GUEST(l2_guest_vmx, "vmcall")
L2_GUEST(l2_guest_svm, "vmmcall")

static void run_l2_svm(struct svm_test_data *svm, u64 insn_len, u32 reason)
{
	svm->vmcb->save.rip += insn_len;
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, reason);
}

static void resume_l2_vmx(u32 reason)
{
	vmwrite(GUEST_RIP,
		vmreadz(GUEST_RIP) + vmreadz(VM_EXIT_INSTRUCTION_LEN));
	GUEST_ASSERT(!vmresume());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), reason);
}

/* Run L2 up to its first exit, which is the hypercall. */
static void launch_l2(void *data)
{
	struct svm_test_data *svm = data;
	struct vmx_pages *vmx = data;

	if (is_svm) {
		generic_svm_setup(svm, l2_guest_svm);
		svm->vmcb->control.intercept |= BIT_ULL(INTERCEPT_CPUID);
		run_l2_svm(svm, 0, SVM_EXIT_VMMCALL);
	} else {
		GUEST_ASSERT(prepare_for_vmx_operation(vmx));
		GUEST_ASSERT(load_vmcs(vmx));
		prepare_vmcs(vmx, l2_guest_vmx);
		GUEST_ASSERT(!vmlaunch());
	}
}

/* Once around L2's loop. */
static void resume_l2_twice(void *data)
{
	if (is_svm) {
		run_l2_svm(data, 3, SVM_EXIT_CPUID);
		run_l2_svm(data, 2, SVM_EXIT_VMMCALL);
	} else {
		resume_l2_vmx(EXIT_REASON_CPUID);
		resume_l2_vmx(EXIT_REASON_VMCALL);
	}
}

static void guest_nested(struct guest_job *job)
{
	u64 i;

	launch_l2(job->data);

	read_leaf(&job->before.exits, LEAF_EXITS, REASON_HYPERCALL);
	read_leaf(&job->before.both, LEAF_BOTH, REASON_RESUME);
	read_leaf(&job->before.own, LEAF_OWN, REASON_CPUID);

	for (i = 0; i < job->nr; i++)
		resume_l2_twice(job->data);

	read_leaf(&job->after.own, LEAF_OWN, REASON_CPUID);
	read_leaf(&job->after.both, LEAF_BOTH, REASON_RESUME);
	read_leaf(&job->after.exits, LEAF_EXITS, REASON_HYPERCALL);
}

/* What KVM passes on to the guest's own hypervisor is still one exit. */
static void test_nested(void)
{
	struct guest_job *job;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 nr;

	vm = exit_stats_create_nested_vm(&vcpu);
	if (!vm)
		return;

	job = vcpu_job(vcpu);
	job->nr = 20;
	vcpu_run_job(vcpu, guest_nested);

	nr = exits_of(&job->after.exits) - exits_of(&job->before.exits);
	check(nr == job->nr, "%lu hypercalls by L2, should be %lu", nr, job->nr);
	nr = exits_of(&job->after.both) - exits_of(&job->before.both);
	check(nr == 2 * job->nr, "%lu resumes by L1, should be %lu", nr,
	      2 * job->nr);
	nr = exits_of(&job->after.own) - exits_of(&job->before.own);
	check(nr == job->nr + 1, "%lu CPUIDs, should be %lu by L2, 1 by L1",
	      nr, job->nr);
	vcpu_check_exits_stat(vcpu);
	vcpu_check_total_exits(vcpu);

	kvm_vm_free(vm);
}

/*
 * Where there's no memory.  If L1 puts L2's virtual-APIC page there, KVM writes
 * an address with which the CPU refuses to enter L2.
 */
#define NO_MEMORY_GPA	(8ull << 30)

static void guest_vmfail(struct guest_job *job)
{
	struct vmx_pages *vmx = job->data;

	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
	GUEST_ASSERT(load_vmcs(vmx));
	prepare_vmcs(vmx, l2_guest_vmx);
	vmwrite(CPU_BASED_VM_EXEC_CONTROL,
		vmreadz(CPU_BASED_VM_EXEC_CONTROL) | CPU_BASED_TPR_SHADOW);
	vmwrite(VIRTUAL_APIC_PAGE_ADDR, NO_MEMORY_GPA);
	vmwrite(TPR_THRESHOLD, 0);
	GUEST_ASSERT(vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_INSTRUCTION_ERROR), 7);
}

/* Whether debugfs shows exits without a reason; true if there's no debugfs. */
static bool debugfs_shows_other(struct kvm_vm *vm)
{
	char path[128], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/exit_stats",
		 getpid(), vm->fd);
	file = fopen(path, "r");
	if (!file)
		return true;

	while (fgets(line, sizeof(line), file))
		found |= !!strstr(line, " OTHER ");
	fclose(file);
	return found;
}

/* The CPU may refuse a VM-Enter without an exit reason. */
static void test_vmfail(void)
{
	u64 counts[EXIT_STATS_NR_SLOTS], cycles[EXIT_STATS_NR_SLOTS];
	struct kvm_stats_desc desc;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	gva_t data;
	u64 other;

	if (is_svm) {
		skip("SVM always gives a reason");
		return;
	}
	if (!kvm_cpu_has(X86_FEATURE_VMX)) {
		skip("nesting is off");
		return;
	}

	vm = exit_stats_create_vm(1, &vcpu);
	vcpu_alloc_vmx(vm, &data);
	vcpu_job(vcpu)->data = (void *)data;
	vcpu_run_job(vcpu, guest_vmfail);

	vcpu_check_exits_stat(vcpu);
	vcpu_read_stat(vcpu, "exit_counts", &desc, counts, ARRAY_SIZE(counts));
	vcpu_read_stat(vcpu, "exit_cycles", &desc, cycles, ARRAY_SIZE(cycles));
	other = counts[EXIT_STATS_SLOT_OTHER];
	check(other == 1, "%lu exits without a reason", other);
	check(cycles[EXIT_STATS_SLOT_OTHER], "no cycles");
	check(debugfs_shows_other(vm), "debugfs lacks them");

	kvm_vm_free(vm);
}

/* Make the state of the guest invalid, return the valid one. */
static struct kvm_sregs invalidate_state(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs valid, invalid;

	vcpu_sregs_get(vcpu, &valid);
	invalid = valid;
	if (is_svm)
		invalid.cs.db = true;	/* and also cs.l */
	else
		invalid.tr.unusable = true;
	vcpu_sregs_set(vcpu, &invalid);
	return valid;
}

static void guest_out_twice(struct guest_job *job)
{
	write_port(USER_PORT, 0);
	write_port(USER_PORT, 0);
}

/* KVM makes up exits, in which it emulates what the CPU can't execute. */
static void test_invalid_state(void)
{
	struct kvm_sregs valid;
	struct kvm_vcpu *vcpu;
	struct cpuid_read r;
	struct kvm_vm *vm;
	u64 nr;

	if (is_svm) {
		skip("KVM doesn't emulate invalid states on SVM");
		return;
	}
	if (get_kvm_intel_param_bool("unrestricted_guest")) {
		skip("unrestricted guest is on");
		return;
	}

	vm = exit_stats_create_vm(1, &vcpu);
	nr = vcpu_read_exits(vcpu, LEAF_BOTH, EXIT_REASON_INVALID_STATE);
	check(!nr, "%lu exits in a valid state", nr);

	/* Only from one OUT to the other, KVM can't emulate everything. */
	vcpu_job(vcpu)->fn = guest_out_twice;
	vcpu_run_until(vcpu, KVM_EXIT_IO);
	valid = invalidate_state(vcpu);
	vcpu_run_until(vcpu, KVM_EXIT_IO);
	vcpu_sregs_set(vcpu, &valid);
	vcpu_run_job(vcpu, guest_out_twice);

	r = vcpu_read(vcpu, LEAF_BOTH, EXIT_REASON_INVALID_STATE);
	check(exits_of(&r) && cycles_of(&r), "%lu exits, %lu cycles",
	      exits_of(&r), cycles_of(&r));
	vcpu_check_exits_stat(vcpu);
	vcpu_check_total_exits(vcpu);

	kvm_vm_free(vm);
}

/* A VM-Enter that fails because of the guest's state is an exit as well. */
static void test_failed_entry(void)
{
	struct kvm_sregs valid;
	struct kvm_vcpu *vcpu;
	struct kvm_regs regs;
	struct cpuid_read r;
	struct kvm_vm *vm;
	u64 i, nr = 3;

	if (!is_svm && !get_kvm_intel_param_bool("unrestricted_guest")) {
		skip("unrestricted guest is off, KVM emulates");
		return;
	}

	vm = exit_stats_create_vm(1, &vcpu);
	vcpu_regs_get(vcpu, &regs);
	valid = invalidate_state(vcpu);
	for (i = 0; i < nr; i++)
		vcpu_run_until(vcpu, KVM_EXIT_FAIL_ENTRY);

	/* Don't depend on what the CPU makes of the state when it refuses it. */
	vcpu_sregs_set(vcpu, &valid);
	vcpu_regs_set(vcpu, &regs);

	r = vcpu_read(vcpu, LEAF_BOTH, REASON_FAILED_ENTRY);
	check(exits_of(&r) == nr, "%lu failed entries, should be %lu",
	      exits_of(&r), nr);
	check(cycles_of(&r), "no cycles of failed entries");
	vcpu_check_exits_stat(vcpu);
	vcpu_check_total_exits(vcpu);

	kvm_vm_free(vm);
}

static void guest_shutdown(struct guest_job *job)
{
	struct desc_ptr idt = {};

	asm volatile("lidt %0; ud2" : : "m"(idt));
}

/* The vCPU that dies can't tell, the other one can. */
static void test_shutdown(void)
{
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm;
	u64 nr;

	vm = exit_stats_create_vm(2, vcpus);
	nr = vcpu_read_exits(vcpus[1], LEAF_EXITS, REASON_SHUTDOWN);
	check(!nr, "%lu triple faults", nr);

	vcpu_job(vcpus[0])->fn = guest_shutdown;
	vcpu_run_until(vcpus[0], KVM_EXIT_SHUTDOWN);

	nr = vcpu_read_exits(vcpus[1], LEAF_EXITS, REASON_SHUTDOWN);
	check(nr == 1, "%lu triple faults, should be 1", nr);
	nr = vcpu_read_exits(vcpus[1], LEAF_OWN, REASON_SHUTDOWN);
	check(!nr, "%lu triple faults of its own", nr);

	kvm_vm_free(vm);
}

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
	{ "two VMs", test_two_vms },
	{ "two vCPUs", test_two_vcpus },
	{ "vCPU with another ID than its index", test_sparse_id },
	{ "cycles, beyond 32 bits", test_high_half },
	{ "cycles, preempted in a handler", test_preempted },
	{ "cycles, preempted in the guest", test_preempted_guest },
	{ "cycles, halted in a handler of Xen's", test_xen_poll },
	{ "nested guest", test_nested },
	{ "VM-Enter that fails early", test_vmfail },
	{ "invalid guest state", test_invalid_state },
	{ "failed VM-Enter", test_failed_entry },
	{ "triple fault", test_shutdown },
};

int main(int argc, char *argv[])
{
	int i;

	ksft_print_header();
	exit_stats_init();
	ksft_set_plan(ARRAY_SIZE(tests));

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		tests[i].fn();
		report(tests[i].name);
	}

	ksft_finished();
}
