// SPDX-License-Identifier: GPL-2.0-only
/*
 * A CPU, and time, for exitstat's unit tests: takes the place of its cpuid.c.
 *
 * The file that EXITSTAT_SCENE names has a line for each thing that is so:
 *
 *	vendor vmx|svm|none		whose numbers; none: no leaves
 *	version N			of the leaves
 *	session N, tsc KHZ, off		what the leaves tell; off: nothing is counted
 *	cpus N...			that are online
 *	count CPU REASON EXITS CYCLES	what is counted there
 *	user REASON EXITS CYCLES	what userspace completed
 *	state N TIMES CYCLES		where the VM's, and its vCPUs', time went; the leaves of it are there then
 *	next [N]			the next act begins: after a sleep, or N CPUIDs later
 *
 * An act begins with all that was so before. Each CPUID of exitstat is an exit of 1000 cycles on its CPU.
 * A sleep takes no time, and neither does a COMMAND, which is also followed by the next act.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "exitstat.h"

#define CPUS		8
#define ACTS		8
#define NUMBERS		0x410		/* the last four are the negative ones */
#define CPUID_CYCLES	1000

struct act {
	enum { NONE, VMX, SVM } vendor;
	__u32 version, session, tsc;
	bool off;
	bool online[CPUS];
	long cpuids;			/* until it ends, 0: it doesn't */
	struct counts counts[CPUS][NUMBERS];
	struct counts user[NUMBERS];
	struct state_counts states[NR_STATES];
	bool ledger;
};

static struct act acts[ACTS];
static int act, nr_acts;
static int cpu;
static struct counts own[CPUS];
static double clock_now = 1700000000.25;

int __real_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
pid_t __real_waitpid(pid_t pid, int *status, int options);

static int number_index(__u32 number)
{
	if (number >= (__u32)-4)
		return NUMBERS + (int)number;
	return number < NUMBERS - 4 ? (int)number : -1;
}

static void __attribute__((constructor)) load(void)
{
	const char *name = getenv("EXITSTAT_SCENE");
	char line[256], *word, *arg;
	unsigned long long n[4];
	struct act *a = acts;
	FILE *f;
	int i;

	if (!name)
		return;
	f = fopen(name, "r");
	if (!f)
		err(99, "%s", name);
	a->version = 1;
	a->online[0] = true;
	while (fgets(line, sizeof(line), f)) {
		word = strtok(line, " \t\n");
		if (!word || *word == '#')
			continue;
		arg = strtok(NULL, "\n");
		for (i = 0, memset(n, 0, sizeof(n)); i < 4 && arg && *arg; i++) {
			char *end;

			n[i] = strtoull(arg, &end, 0);
			if (end == arg)
				break;
			arg = end;
		}
		if (!strcmp(word, "vendor")) {
			a->vendor = !strcmp(arg, "vmx") ? VMX : !strcmp(arg, "svm") ? SVM : NONE;
		} else if (!strcmp(word, "version")) {
			a->version = n[0];
		} else if (!strcmp(word, "session")) {
			a->session = n[0];
		} else if (!strcmp(word, "tsc")) {
			a->tsc = n[0];
		} else if (!strcmp(word, "off")) {
			a->off = true;
		} else if (!strcmp(word, "cpus")) {
			memset(a->online, 0, sizeof(a->online));
			while (i--)
				a->online[n[i]] = true;
		} else if (!strcmp(word, "count")) {
			a->counts[n[0]][number_index(n[1])] = (struct counts){ n[2], n[3], 0, 0 };
		} else if (!strcmp(word, "user")) {
			a->user[number_index(n[0])] = (struct counts){ n[1], n[2], 0, 0 };
		} else if (!strcmp(word, "state")) {
			a->states[n[0]] = (struct state_counts){ n[1], n[2] };
			a->ledger = true;
		} else if (!strcmp(word, "next")) {
			a->cpuids = n[0];
			a[1] = a[0];
			a[1].cpuids = 0;
			a++;
			nr_acts++;
		} else {
			errx(99, "%s: %s?", name, word);
		}
	}
	fclose(f);
}

static void next_act(void)
{
	if (act < nr_acts)
		act++;
}

static bool is_defined(const struct act *a, __u32 number)
{
	if (a->vendor == SVM)
		return number <= 0xa6 || (number >= 0x400 && number <= 0x403) || number >= (__u32)-4;
	return number <= 79 && number != 35 && number != 38 && number != 42 && number != 71;
}

static struct regs split(__u64 exits, __u64 cycles)
{
	return (struct regs){ exits, exits >> 32, cycles, cycles >> 32 };
}

struct regs cpuid(__u32 leaf, __u32 index)
{
	const struct act *a = &acts[act];
	__u32 own_reason = a->vendor == SVM ? 0x72 : 10;
	struct counts sum = { 0 }, before = { 0 };
	int i;

	if (leaf == 0x80000001)
		return (struct regs){ .ecx = getenv("EXITSTAT_SVM") ? 1 << 2 : 0 };
	if (leaf == 1)
		return (struct regs){ .ecx = getenv("EXITSTAT_METAL") ? 0 : 1u << 31 };
	/* Intel's answer for a leaf that does not exist. */
	if (a->vendor == NONE || leaf < (a->ledger ? 0x4ffffff6 : 0x4ffffff9) || leaf > 0x4fffffff)
		return (struct regs){ 0x7, 0x340, 0x340, 0x1 };

	if (a->cpuids && !--acts[act].cpuids)
		next_act();
	for (i = 0; i < CPUS; i++) {
		if (leaf == 0x4ffffff9 && i != cpu)
			continue;
		before.cycles += own[i].cycles;
	}
	if (!a->off) {
		own[cpu].exits++;
		own[cpu].cycles += CPUID_CYCLES;
	}

	switch (leaf) {
	case 0x4ffffffb:
		if (!index)
			return (struct regs){ a->version, 0x454d564b, 0x53746978, 0x73746174 };
		return (struct regs){ a->vendor == SVM ? 0x403 : 79,
			(a->vendor == SVM ? 2 : 1) | (a->ledger ? 4 : 0) | (a->off ? 0 : 1u << 31), a->tsc, a->session };
	case 0x4ffffff6:
	case 0x4ffffff7:
		if (index >= NR_STATES)
			return (struct regs){ .edx = -1 };
		return split(a->states[index].cycles, a->states[index].times);
	case 0x4ffffff8:
		if (!is_defined(a, index))
			return (struct regs){ .edx = -1 };
		return split(a->user[number_index(index)].exits, a->user[number_index(index)].cycles);
	case 0x4ffffff9:
	case 0x4ffffffa:
		if (!is_defined(a, index))
			return (struct regs){ .edx = -1 };
		for (i = 0; i < CPUS; i++) {
			if (leaf == 0x4ffffff9 && i != cpu)
				continue;
			sum.exits += a->counts[i][number_index(index)].exits;
			sum.cycles += a->counts[i][number_index(index)].cycles;
			if (index == own_reason)
				sum.exits += own[i].exits;
		}
		if (index == own_reason)
			sum.cycles += before.cycles;
		return split(sum.exits, sum.cycles);
	}
	errx(99, "leaf %#x is not for exitstat", leaf);
}

__u32 measure_tsc_khz(void)
{
	return 2000000;
}

bool pin_to_cpu(int c)
{
	if (c >= CPUS || !acts[act].online[c])
		return false;
	cpu = c;
	return true;
}

bool is_on_cpu(int c)
{
	return cpu == c && acts[act].online[c];
}

void get_online_cpus(cpu_set_t *cpus)
{
	int i;

	CPU_ZERO(cpus);
	for (i = 0; i < CPUS; i++) {
		if (acts[act].online[i])
			CPU_SET(i, cpus);
	}
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	(void)clock;
	t->tv_sec = clock_now;
	t->tv_nsec = (clock_now - t->tv_sec) * 1e9;
	return 0;
}

int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	const struct timespec none = { 0 };

	next_act();
	clock_now += timeout->tv_sec + timeout->tv_nsec / 1e9;
	return __real_sigtimedwait(set, info, getenv("EXITSTAT_SLEEP") ? timeout : &none);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	pid_t ret = __real_waitpid(pid, status, options);

	next_act();
	clock_now += 1.5;
	return ret;
}
