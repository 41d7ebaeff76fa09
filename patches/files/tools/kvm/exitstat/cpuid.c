// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPU as exitstat sees it.
 */
#include <cpuid.h>
#include <err.h>
#include <time.h>

#include "exitstat.h"

struct regs cpuid(__u32 leaf, __u32 index)
{
	struct regs r;

	__cpuid_count(leaf, index, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

/* Nothing tells userspace on the host the TSC's frequency. */
__u32 measure_tsc_khz(void)
{
	const struct timespec nap = { .tv_nsec = 20000000 };
	struct timespec a, b;
	__u64 tsc;

	clock_gettime(CLOCK_MONOTONIC_RAW, &a);
	tsc = __builtin_ia32_rdtsc();
	nanosleep(&nap, NULL);
	clock_gettime(CLOCK_MONOTONIC_RAW, &b);
	tsc = __builtin_ia32_rdtsc() - tsc;

	return tsc * 1000000 / ((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec);
}

bool pin_to_cpu(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return !sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* Not any more when it went offline: the kernel moves the task then. */
bool is_on_cpu(int cpu)
{
	return sched_getcpu() == cpu;
}

/* The kernel reduces a set of all CPUs to those that this task may use. */
void get_online_cpus(cpu_set_t *cpus)
{
	int cpu;

	CPU_ZERO(cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		CPU_SET(cpu, cpus);
	if (sched_setaffinity(0, sizeof(*cpus), cpus) ||
	    sched_getaffinity(0, sizeof(*cpus), cpus))
		err(1, "cannot get the list of CPUs");
}
