// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that reads the CPUID leaves of the VM-exit statistics as nobody should.
 *
 * hostile-guest model RANDOM: every leaf and its neighbours, every index at a
 * border and RANDOM random ones, from each mode of the CPU, with and without
 * KVM's instruction emulator and CPUID faulting.  All of it happens on one
 * vCPU, so that the number of its exits by CPUID is known exactly at any time,
 * and each answer is compared with what Documentation/virt/kvm/x86/exit-stats.rst
 * says.  Which reasons are defined, asm/kvm_exit_stats.h says; the selftest has a
 * list of its own.  Prints verdicts.  Needs kvm.force_emulation_prefix.
 *
 * hostile-guest flood VCPUS: as many vCPUs that read in a tight loop, until
 * a signal ends it.
 *
 * hostile-guest victim READS: a VM that reads the number of its exits by CPUID
 * that many times, once each, and prints the last, as the host's log has them.
 *
 * hostile-guest cost: prints ticks of the TSC per exit by CPUID, of a leaf that
 * has nothing to do with the statistics, and of one that has; the least of many
 * short batches; and the mean number of cycles that KVM accounts for one.
 */
#define _GNU_SOURCE
#include <asm/svm.h>
#include <asm/vmx.h>
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cpuid-loops.h"

/* The leaves of the statistics are the last of these. */
#define FIRST_LEAF	(LAST_LEAF & ~0xfu)
#define LAST_LEAF	KVM_CPUID_EXIT_STATS_TOTAL_EXITS
#define LOWEST_LEAF	KVM_CPUID_EXIT_STATS_STATE_VCPU
#define NR_LEAVES	(LAST_LEAF - LOWEST_LEAF + 1)
/* Nobody's, far from all others. */
#define LEAF_CONTROL	0x20000000u

#define MSR_MISC_FEATURES_ENABLES	0x140

static bool is_svm;
static u64 start_tsc;

#define MAX_READS	(VM_DATA_SIZE / sizeof(struct read) - 1)

#define EMULATE "ud2; .ascii \"kvm\"\n"

asm(".pushsection .rodata\n"
    "code:\n"
    READ_LOOP("read64", "64", "")
    READ_LOOP("read32", "32", "")
    READ_LOOP("read16", "16", "")
    READ_LOOP("emulate64", "64", EMULATE)
    READ_LOOP("emulate32", "32", EMULATE)
    READ_LOOP("emulate16", "16", EMULATE)
    ".code64\n"
    /* All reasons of the SDM and the first ones of SVM, both values, for ever. */
    "flood: xorl %esi, %esi\n"
    "1: movl $" STRING(KVM_CPUID_EXIT_STATS_EXITS) ", %eax\n"
    "movl %esi, %ecx\n"
    "cpuid\n"
    "movl $" STRING(KVM_CPUID_EXIT_STATS_CYCLES) ", %eax\n"
    "movl %esi, %ecx\n"
    "cpuid\n"
    "incl %esi\n"
    "andl $127, %esi\n"
    "jmp 1b\n"
    READ_BATCHES("batches")
    "code_end:\n"
    ".popsection\n");
extern const u8 code[], code_end[], flood[], batches[];
extern const u8 read64[], read32[], read16[], emulate64[], emulate32[], emulate16[];

static const struct {
	const char *name;
	const u8 *read, *emulate;
	bool faults;	/* under CPUID faulting */
} modes[NR_MODES] = {
	[RING0] = { "ring 0", read64, emulate64, false },
	[RING3] = { "ring 3", read64, emulate64, true },
	[COMPAT] = { "compatibility mode", read32, emulate32, true },
	[REAL] = { "real mode", read16, emulate16, false },
};

static int kvm;
static struct small_vm vm;
static struct small_vcpu vcpu;

static u64 read_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static bool cpu_has_svm(void)
{
	u32 eax, ebx, ecx, edx;

	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & (1 << 2);
}

static u32 reason_cpuid(void)
{
	return is_svm ? SVM_EXIT_CPUID : EXIT_REASON_CPUID;
}

static u32 reason_ud(void)
{
	return is_svm ? SVM_EXIT_EXCP_BASE + UD_VECTOR : EXIT_REASON_EXCEPTION_NMI;
}

static u32 reason_io(void)
{
	return is_svm ? SVM_EXIT_IOIO : EXIT_REASON_IO_INSTRUCTION;
}

/*
 * What is known of the exits, and what the answers have said so far.
 */
static u64 nr_cpuid, nr_ud, nr_io;	/* exact */
static u32 session;

#define NR_KNOWN	0x410
static struct {
	u64 exits, cycles;
} seen[NR_KNOWN], seen_total;
static u64 seen_user_cycles, seen_state_cycles[KVM_VCPU_NR_STATES];

struct range {
	u32 first, last, slot;
};

static const struct range vmx_ranges[] = KVM_EXIT_STATS_VMX_RANGES;
static const struct range svm_ranges[] = KVM_EXIT_STATS_SVM_RANGES;

static const struct range *ranges;
static size_t nr_ranges;

static void choose_ranges(void)
{
	ranges = is_svm ? svm_ranges : vmx_ranges;
	nr_ranges = is_svm ? ARRAY_SIZE(svm_ranges) : ARRAY_SIZE(vmx_ranges);
}

/* The range of a defined reason, or NULL. */
static const struct range *find_range(u32 reason)
{
	size_t i;

	for (i = 0; i < nr_ranges; i++)
		if (reason >= ranges[i].first && reason <= ranges[i].last)
			return &ranges[i];
	return NULL;
}

/* Not one of SVM's negative ones. */
static u32 highest_reason(void)
{
	u32 highest = 0;
	size_t i;

	for (i = 0; i < nr_ranges; i++)
		if (ranges[i].last <= INT32_MAX && ranges[i].last > highest)
			highest = ranges[i].last;
	return highest;
}

static u32 slot_of(u32 reason)
{
	const struct range *r = find_range(reason);

	return r->slot + reason - r->first;
}

/* Where in @seen: the negative ones have their place at the end. */
static u32 place_of(u32 reason)
{
	return reason < NR_KNOWN ? reason : NR_KNOWN + reason;
}

/* Every judgement returns NULL, or what is wrong. */
static const char *only(bool ok, const char *why)
{
	return ok ? NULL : why;
}

static const char *judge_exits(u32 reason, u64 exits)
{
	u64 *old = &seen[place_of(reason)].exits;

	if (reason == reason_cpuid() && exits != nr_cpuid)
		return "not the number of executed CPUIDs";
	if (reason == reason_ud() && exits != nr_ud)
		return "not the number of emulated CPUIDs";
	if (reason == reason_io() && exits != nr_io)
		return "not the number of executed OUTs";
	if (exits < *old)
		return "fewer exits than before";
	if (exits > seen_total.exits + MAX_READS)
		return "more exits than all reasons together";
	*old = exits;
	return NULL;
}

static const char *judge_cycles(u32 reason, u64 cycles)
{
	u64 *old = &seen[place_of(reason)].cycles;

	if (cycles < *old)
		return "fewer cycles than before";
	if (cycles > read_tsc() - start_tsc)
		return "more cycles than have gone by";
	*old = cycles;
	return NULL;
}

/* The exit that reads is already counted, while its cycles aren't. */
static const char *judge_both(u64 exits, u64 cycles)
{
	if (cycles && !exits)
		return "cycles without an exit";
	if (exits > 1 && !cycles)
		return "exits without cycles";
	return NULL;
}

static const char *judge_total_exits(u64 exits)
{
	if (exits <= seen_total.exits)
		return "no more exits than at the read before";
	if (exits < nr_cpuid + nr_ud + nr_io)
		return "fewer exits than known";
	seen_total.exits = exits;
	return NULL;
}

static const char *judge_total_cycles(u64 cycles)
{
	if (cycles <= seen_total.cycles)
		return "no more cycles than at the read before";
	if (cycles > read_tsc() - start_tsc)
		return "more cycles than have gone by";
	seen_total.cycles = cycles;
	return NULL;
}

/* Userspace completes the OUTs, and nothing else. */
static const char *judge_user(u32 reason, u64 exits, u64 cycles)
{
	if (reason != reason_io())
		return only(!exits && !cycles, "userspace has completed something");
	if (exits != nr_io)
		return "not the number of executed OUTs";
	if (cycles < seen_user_cycles)
		return "fewer cycles than before";
	if (cycles > read_tsc() - start_tsc)
		return "more cycles than have gone by";
	seen_user_cycles = cycles;
	return NULL;
}

/* The vCPU never halts, and is its VM. */
static const char *judge_state(u32 state, u64 cycles, u64 times)
{
	if (cycles < seen_state_cycles[state])
		return "fewer cycles than before";
	if (cycles > read_tsc() - start_tsc)
		return "more cycles than have gone by";
	if (state == KVM_VCPU_STATE_WALL && times != 1)
		return "not one vCPU";
	if (state == KVM_VCPU_STATE_VMM && (times != nr_io || cycles < seen_user_cycles))
		return "not what the OUTs have";
	if (state == KVM_VCPU_STATE_HALTED && (times || cycles))
		return "halted";
	if ((state == KVM_VCPU_STATE_GUEST || state == KVM_VCPU_STATE_KVM) && times <= seen_total.exits)
		return "no more exits than at the read before";
	seen_state_cycles[state] = cycles;
	return NULL;
}

static bool is(const struct read *r, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	return r->eax == eax && r->ebx == ebx && r->ecx == ecx && r->edx == edx;
}

static const char *judge_signature(const struct read *r)
{
	u32 flags, khz;

	switch (r->ecx_in) {
	case 0:
		return only(is(r, KVM_CPUID_EXIT_STATS_ABI_VERSION, KVM_CPUID_EXIT_STATS_SIGNATURE_EBX,
			       KVM_CPUID_EXIT_STATS_SIGNATURE_ECX, KVM_CPUID_EXIT_STATS_SIGNATURE_EDX),
			    "not the signature");
	case 1:
		flags = KVM_CPUID_EXIT_STATS_F_ACTIVE | KVM_CPUID_EXIT_STATS_F_LEDGER |
			(is_svm ? KVM_CPUID_EXIT_STATS_F_SVM : KVM_CPUID_EXIT_STATS_F_VMX);
		khz = vm_ioctl(vcpu.fd, KVM_GET_TSC_KHZ, 0);
		session = session ?: r->edx;
		return only(session && is(r, highest_reason(), flags, khz, session),
			    "not highest reason, flags, kHz and session");
	default:
		return only(is(r, 0, 0, 0, 0), "not zeros");
	}
}

static const char *judge_reason(const struct read *r)
{
	const char *why;
	u32 reason = r->ecx_in;
	u64 exits, cycles;

	if (!find_range(reason))
		return only(is(r, 0, 0, 0, KVM_CPUID_EXIT_STATS_UNDEFINED), "not 0, 0, 0, 0xffffffff");

	switch (r->eax_in) {
	case KVM_CPUID_EXIT_STATS_EXITS:
		why = judge_exits(reason, join(r->eax, r->ebx));
		return why ?: only(!r->ecx && !r->edx, "ECX, EDX not zero");
	case KVM_CPUID_EXIT_STATS_CYCLES:
		why = judge_cycles(reason, join(r->ecx, r->ebx));
		return why ?: only(!r->eax && !r->edx, "EAX, EDX not zero");
	default:
		exits = join(r->eax, r->ebx);
		cycles = join(r->ecx, r->edx);
		why = judge_exits(reason, exits);
		why = why ?: judge_cycles(reason, cycles);
		return why ?: judge_both(exits, cycles);
	}
}

static const char *judge_ledger(const struct read *r)
{
	u64 low = join(r->eax, r->ebx), high = join(r->ecx, r->edx);
	bool user = r->eax_in == KVM_CPUID_EXIT_STATS_USER;

	if (user ? !find_range(r->ecx_in) : r->ecx_in >= KVM_VCPU_NR_STATES)
		return only(is(r, 0, 0, 0, KVM_CPUID_EXIT_STATS_UNDEFINED), "not 0, 0, 0, 0xffffffff");
	return user ? judge_user(r->ecx_in, low, high) : judge_state(r->ecx_in, low, high);
}

static bool is_leaf(u32 function)
{
	return function >= LOWEST_LEAF && function <= LAST_LEAF;
}

/* @control: the next read, for a leaf that doesn't exist. */
static const char *judge(const struct read *r, const struct read *control)
{
	const char *why;

	if (!is_leaf(r->eax_in)) {
		return only(is(r, control->eax, control->ebx, control->ecx, control->edx),
			    "not the answer to a leaf that doesn't exist");
	}
	switch (r->eax_in) {
	case KVM_CPUID_EXIT_STATS_TOTAL_EXITS:
		why = judge_total_exits(join(r->eax, r->ebx));
		return why ?: only(!r->ecx && !r->edx, "ECX, EDX not zero");
	case KVM_CPUID_EXIT_STATS_TOTAL_CYCLES:
		why = judge_total_cycles(join(r->ecx, r->ebx));
		return why ?: only(!r->eax && !r->edx, "EAX, EDX not zero");
	case KVM_CPUID_EXIT_STATS_SIGNATURE:
		return judge_signature(r);
	case KVM_CPUID_EXIT_STATS_USER:
	case KVM_CPUID_EXIT_STATS_STATE_VM:
	case KVM_CPUID_EXIT_STATS_STATE_VCPU:
		return judge_ledger(r);
	default:
		return judge_reason(r);
	}
}

/*
 * The modes, each with and without the emulator and CPUID faulting.
 */
static enum mode mode;
static bool emulated, faulting;
static u64 nr_answers, nr_faults;
static u64 nr_wrong;

static struct read *data(void)
{
	return (struct read *)(vm.mem + VM_DATA);
}

static void __attribute__((format(printf, 2, 3))) wrong(const struct read *r, const char *fmt, ...)
{
	va_list args;

	if (nr_wrong++ >= 10)
		return;
	va_start(args, fmt);
	fprintf(stderr, "%s%s%s: CPUID %#x.%#x is %#x %#x %#x %#x: ", modes[mode].name, emulated ? ", emulated" : "",
		faulting ? ", CPUID faulting" : "", r->eax_in, r->ecx_in, r->eax, r->ebx, r->ecx, r->edx);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
}

static void count_read(void)
{
	if (emulated)
		nr_ud++;
	else
		nr_cpuid++;
}

/* Run up to an OUT, return the port. */
static int run_vcpu(void)
{
	vm_ioctl(vcpu.fd, KVM_RUN, 0);
	if (vcpu.run->exit_reason != KVM_EXIT_IO)
		errx(1, "%s: KVM_RUN ends with exit reason %u", modes[mode].name, vcpu.run->exit_reason);
	nr_io++;
	return vcpu.run->io.port;
}

static void start_reads(u32 nr)
{
	const u8 *loop = emulated ? modes[mode].emulate : modes[mode].read;

	set_mode(&vcpu, mode, loop - code, 0, nr);
}

/* Execute @nr reads in the guest, and judge them. */
static void do_reads(u32 nr)
{
	struct read *r = data(), *end = r + nr;
	const char *why;
	int port;

	start_reads(nr);
	port = run_vcpu();
	if (port != PORT_DONE)
		errx(1, "%s: a fault, port %#x", modes[mode].name, port);
	nr_io--;	/* not yet for the reads */
	for (; r < end; r++) {
		count_read();
		why = r->eax_in == LEAF_CONTROL ? NULL : judge(r, r + 1);
		if (why)
			wrong(r, "%s (CPUIDs %llu, emulated %llu, OUTs %llu)", why, (unsigned long long)nr_cpuid,
			      (unsigned long long)nr_ud, (unsigned long long)nr_io);
		nr_answers++;
	}
	nr_io++;
}

/* The same one by one where each must fault, with the registers untouched. */
static void do_faults(u32 nr)
{
	struct read *r = data();
	struct kvm_regs regs;
	u64 *frame;
	int port;
	u32 i;

	for (i = 0; i < nr; i++) {
		start_reads(1);
		vm_ioctl(vcpu.fd, KVM_GET_REGS, &regs);
		regs.rsi = VM_DATA + i * sizeof(*r);
		vm_ioctl(vcpu.fd, KVM_SET_REGS, &regs);
		port = run_vcpu();
		count_read();
		vm_ioctl(vcpu.fd, KVM_GET_REGS, &regs);
		/* Error code, RIP, CS */
		frame = (u64 *)(vm.mem + regs.rsp);
		if (port != PORT_GP || frame[0] || (frame[2] & 3) != 3)
			wrong(&r[i], "no #GP(0) in ring 3, but port %#x", port);
		if ((u32)regs.rax != r[i].eax_in || (u32)regs.rcx != r[i].ecx_in ||
		    regs.rbx != NOT_WRITTEN || regs.rdx != NOT_WRITTEN || r[i].eax != NOT_WRITTEN)
			wrong(&r[i], "answered %#llx %#llx %#llx %#llx in spite of the fault", regs.rax, regs.rbx,
			      regs.rcx, regs.rdx);
		nr_faults++;
	}
}

static u32 nr_reads;

static void flush_reads(void)
{
	if (faulting && modes[mode].faults)
		do_faults(nr_reads);
	else
		do_reads(nr_reads);
	nr_reads = 0;
}

static void put_read(u32 function, u32 index)
{
	data()[nr_reads++] = (struct read) {
		function, index, NOT_WRITTEN, NOT_WRITTEN, NOT_WRITTEN, NOT_WRITTEN
	};
}

static void add_read(u32 function, u32 index)
{
	put_read(function, index);
	if (!is_leaf(function))
		put_read(LEAF_CONTROL, index);
	if (nr_reads >= MAX_READS - 1)
		flush_reads();
}

static void read_index(u32 index)
{
	/* Those that differ in some bits from a leaf, too. */
	static const u32 neighbours[] = {
		FIRST_LEAF - 1, LAST_LEAF + 1, LAST_LEAF + 2,
		KVM_CPUID_EXIT_STATS_EXITS ^ 0x40000000, KVM_CPUID_EXIT_STATS_EXITS ^ 0x80000000,
		KVM_CPUID_EXIT_STATS_EXITS ^ 0x10000000, KVM_CPUID_EXIT_STATS_EXITS ^ 0x100,
		KVM_CPUID_EXIT_STATS_EXITS ^ 0xff00, KVM_CPUID_EXIT_STATS_EXITS ^ 0xb0000000,
	};
	u32 leaf;
	size_t i;

	for (leaf = FIRST_LEAF; leaf <= LAST_LEAF; leaf++)
		add_read(leaf, index);
	for (i = 0; i < ARRAY_SIZE(neighbours); i++)
		add_read(neighbours[i], index);
}

static void read_borders(void)
{
	static const u32 far[] = {
		0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x1000a, 0x10072, 0x10400, 0x7fffffff, 0x80000000,
		0x8000000a, 0x8000001e, 0x80000072, 0x80000400, 0xf0000000, 0xffffff72, 0xfffffffb, 0xfffffffc,
		0xfffffffd, 0xfffffffe, 0xffffffff,
	};
	size_t i;
	u32 index;

	for (index = 0; index <= 0xb0; index++)
		read_index(index);
	for (index = 0x3fe; index <= 0x406; index++)
		read_index(index);
	for (i = 0; i < ARRAY_SIZE(far); i++)
		read_index(far[i]);
	flush_reads();
}

static u64 next_random(void)
{
	static u64 x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Half of them of all 32 bits, half with some upper ones clear, or hardly any would be a reason. */
static void read_random(u64 nr)
{
	u64 x;
	u32 index;

	while (nr--) {
		x = next_random();
		index = x >> 32;
		if (x & 1)
			index >>= (x >> 1) % 32;
		add_read(LOWEST_LEAF + (x >> 6) % NR_LEAVES, index);
	}
	flush_reads();
}

static void report(const char *what)
{
	printf("%s %s%s%s: %s: %llu answers, %llu faults", nr_wrong ? "not ok" : "ok", modes[mode].name,
	       emulated ? ", emulated" : "", faulting ? ", CPUID faulting" : "", what,
	       (unsigned long long)nr_answers, (unsigned long long)nr_faults);
	if (nr_wrong)
		printf(": %llu are wrong", (unsigned long long)nr_wrong);
	printf("\n");
	fflush(stdout);
	nr_answers = nr_faults = nr_wrong = 0;
}

static void set_faulting(bool on)
{
	struct { struct kvm_msrs head; struct kvm_msr_entry entry; } msrs = {
		.head.nmsrs = 1, .entry = { .index = MSR_MISC_FEATURES_ENABLES, .data = on },
	};

	if (vm_ioctl(vcpu.fd, KVM_SET_MSRS, &msrs) != 1)
		errx(1, "KVM doesn't emulate CPUID faulting");
	faulting = on;
}

/* KVM's own count, once more at the end, of the vCPU that has never rested. */
static void check_invariant(void)
{
	int fd = vm_ioctl(vcpu.fd, KVM_GET_STATS_FD, 0);
	struct stats_layout layout = find_stats(fd);
	struct vcpu_stats stats;
	u64 sum;

	read_stats(fd, &layout, &stats);
	close(fd);
	sum = sum_counts(&stats);
	if (sum == stats.exits && sum >= nr_cpuid + nr_ud + nr_io)
		printf("ok all slots are KVM's exits\n");
	else
		printf("not ok all slots are KVM's exits: %llu, and %llu exits, of which %llu are known\n",
		       (unsigned long long)sum, (unsigned long long)stats.exits,
		       (unsigned long long)(nr_cpuid + nr_ud + nr_io));
}

static void run_model(u64 nr_random)
{
	for (mode = 0; mode < NR_MODES; mode++) {
		for (emulated = false; ; emulated = true) {
			read_borders();
			report("borders");
			read_random(nr_random / (2 * NR_MODES));
			report("random");
			set_faulting(true);
			read_borders();
			report("borders");
			set_faulting(false);
			if (emulated)
				break;
		}
	}
	check_invariant();
}

/*
 * The other commands.
 */
static void *run_forever(void *arg)
{
	struct small_vcpu *v = arg;

	/* Whoever stops it with SIGSTOP lets it continue. */
	while (ioctl(v->fd, KVM_RUN, 0) < 0 && errno == EINTR)
		;
	errx(1, "the flood ends with exit reason %u", v->run->exit_reason);
}

static void run_flood(u32 nr_vcpus)
{
	static struct small_vcpu vcpus[VM_MAX_VCPUS];
	pthread_t thread;
	u32 i;

	if (!nr_vcpus || nr_vcpus > VM_MAX_VCPUS)
		errx(1, "%u vCPUs: there are up to %u", nr_vcpus, VM_MAX_VCPUS);
	for (i = 0; i < nr_vcpus; i++) {
		vcpus[i] = create_vcpu(kvm, &vm, i);
		set_mode(&vcpus[i], RING0, flood - code, 0, 0);
	}
	for (i = 0; i < nr_vcpus; i++)
		if (pthread_create(&thread, NULL, run_forever, &vcpus[i]))
			errx(1, "no thread for a vCPU");
	pthread_join(thread, NULL);
}

static void run_victim(u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		put_read(KVM_CPUID_EXIT_STATS_EXITS, reason_cpuid());
		do_reads(1);
		nr_reads = 0;
	}
	printf("%llu\n", (unsigned long long)join(data()->eax, data()->ebx));
}

#define NR_BATCHES	4000

static void measure(const char *name, u32 leaf, u32 index, const struct stats_layout *layout, int stats_fd)
{
	struct vcpu_stats before, after;
	u64 *ticks = (u64 *)data(), least = ~0ull;
	u32 slot = slot_of(reason_cpuid());
	int i;

	data()->eax_in = leaf;
	data()->ecx_in = index;
	set_mode(&vcpu, RING0, batches - code, 0, NR_BATCHES);
	read_stats(stats_fd, layout, &before);
	if (run_vcpu() != PORT_DONE)
		errx(1, "a fault while measuring");
	read_stats(stats_fd, layout, &after);
	for (i = 0; i < NR_BATCHES; i++)
		if (ticks[i] < least)
			least = ticks[i];
	printf("%s %llu %llu\n", name, (unsigned long long)least / BATCH,
	       (unsigned long long)((after.cycles[slot] - before.cycles[slot]) /
				    (after.counts[slot] - before.counts[slot])));
}

static void run_cost(void)
{
	int fd = vm_ioctl(vcpu.fd, KVM_GET_STATS_FD, 0);
	struct stats_layout layout = find_stats(fd);

	/* The first ones use up what may be logged. */
	run_victim(600);
	measure("other-leaf", 0, 0, &layout, fd);
	measure("statistics", KVM_CPUID_EXIT_STATS_EXITS, reason_cpuid(), &layout, fd);
}

static u64 number(const char *arg)
{
	char *end;
	u64 n = strtoull(arg, &end, 10);

	if (!*arg || *end)
		errx(1, "%s is not a number", arg);
	return n;
}

int main(int argc, char *argv[])
{
	const char *command = argc > 1 ? argv[1] : "";

	is_svm = cpu_has_svm();
	choose_ranges();
	kvm = open_kvm();
	vm = create_vm(kvm, code, code_end - code);
	if (!strcmp(command, "flood") && argc == 3) {
		run_flood(number(argv[2]));
		return 0;
	}

	start_tsc = read_tsc();
	vcpu = create_vcpu(kvm, &vm, 0);
	if (!strcmp(command, "model") && argc == 3)
		run_model(number(argv[2]));
	else if (!strcmp(command, "victim") && argc == 3)
		run_victim(number(argv[2]));
	else if (!strcmp(command, "cost") && argc == 2)
		run_cost();
	else
		errx(1, "usage: hostile-guest {model RANDOM | flood VCPUS | victim READS | cost}");
	return 0;
}
