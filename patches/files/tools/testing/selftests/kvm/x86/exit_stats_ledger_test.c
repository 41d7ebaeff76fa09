// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test for the ledger: where all of a vCPU's time goes, as the guest and the
 * host read it, while the vCPU runs, waits, or isn't run at all.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exit_stats.h"

/* How long to wait, and how much of it must be there at least */
#define WAIT_USECS	20000
#define WAIT_CYCLES	((u64)WAIT_USECS * tsc_khz / 1000 * 3 / 4)

#define REASON_IO	by_vendor(EXIT_REASON_IO_INSTRUCTION, SVM_EXIT_IOIO)

#define MMIO_GPA	0xc0000000ull

static struct kvm_vcpu *main_vcpu;
static int main_fd;	/* of its statistics */
static u32 tsc_khz;

static u64 state_cycles(const struct cpuid_read *r)
{
	return exits_of(r);
}

static u64 state_times(const struct cpuid_read *r)
{
	return cycles_of(r);
}

/* All but "wall" add up to it. */
static void check_sum(const struct ledger *ledger)
{
	u64 sum = 0;
	int i;

	for (i = STATE_GUEST; i < NR_STATES; i++)
		sum += ledger->cycles[i];
	check(sum == ledger->cycles[STATE_WALL],
	      "the states have %lu cycles, wall %lu", sum,
	      ledger->cycles[STATE_WALL]);
}

/* What the states have more than before; only those of the mask may have more. */
static void read_change(int fd, struct ledger *ledger, u64 change[NR_STATES],
			u64 mask)
{
	struct ledger old = *ledger;
	int i;

	mask |= BIT(STATE_WALL);
	read_ledger(fd, ledger);
	check_sum(ledger);
	for (i = 0; i < NR_STATES; i++) {
		change[i] = ledger->cycles[i] - old.cycles[i];
		check(!change[i] || mask & BIT(i),
		      "state %d: %ld cycles more", i, (long)change[i]);
	}
}

/* KVM_RUN without running the guest: userspace has nothing to complete. */
static void run_nothing(struct kvm_vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(vcpu) == -1 && errno == EINTR,
		    "KVM_RUN should be interrupted");
	vcpu->run->immediate_exit = 0;
}

/*
 * The TSC has the wall's time, exits' cycles are KVM's, and what userspace took to
 * complete them is the VMM's, to the cycle.
 */
static void test_sum(void)
{
	u64 before[2], after[2], wall, first, last, user = 0;
	struct ledger ledger;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int i;

	vm = vm_create(1);
	before[0] = rdtsc();
	vcpu = exit_stats_add_vcpu(vm, 0);
	after[0] = rdtsc();
	sync_global_to_guest(vm, is_svm);

	vcpu_measure_hypercalls(vcpu, 100);
	run_nothing(vcpu);

	before[1] = rdtsc();
	vcpu_read_ledger(vcpu, &ledger);
	after[1] = rdtsc();

	check_sum(&ledger);
	wall = ledger.cycles[STATE_WALL];
	first = before[1] - after[0];
	last = after[1] - before[0];
	check(first <= wall && wall <= last,
	      "wall has %lu cycles, should be in %lu..%lu", wall, first, last);
	check(ledger.cycles[STATE_KVM] == ledger.exit_cycles,
	      "KVM has %lu cycles, exits have %lu", ledger.cycles[STATE_KVM],
	      ledger.exit_cycles);
	for (i = 0; i < EXIT_STATS_NR_SLOTS; i++)
		user += ledger.user_cycles[i];
	check(ledger.cycles[STATE_VMM] == user,
	      "userspace has %lu cycles, its reasons have %lu",
	      ledger.cycles[STATE_VMM], user);

	kvm_vm_free(vm);
}

static void guest_read_states(struct guest_job *job)
{
	struct cpuid_read *r = job->reads;
	int i;

	/* Wall, all others, and wall again */
	for (i = 0; i <= NR_STATES; i++)
		read_leaf(r++, LEAF_OWN_STATE, i % NR_STATES);
	for (i = 0; i <= NR_STATES; i++)
		read_leaf(r++, LEAF_STATE, i % NR_STATES);
}

static void check_states(const struct cpuid_read *r)
{
	u64 sum = 0;
	int i;

	for (i = STATE_GUEST; i < NR_STATES; i++)
		sum += state_cycles(&r[i]);
	check(state_cycles(&r[0]) < sum && sum < state_cycles(&r[NR_STATES]),
	      "CPUID %#x: the states have %lu cycles, wall %lu..%lu",
	      r->function, sum, state_cycles(&r[0]),
	      state_cycles(&r[NR_STATES]));
}

/* The guest reads of itself, and of both vCPUs, one of which never runs. */
static void test_leaves(void)
{
	struct kvm_vcpu *vcpus[2];
	struct cpuid_read *r;
	struct kvm_vm *vm;
	int i;

	vm = exit_stats_create_vm(2, vcpus);
	vcpu_run_job(vcpus[0], guest_read_states);
	r = vcpu_job(vcpus[0])->reads;

	check_states(r);
	check(state_times(&r[STATE_WALL]) == 1, "%lu vCPUs are one",
	      state_times(&r[STATE_WALL]));
	check(state_times(&r[STATE_OUTSIDE]) == 1, "%lu times outside",
	      state_times(&r[STATE_OUTSIDE]));
	check(state_times(&r[STATE_KVM]) > NR_STATES / 2, "%lu times in KVM",
	      state_times(&r[STATE_KVM]));

	r += NR_STATES + 1;
	check_states(r);
	check(state_times(&r[STATE_WALL]) == 2, "%lu vCPUs are two",
	      state_times(&r[STATE_WALL]));
	check(state_cycles(&r[STATE_OUTSIDE]) > state_cycles(&r[STATE_WALL]) / 3,
	      "%lu of %lu cycles outside", state_cycles(&r[STATE_OUTSIDE]),
	      state_cycles(&r[STATE_WALL]));

	for (i = NR_STATES; i < 40; i++) {
		*r = vcpu_read(vcpus[0], LEAF_STATE, i);
		check_regs(r, 0, 0, 0, ~0u);
	}
	*r = vcpu_read(vcpus[0], LEAF_STATE, ~0u);
	check_regs(r, 0, 0, 0, ~0u);
	*r = vcpu_read(vcpus[0], LEAF_OWN_STATE, 0x80000001);
	check_regs(r, 0, 0, 0, ~0u);

	kvm_vm_free(vm);
}

static void guest_spin(struct guest_job *job)
{
	u64 start = rdtsc();

	while (rdtsc() - start < job->nr)
		;
}

/* A guest that computes has its time. */
static void test_computing(void)
{
	u64 change[NR_STATES], spent;
	struct ledger ledger;

	read_ledger(main_fd, &ledger);
	vcpu_job(main_vcpu)->nr = (u64)WAIT_USECS * tsc_khz / 1000;
	vcpu_run_job(main_vcpu, guest_spin);
	read_change(main_fd, &ledger, change, ~BIT(STATE_HALTED));

	spent = change[STATE_GUEST] + change[STATE_KVM] +
		change[STATE_PREEMPTED] + change[STATE_BLOCKED];
	check(spent > vcpu_job(main_vcpu)->nr, "%lu cycles in KVM_RUN", spent);
	check(change[STATE_GUEST] > spent / 4, "%lu of %lu cycles in the guest",
	      change[STATE_GUEST], spent);
}

static void *run_spinning(void *vcpu)
{
	vcpu_run_job(vcpu, guest_spin);
	return NULL;
}

/* From one CPU to the other and back while the guest computes. */
static void move_to_next_cpu(pthread_t thread, const cpu_set_t *all)
{
	static int cpu = -1;
	cpu_set_t one;

	do {
		cpu = (cpu + 1) % CPU_SETSIZE;
	} while (!CPU_ISSET(cpu, all));

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	TEST_ASSERT(!pthread_setaffinity_np(thread, sizeof(one), &one),
		    "pthread_setaffinity_np() failed");
}

/* A vCPU that moves between CPUs has all of its time all the same. */
static void test_moved(void)
{
	u64 change[NR_STATES], before[2], after[2], wall;
	struct ledger ledger;
	pthread_t thread;
	cpu_set_t all;

	sched_getaffinity(0, sizeof(all), &all);
	if (CPU_COUNT(&all) < 2) {
		skip("needs two CPUs");
		return;
	}

	vcpu_job(main_vcpu)->nr = 5ull * WAIT_USECS * tsc_khz / 1000;
	before[0] = rdtsc();
	read_ledger(main_fd, &ledger);
	before[1] = rdtsc();
	pthread_create(&thread, NULL, run_spinning, main_vcpu);
	do {
		move_to_next_cpu(thread, &all);
		usleep(1000);
	} while (pthread_tryjoin_np(thread, NULL));
	after[0] = rdtsc();
	read_change(main_fd, &ledger, change, ~BIT(STATE_HALTED));
	after[1] = rdtsc();

	wall = change[STATE_WALL];
	check(after[0] - before[1] <= wall && wall <= after[1] - before[0],
	      "wall has %lu cycles, should be in %lu..%lu", wall,
	      after[0] - before[1], after[1] - before[0]);
	check(change[STATE_PREEMPTED], "not preempted");
	check(change[STATE_GUEST] > vcpu_job(main_vcpu)->nr / 4,
	      "%lu of %lu cycles in the guest", change[STATE_GUEST],
	      vcpu_job(main_vcpu)->nr);
}

static void guest_user_io(struct guest_job *job)
{
	u64 i;

	read_leaf(&job->reads[0], LEAF_OWN_STATE, STATE_VMM);
	read_leaf(&job->reads[1], LEAF_USER, job->reason);
	for (i = 0; i < job->nr; i++)
		write_port(USER_PORT, 0);
	read_leaf(&job->reads[2], LEAF_OWN_STATE, STATE_VMM);
	read_leaf(&job->reads[3], LEAF_USER, job->reason);
}

/* The guest sees, and exactly so, how often and how long userspace does I/O. */
static void test_userspace(void)
{
	struct guest_job *job = vcpu_job(main_vcpu);
	const struct cpuid_read *r = job->reads;
	struct ledger before, after;
	u64 cycles;

	job->nr = 5;
	job->reason = REASON_IO;
	job->user_io_usecs = WAIT_USECS / 5;
	read_ledger(main_fd, &before);
	vcpu_run_job(main_vcpu, guest_user_io);
	read_ledger(main_fd, &after);
	job->user_io_usecs = 0;

	cycles = state_cycles(&r[2]) - state_cycles(&r[0]);
	check(cycles > WAIT_CYCLES, "%lu cycles", cycles);
	check(state_times(&r[2]) - state_times(&r[0]) == 5, "%lu times",
	      state_times(&r[2]) - state_times(&r[0]));
	check(cycles_of(&r[3]) - cycles_of(&r[1]) == cycles,
	      "%lu cycles of the reason, %lu of the state",
	      cycles_of(&r[3]) - cycles_of(&r[1]), cycles);
	check(exits_of(&r[3]) - exits_of(&r[1]) == 5, "%lu exits",
	      exits_of(&r[3]) - exits_of(&r[1]));

	/* The guest's last I/O is how it tells that it is done. */
	check(after.user_exits[REASON_IO] - before.user_exits[REASON_IO] == 6,
	      "the host sees %lu exits",
	      after.user_exits[REASON_IO] - before.user_exits[REASON_IO]);
}

static u64 user_exits(const struct ledger *ledger)
{
	u64 exits = 0;
	int i;

	for (i = 0; i < EXIT_STATS_NR_SLOTS; i++)
		exits += ledger->user_exits[i];
	return exits;
}

static void guest_mmio(struct guest_job *job)
{
	WRITE_ONCE(*(u64 *)(MMIO_GPA + PAGE_SIZE - 4), 1);
}

/* Userspace gets MMIO that crosses a page in two parts, but it is one exit. */
static void test_crossing_mmio(void)
{
	struct ledger before, after;
	u64 exits, vmm;

	vcpu_job(main_vcpu)->fn = guest_mmio;
	read_ledger(main_fd, &before);
	vcpu_run_until(main_vcpu, KVM_EXIT_MMIO);
	usleep(WAIT_USECS / 2);
	vcpu_run_until(main_vcpu, KVM_EXIT_MMIO);
	usleep(WAIT_USECS / 2);
	vcpu_run_job(main_vcpu, guest_mmio);
	read_ledger(main_fd, &after);

	vmm = after.cycles[STATE_VMM] - before.cycles[STATE_VMM];
	check(vmm > WAIT_CYCLES, "%lu cycles", vmm);

	/* The other one is how the guest tells that it is done. */
	exits = user_exits(&after) - user_exits(&before);
	check(exits == 2, "%lu exits, should be 2", exits);
}

static void guest_user_port(struct guest_job *job)
{
	write_port(USER_PORT, 0);
}

/*
 * Userspace may do something else first; the exit is still to be completed.  The
 * reader adds what is open.
 */
static void test_open_userspace(void)
{
	u64 change[NR_STATES], cycles;
	struct ledger ledger;
	struct kvm_regs regs;

	vcpu_job(main_vcpu)->fn = guest_user_port;
	vcpu_run_until(main_vcpu, KVM_EXIT_IO);

	read_ledger(main_fd, &ledger);
	cycles = ledger.user_cycles[REASON_IO];
	vcpu_regs_get(main_vcpu, &regs);
	usleep(WAIT_USECS);
	vcpu_regs_set(main_vcpu, &regs);
	read_change(main_fd, &ledger, change, BIT(STATE_VMM));
	cycles = ledger.user_cycles[REASON_IO] - cycles;
	check(change[STATE_VMM] > WAIT_CYCLES, "%lu cycles",
	      change[STATE_VMM]);
	check(cycles > WAIT_CYCLES, "%lu cycles of the reason", cycles);

	vcpu_run_job(main_vcpu, guest_user_port);
}

/* A vCPU that isn't run, and has nothing to be completed */
static void check_outside(int fd, struct ledger *ledger)
{
	u64 change[NR_STATES];

	read_ledger(fd, ledger);
	usleep(WAIT_USECS);
	read_change(fd, ledger, change, BIT(STATE_OUTSIDE));
	check(change[STATE_OUTSIDE] > WAIT_CYCLES, "%lu cycles outside",
	      change[STATE_OUTSIDE]);
}

static void test_outside(void)
{
	u64 change[NR_STATES];
	struct ledger ledger;

	run_nothing(main_vcpu);
	check_outside(main_fd, &ledger);

	run_nothing(main_vcpu);
	read_change(main_fd, &ledger, change, BIT(STATE_OUTSIDE) |
		    BIT(STATE_GUEST) | BIT(STATE_PREEMPTED) | BIT(STATE_BLOCKED));
}

static void guest_halt(struct guest_job *job)
{
	asm volatile("cli; hlt");
}

static void on_signal(int signal)
{
}

static void *run_vcpu(void *vcpu)
{
	return (void *)(long)(__vcpu_run(vcpu) ? errno : 0);
}

/*
 * Read a vCPU that waits in KVM_RUN, of another thread, and then has nothing to be
 * completed.
 */
static void check_waiting(struct kvm_vcpu *vcpu)
{
	const struct sigaction action = { .sa_handler = on_signal };
	int tries, fd = vcpu_get_stats_fd(vcpu);
	u64 change[NR_STATES];
	struct ledger ledger;
	pthread_t thread;
	void *error;

	sigaction(SIGUSR1, &action, NULL);
	read_ledger(fd, &ledger);
	pthread_create(&thread, NULL, run_vcpu, vcpu);
	for (tries = MAX_TRIES; tries; tries--) {
		usleep(WAIT_USECS);
		read_change(fd, &ledger, change, ~0ull);
		if (change[STATE_HALTED] == change[STATE_WALL])
			break;
	}
	check(tries, "not halted all the time");
	check(change[STATE_HALTED] > WAIT_CYCLES, "%lu cycles halted",
	      change[STATE_HALTED]);

	do {
		pthread_kill(thread, SIGUSR1);
		usleep(1000);
	} while (pthread_tryjoin_np(thread, &error));
	check((long)error == EINTR || (long)error == EAGAIN,
	      "KVM_RUN ends with '%s'", strerror((long)error));

	check_outside(fd, &ledger);

	close(fd);
}

/* An idle vCPU is halted while it is idle, not only when it wakes up. */
static void test_idle(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = exit_stats_create_vm(1, &vcpu);
	vcpu_job(vcpu)->fn = guest_halt;
	check_waiting(vcpu);
	kvm_vm_free(vm);
}

static void l2_guest_halt(void)
{
	asm volatile("cli; hlt");
}

/* L1 does not intercept HLT. */
static void guest_nested_halt(struct guest_job *job)
{
	struct svm_test_data *svm = job->data;
	struct vmx_pages *vmx = job->data;

	if (is_svm) {
		generic_svm_setup(svm, l2_guest_halt);
		run_guest(svm->vmcb, svm->vmcb_gpa);
	} else {
		GUEST_ASSERT(prepare_for_vmx_operation(vmx));
		GUEST_ASSERT(load_vmcs(vmx));
		prepare_vmcs(vmx, l2_guest_halt);
		GUEST_ASSERT(!vmlaunch());
	}
}

/* So is one whose nested guest is idle, if that is not its guest's business. */
static void test_nested_idle(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = exit_stats_create_nested_vm(&vcpu);
	if (!vm)
		return;

	vcpu_job(vcpu)->fn = guest_nested_halt;
	check_waiting(vcpu);
	kvm_vm_free(vm);
}

/* One that waits for its INIT is, too. */
static void test_uninitialized(void)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_UNINITIALIZED };
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm;

	vm = exit_stats_create_vm(2, vcpus);
	vcpu_mp_state_set(vcpus[1], &state);
	check_waiting(vcpus[1]);
	kvm_vm_free(vm);
}

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
	{ "sum of the states", test_sum },
	{ "leaves", test_leaves },
	{ "computing", test_computing },
	{ "moved between CPUs", test_moved },
	{ "userspace completes exits", test_userspace },
	{ "userspace completes MMIO that crosses a page", test_crossing_mmio },
	{ "userspace has not completed an exit yet", test_open_userspace },
	{ "outside of KVM_RUN", test_outside },
	{ "idle", test_idle },
	{ "a nested guest is idle", test_nested_idle },
	{ "uninitialized", test_uninitialized },
};

int main(int argc, char *argv[])
{
	struct kvm_vm *vm;
	int i;

	ksft_print_header();
	exit_stats_init();
	ksft_set_plan(ARRAY_SIZE(tests));

	vm = exit_stats_create_vm(1, &main_vcpu);
	tsc_khz = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	main_fd = vcpu_get_stats_fd(main_vcpu);
	virt_map(vm, MMIO_GPA, MMIO_GPA, 2);

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		tests[i].fn();
		report(tests[i].name);
	}

	kvm_vm_free(vm);

	ksft_finished();
}
