/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EXITSTAT_H
#define _EXITSTAT_H

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>

#include <linux/types.h>

#define ARRAY_SIZE(x)	(sizeof(x) / sizeof((x)[0]))

#define MAX_REASONS	256	/* room for newer hosts */

/* The reasons that are defined */
struct reason {
	__u32 number;
	const char *name;	/* NULL if KVM has none */
	bool handled;		/* does KVM have a handler? */
	bool other;		/* exits without a reason, on the host */
};

extern struct reason reasons[MAX_REASONS];
extern int nr_reasons;
extern int cpuid_reason;	/* its index */
extern bool svm;
extern __u32 tsc_khz;

bool known_reason(unsigned int i, __u32 *number);
void add_reason(__u32 number);
const char *reason_number(const struct reason *r);
const char *reason_name(const struct reason *r);

struct counts {
	__u64 exits;
	__u64 cycles;
	__u64 user_exits;	/* of these exits, those that userspace completed */
	__u64 user_cycles;
};

/* Where a vCPU's time goes; the numbers are those of the CPUID leaves. */
enum state {
	STATE_GUEST = 1,
	STATE_KVM,
	STATE_VMM,
	STATE_HALTED,
	STATE_PREEMPTED,
	STATE_BLOCKED,
	STATE_OUTSIDE,
	NR_STATES,
};

struct state_counts {
	__u64 times;
	__u64 cycles;
};

extern const char * const state_names[NR_STATES];
extern bool ledger;		/* does KVM know states, and what userspace completes? */

#define WHOLE_VM	-1
#define EACH_VCPU	-2

/* What was counted for a VM or for a vCPU. */
struct view {
	bool old;		/* of a former sample: its CPU is offline */
	int pid;		/* of the VM, on the host */
	int vcpu;		/* or WHOLE_VM */
	char vm[64];		/* name, on the host */
	__u64 reads;		/* our own CPUIDs that are counted there */
	struct counts counts[MAX_REASONS];
	struct state_counts states[NR_STATES];
};

struct sample {
	double time;		/* Unix time */
	double uptime;
	double seconds;		/* of a difference, else 0 */
	__u32 session;
	struct counts own;	/* our own exits, which were taken out */
	struct view *views;
	int nr_views;
	int max_views;
};

struct view *add_view(struct sample *s, int pid, int vcpu, const char *vm);
struct view *find_view(const struct sample *s, int pid, int vcpu);

enum sort { SORT_TIME, SORT_EXITS, SORT_AVG, SORT_REASON };
enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV, FORMAT_OPENMETRICS };

struct options {
	enum sort sort;
	enum format format;
	int vcpu;		/* or WHOLE_VM, EACH_VCPU */
	int pid;
	const char *guest;
	bool top;
	bool zeros;
	bool wanted[MAX_REASONS];
	FILE *out;
	char **command;
};

extern struct options opt;

/* cpuid.c: the CPU */
struct regs {
	__u32 eax;
	__u32 ebx;
	__u32 ecx;
	__u32 edx;
};

struct regs cpuid(__u32 leaf, __u32 index);
__u32 measure_tsc_khz(void);
bool pin_to_cpu(int cpu);
bool is_on_cpu(int cpu);
void get_online_cpus(cpu_set_t *cpus);

/* guest.c */
bool guest_probe(void);
void guest_init(void);
void guest_read(struct sample *s);

/* host.c */
bool host_probe(void);
void host_init(void);
void host_read(struct sample *s);

/* output.c */
void output_list(const struct sample *s);
void output_sample(const struct sample *s);

#endif /* _EXITSTAT_H */
