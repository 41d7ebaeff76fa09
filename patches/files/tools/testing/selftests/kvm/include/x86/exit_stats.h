/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The statistics of VM-Exits, i.e. CPUID 0x4FFFFFF6..0x4FFFFFFF, on VMX and on
 * SVM: read them in a guest, provoke exits, and check what they count.
 */
#ifndef SELFTEST_KVM_EXIT_STATS_H
#define SELFTEST_KVM_EXIT_STATS_H

#include <stdbool.h>

#include <asm/kvm_para.h>
#include <linux/kvm_para.h>

#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "test_util.h"
#include "vmx.h"

/*
 * The leaves, named after what they return.  Deliberately not those of the
 * UAPI headers: guests rely on these numbers, they must never change.
 */
#define LEAF_ALL_EXITS		0x4fffffffu
#define LEAF_ALL_CYCLES		0x4ffffffeu
#define LEAF_EXITS		0x4ffffffdu
#define LEAF_CYCLES		0x4ffffffcu
#define LEAF_ABI		0x4ffffffbu
#define LEAF_BOTH		0x4ffffffau
#define LEAF_OWN		0x4ffffff9u
#define LEAF_USER		0x4ffffff8u
#define LEAF_STATE		0x4ffffff7u
#define LEAF_OWN_STATE		0x4ffffff6u

/* Neither VMX nor SVM defines it. */
#define NO_REASON		0xfff0u

/* Interrupts of the host may come in between, but not always. */
#define MAX_TRIES		100

/* KVM has nothing at this port, userspace handles it. */
#define USER_PORT		0x2000

#define NO_SUCH_HYPERCALL	0x7777

/* The states of a vCPU, by their numbers in CPUID */
enum {
	STATE_WALL,
	STATE_GUEST,
	STATE_KVM,
	STATE_VMM,
	STATE_HALTED,
	STATE_PREEMPTED,
	STATE_BLOCKED,
	STATE_OUTSIDE,
	NR_STATES,
};

#define MAX_REASONS		192

/* KVM's binary statistics have that many elements, the last is for all others. */
#define EXIT_STATS_NR_SLOTS	176
#define EXIT_STATS_SLOT_OTHER	175

#define MAX_READS		(MAX_REASONS + 8)

/* How KVM runs guests, with SVM or with VMX. */
extern bool is_svm;

static inline u32 by_vendor(u32 vmx, u32 svm)
{
	return is_svm ? svm : vmx;
}

#define REASON_CPUID		by_vendor(EXIT_REASON_CPUID, SVM_EXIT_CPUID)
#define REASON_HYPERCALL	by_vendor(EXIT_REASON_VMCALL, SVM_EXIT_VMMCALL)

/* The last one of an array is { 1, 0 }. */
struct reason_range {
	u32 first;
	u32 last;
};

/* All reasons that are defined, in ascending order. */
extern u32 exit_stats_reasons[MAX_REASONS];
extern u32 exit_stats_nr_reasons;

bool exit_stats_is_defined(u32 reason);

/* Exits depend on who translates the guest's addresses, the CPU or KVM. */
enum paging {
	ANY_PAGING,
	TDP,
	SHADOW,
};

struct scenario {
	const char *name;
	/* NO_REASON if there is no such exit, or none to rely on. */
	u32 vmx_reason;
	u32 svm_reason;
	void (*provoke)(void);
	/* How many exits each call of provoke() causes, 0 stands for one. */
	u64 exits;
	/* KVM must not intercept what provoke() does. */
	bool no_exit;
	/* The host may cause this exit as well, or prevent it: try again. */
	bool noisy;
	enum paging paging;
	/* Why this host can't run the scenario, NULL if it can. */
	const char *(*missing)(void);
};

static inline u32 reason_of(const struct scenario *s)
{
	return by_vendor(s->vmx_reason, s->svm_reason);
}

struct cpuid_read {
	u32 function;
	u32 index;
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

struct sample {
	u64 tsc;
	struct cpuid_read exits;
	struct cpuid_read cycles;
	struct cpuid_read both;
	struct cpuid_read own;
};

/* What a vCPU shall do next, and what came out of it. */
struct guest_job {
	void (*fn)(struct guest_job *job);
	void *data;

	u32 nr_reads;
	struct cpuid_read reads[MAX_READS];

	u32 reason;
	void (*provoke)(void);
	u64 nr;
	struct sample before;
	struct sample after;

	/* How long userspace takes to handle an access to USER_PORT. */
	unsigned int user_io_usecs;
};

/* From one sample to the other */
struct change {
	s64 exits;
	s64 both;
	s64 own;
	s64 cycles;
	u64 elapsed;
};

/*
 * For guests
 */
static inline void read_cpuid(struct cpuid_read *r)
{
	__cpuid(r->function, r->index, &r->eax, &r->ebx, &r->ecx, &r->edx);
}

static inline void read_leaf(struct cpuid_read *r, u32 function, u32 reason)
{
	r->function = function;
	r->index = reason;
	read_cpuid(r);
}

/* The library's may rely on KVM to correct the vendor's instruction. */
static inline void do_hypercall(void)
{
	u64 ret;

	if (is_svm)
		asm volatile("vmmcall" : "=a"(ret) : "a"(NO_SUCH_HYPERCALL));
	else
		asm volatile("vmcall" : "=a"(ret) : "a"(NO_SUCH_HYPERCALL));
	GUEST_ASSERT_EQ(ret, (u64)-KVM_ENOSYS);
}

static inline void write_port(u16 port, u8 val)
{
	asm volatile("outb %0, %1" : : "a"(val), "Nd"(port));
}

/*
 * For hosts: VMs, and vCPUs that run functions of the guest
 */
bool exit_stats_read_param(const char *module, const char *name, char *val,
			   size_t size);
bool exit_stats_param_is_on(const char *module, const char *name);

void exit_stats_init(void);

/* vCPUs have the IDs from 0 on; another one may have any ID below the maximum. */
#define EXIT_STATS_MAX_VCPU_ID	4

struct kvm_vm *exit_stats_create_vm(u32 nr_vcpus, struct kvm_vcpu *vcpus[]);
struct kvm_vcpu *exit_stats_add_vcpu(struct kvm_vm *vm, u32 id);

/*
 * With one vCPU, whose job has what a nested guest needs as its data.  NULL, and
 * the test is skipped, where nesting is off.
 */
struct kvm_vm *exit_stats_create_nested_vm(struct kvm_vcpu **vcpu);

/* Run the vCPU up to its next exit to userspace, which has to be this one. */
static inline void vcpu_run_until(struct kvm_vcpu *vcpu, u32 exit_reason)
{
	vcpu_run(vcpu);
	TEST_ASSERT(vcpu->run->exit_reason == exit_reason,
		    "Unexpected exit: %s",
		    exit_reason_str(vcpu->run->exit_reason));
}

struct guest_job *vcpu_job(struct kvm_vcpu *vcpu);
void vcpu_run_job(struct kvm_vcpu *vcpu, void (*fn)(struct guest_job *job));

/*
 * Read leaves, either one by one, or many in a job: add them to the job read by
 * read, then run it.
 */
struct cpuid_read *vcpu_add_read(struct kvm_vcpu *vcpu, u32 function,
				 u32 index);
void vcpu_run_reads(struct kvm_vcpu *vcpu);
void vcpu_clear_reads(struct kvm_vcpu *vcpu);

struct cpuid_read vcpu_read(struct kvm_vcpu *vcpu, u32 function, u32 index);
u64 vcpu_read_exits(struct kvm_vcpu *vcpu, u32 leaf, u32 reason);
u64 vcpu_read_cycles(struct kvm_vcpu *vcpu, u32 leaf, u32 reason);

/* The number of exits, from any leaf that has it, and of cycles */
u64 exits_of(const struct cpuid_read *r);
u64 cycles_of(const struct cpuid_read *r);

/*
 * For hosts: checks, and the result of those since the last report.  report()
 * is inline, because kselftest.h counts in each source file on its own.
 */
extern int exit_stats_nr_failures;
extern const char *exit_stats_skip_reason;

void __printf(1, 2) exit_stats_fail(const char *fmt, ...);

#define check(ok, fmt, args...)						\
do {									\
	if (!(ok))							\
		exit_stats_fail(fmt, ##args);				\
} while (0)

static inline void skip(const char *reason)
{
	exit_stats_skip_reason = reason;
}

static inline void report(const char *name)
{
	if (exit_stats_nr_failures)
		ksft_test_result_fail("%s\n", name);
	else if (exit_stats_skip_reason)
		ksft_test_result_skip("%s: %s\n", name, exit_stats_skip_reason);
	else
		ksft_test_result_pass("%s\n", name);

	exit_stats_nr_failures = 0;
	exit_stats_skip_reason = NULL;
}

static inline void check_regs(const struct cpuid_read *r, u32 eax, u32 ebx,
			      u32 ecx, u32 edx)
{
	check(r->eax == eax && r->ebx == ebx && r->ecx == ecx && r->edx == edx,
	      "CPUID %#x.%#x is %#x %#x %#x %#x, should be %#x %#x %#x %#x",
	      r->function, r->index, r->eax, r->ebx, r->ecx, r->edx,
	      eax, ebx, ecx, edx);
}

/* Provoke exits, demand that each of them counts. */
struct change vcpu_measure(struct kvm_vcpu *vcpu, const struct scenario *s,
			   u64 nr);

/* The same with hypercalls, and provoke them without any demand. */
struct change vcpu_measure_hypercalls(struct kvm_vcpu *vcpu, u64 nr);
struct change vcpu_provoke_hypercalls(struct kvm_vcpu *vcpu, u64 nr);

void vcpu_check_reason(struct kvm_vcpu *vcpu, u32 reason, u32 edx);
void vcpu_check_hypercalls(struct kvm_vcpu *vcpu, u32 leaf, u64 want);
void vcpu_check_total_exits(struct kvm_vcpu *vcpu);
void vcpu_check_exits_stat(struct kvm_vcpu *vcpu);

/* What describes one of KVM's statistics of a vCPU, and its first values */
void vcpu_read_stat(struct kvm_vcpu *vcpu, const char *name,
		    struct kvm_stats_desc *desc, u64 *vals, size_t nr_vals);

/* What KVM's statistics of a vCPU say at one time of where its time went. */
struct ledger {
	u64 cycles[NR_STATES];
	u64 exit_cycles;		/* of all exits */
	u64 user_exits[EXIT_STATS_NR_SLOTS];
	u64 user_cycles[EXIT_STATS_NR_SLOTS];
};

/* A vCPU that runs doesn't give its file descriptor, see vcpu_get_stats_fd(). */
void read_ledger(int stats_fd, struct ledger *ledger);
void vcpu_read_ledger(struct kvm_vcpu *vcpu, struct ledger *ledger);

#endif /* SELFTEST_KVM_EXIT_STATS_H */
