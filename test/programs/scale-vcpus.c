// SPDX-License-Identifier: GPL-2.0
/*
 * VMs on AMD with VCPUS vCPUs, one after the other.  Each vCPU is a thread, and
 * all execute the same number of CPUID at the same time.
 *
 * scale-vcpus {unpatched | off | on} VCPUS...: prints a line of CSV for each:
 * both arguments, nanoseconds of an exit and back, as the guest sees it (the
 * lower quartile of short batches), exits per second of all vCPUs, and how many
 * numbers of KVM's are not what the vCPUs have done.  Those are on stderr.
 *
 * scale-vcpus keep: a VM that is there, and does nothing, until a signal ends it.
 */
#define _GNU_SOURCE
#include <asm/svm.h>
#include <err.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "cpuid-loops.h"

#define LEAF_OTHER	0

#define NR_BATCHES	512
#define NR_READS	(NR_BATCHES * BATCH)

asm(".pushsection .rodata\n"
    "code:\n"
    READ_LOOP("one_read", "64", "")
    READ_BATCHES("batches")
    "code_end:\n"
    ".popsection\n");
extern const u8 code[], code_end[], one_read[], batches[];

struct worker {
	pthread_t thread;
	struct small_vcpu vcpu;
	struct timespec start, end;
};

static struct small_vm vm;
static struct worker workers[VM_MAX_VCPUS];
static u32 nr_vcpus;
static pthread_barrier_t barrier;
static unsigned int nr_wrong;

static void *data_of(u32 id)
{
	return vm.mem + VM_DATA + id * (VM_DATA_SIZE / VM_MAX_VCPUS);
}

/* Run the guest's code, with what @data_of is of the vCPU, to its end. */
static void run(struct small_vcpu *vcpu, const u8 *what, u32 count)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	set_mode(vcpu, RING0, what - code, vcpu->id * (VM_DATA_SIZE / VM_MAX_VCPUS), count);
	vm_ioctl(vcpu->fd, KVM_RUN, 0);
	if (vcpu->run->exit_reason != KVM_EXIT_IO || vcpu->run->io.port != PORT_DONE) {
		vm_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
		vm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
		errx(1, "vCPU %u: KVM_RUN ends with exit reason %u, RIP %#llx, RDI %llu, CR2 %#llx", vcpu->id,
		     vcpu->run->exit_reason, regs.rip, regs.rdi, sregs.cr2);
	}
}

static u64 read_exits(struct small_vcpu *vcpu, u32 leaf)
{
	struct read *r = data_of(vcpu->id);

	*r = (struct read) { .eax_in = leaf, .ecx_in = SVM_EXIT_CPUID };
	run(vcpu, one_read, 1);
	return join(r->eax, r->ebx);
}

/* Or else two short threads may take turns on one CPU. */
static void pin(u32 id)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(id % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "sched_setaffinity");
}

static void *run_vcpu(void *arg)
{
	struct worker *w = arg;
	struct read *r = data_of(w->vcpu.id);

	pin(w->vcpu.id);
	*r = (struct read) { .eax_in = LEAF_OTHER };
	pthread_barrier_wait(&barrier);
	clock_gettime(CLOCK_MONOTONIC, &w->start);
	run(&w->vcpu, batches, NR_BATCHES);
	clock_gettime(CLOCK_MONOTONIC, &w->end);
	return NULL;
}

static double seconds(const struct timespec *t)
{
	return t->tv_sec + t->tv_nsec / 1e9;
}

/* From the first start to the last end. */
static double elapsed(void)
{
	double start = seconds(&workers[0].start), end = seconds(&workers[0].end);
	u32 i;

	for (i = 1; i < nr_vcpus; i++) {
		if (seconds(&workers[i].start) < start)
			start = seconds(&workers[i].start);
		if (seconds(&workers[i].end) > end)
			end = seconds(&workers[i].end);
	}
	return end - start;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

/* Of all vCPUs.  A quarter of the batches, at least, is not disturbed by what else the machine does. */
static double lower_quartile(void)
{
	static u64 ticks[VM_MAX_VCPUS * NR_BATCHES];
	u32 i;

	for (i = 0; i < nr_vcpus; i++)
		memcpy(ticks + i * NR_BATCHES, data_of(i), NR_BATCHES * sizeof(u64));
	qsort(ticks, nr_vcpus * NR_BATCHES, sizeof(u64), compare);
	return ticks[nr_vcpus * NR_BATCHES / 4] / BATCH * 1e6 / vm_ioctl(workers[0].vcpu.fd, KVM_GET_TSC_KHZ, 0);
}

static void __attribute__((format(printf, 3, 4))) expect(u64 is, u64 should, const char *fmt, ...)
{
	va_list args;

	if (is == should)
		return;
	nr_wrong++;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, ": %llu, but it should be %llu\n", (unsigned long long)is, (unsigned long long)should);
}

/* Of the table in debugfs of the VM, or of a vCPU. */
struct table {
	u64 cpuid, total;
};

static struct table read_table(const char *dir)
{
	struct table table = { };
	unsigned long long exits;
	char path[PATH_MAX], line[256], name[32];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%sexit_stats", getpid(), vm.fd, dir);
	file = fopen(path, "r");
	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " total %llu", &exits) == 1)
			table.total = exits;
		else if (sscanf(line, "%*s %31s %llu", name, &exits) == 2 && !strcasecmp(name, "cpuid"))
			table.cpuid = exits;
	}
	fclose(file);
	return table;
}

/* What is known of a vCPU is its loop and, from then on, the one read of each vCPU's own number. */
static void check_counts(bool on)
{
	u64 own = on ? NR_READS + 1 : 0, all = 0;
	struct stats_layout layout;
	struct vcpu_stats stats;
	struct table table;
	char dir[16];
	u32 i;
	int fd;

	for (i = 0; i < nr_vcpus; i++)
		expect(read_exits(&workers[i].vcpu, KVM_CPUID_EXIT_STATS_VCPU), own, "vCPU %u: its leaf", i);
	for (i = 0; i < nr_vcpus; i++) {
		fd = vm_ioctl(workers[i].vcpu.fd, KVM_GET_STATS_FD, 0);
		layout = find_stats(fd);
		read_stats(fd, &layout, &stats);
		close(fd);
		all += on ? stats.exits : 0;
		snprintf(dir, sizeof(dir), "vcpu%u/", i);
		table = read_table(dir);
		expect(stats.exits > NR_READS, true, "vCPU %u: KVM has all exits", i);
		expect(stats.counts[SVM_EXIT_CPUID], own, "vCPU %u: exits by CPUID in the statistics", i);
		expect(table.cpuid, own, "vCPU %u: exits by CPUID in debugfs", i);
		expect(sum_counts(&stats), on ? stats.exits : 0, "vCPU %u: all slots in the statistics", i);
		expect(table.total, on ? stats.exits : 0, "vCPU %u: all slots in debugfs", i);
	}
	table = read_table("");
	expect(table.cpuid, nr_vcpus * own, "the VM: exits by CPUID in debugfs");
	expect(table.total, all, "the VM: all slots in debugfs");
	/* This read counts itself, too. */
	expect(read_exits(&workers[0].vcpu, KVM_CPUID_EXIT_STATS_VM), nr_vcpus * own + on, "the VM: its leaf");
}

static void measure(int kvm, const char *kind)
{
	double ns;
	u32 i;

	nr_wrong = 0;
	vm = create_vm(kvm, code, code_end - code);
	pthread_barrier_init(&barrier, NULL, nr_vcpus);
	for (i = 0; i < nr_vcpus; i++)
		workers[i].vcpu = create_vcpu(kvm, &vm, i);
	for (i = 0; i < nr_vcpus; i++)
		if (pthread_create(&workers[i].thread, NULL, run_vcpu, &workers[i]))
			errx(1, "no thread for a vCPU");
	for (i = 0; i < nr_vcpus; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
	ns = lower_quartile();
	if (strcmp(kind, "unpatched"))
		check_counts(!strcmp(kind, "on"));
	printf("%s,%u,%.0f,%.0f,%u\n", kind, nr_vcpus, ns, nr_vcpus * NR_READS / elapsed(), nr_wrong);
	for (i = 0; i < nr_vcpus; i++)
		destroy_vcpu(&workers[i].vcpu);
	destroy_vm(&vm);
}

int main(int argc, char *argv[])
{
	const char *kind = argc > 1 ? argv[1] : "";
	int i, kvm = open_kvm();

	if (!strcmp(kind, "keep") && argc == 2) {
		create_vm(kvm, code, code_end - code);
		pause();
		return 0;
	}
	if (argc < 3 || (strcmp(kind, "unpatched") && strcmp(kind, "off") && strcmp(kind, "on")))
		errx(1, "usage: scale-vcpus {{unpatched | off | on} VCPUS... | keep}");

	for (i = 2; i < argc; i++) {
		nr_vcpus = atoi(argv[i]);
		if (nr_vcpus < 1 || nr_vcpus > VM_MAX_VCPUS)
			errx(1, "%s vCPUs: there are 1 to %d", argv[i], VM_MAX_VCPUS);
		measure(kvm, kind);
	}
	return 0;
}
