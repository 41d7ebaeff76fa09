// SPDX-License-Identifier: GPL-2.0
/*
 * Stress for the accounting of VM-exits: VMs come and go, while threads read
 * their statistics in debugfs and in KVM's binary form and the guests read
 * their leaves, other processes take the CPU, signals interrupt KVM_RUN and
 * stop the whole process, and threads move between CPUs, if there is more than
 * one.
 *
 * stress-vms churn VMS: creates and destroys that many VMs.  When a vCPU has
 * stopped, all of its slots must be KVM's own count of its exits.
 *
 * stress-vms toggle TIMES: a few VMs run, while accounting pauses, and then
 * each parameter is written TIMES times.  No exit may be charged for a pause,
 * and in the end a vCPU must count each exit again.
 *
 * Prints verdicts.  With a variable QUIET in the environment, only one on VMs
 * that failed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "small-vm.h"

#define DEBUGFS		"/sys/kernel/debug/kvm"
#define PARAMETERS	"/sys/module/kvm/parameters/"

#define NR_WORKERS	3
#define NR_VCPUS	2	/* of a VM, at most */
#define NR_THREADS	(NR_WORKERS * NR_VCPUS)
#define ROUNDS		30	/* of a vCPU's life in the churn */

/* A round: all leaves, with EDI as the index, an MSR, and an exit to userspace. */
asm(".pushsection .rodata\n"
    "guest_code: movl $" STRING(KVM_CPUID_EXIT_STATS_VCPU) ", %esi\n"
    "1: movl %esi, %eax\n"
    "movl %edi, %ecx\n"
    "cpuid\n"
    "incl %esi\n"
    "cmpl $" STRING(KVM_CPUID_EXIT_STATS_TOTAL_EXITS) " + 1, %esi\n"
    "jne 1b\n"
    "movl $0x1a0, %ecx\n"
    "rdmsr\n"
    "incl %edi\n"
    "outb %al, $" STRING(PORT_DONE) "\n"
    "jmp guest_code\n"
    "guest_code_end:\n"
    ".popsection\n");
extern const u8 guest_code[], guest_code_end[];

static int kvm;
static struct stats_layout layout;
static atomic_bool stop;		/* for all threads but the workers */

static atomic_ulong nr_vms_left, nr_vms, nr_vcpus, nr_interrupted, nr_moves;
static atomic_ulong nr_tables, nr_stats;
static atomic_ulong nr_wrong;

static void __attribute__((format(printf, 1, 2))) wrong(const char *fmt, ...)
{
	va_list args;

	if (atomic_fetch_add(&nr_wrong, 1) >= 10)
		return;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
}

static void verdict(bool ok, const char *fmt, ...)
{
	va_list args;

	if (ok && getenv("QUIET"))
		return;
	printf(ok ? "ok " : "not ok ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/*
 * A vCPU has a thread of its own and, for the readers, a file of statistics.
 */
struct worker {
	pthread_t thread;
	atomic_int tid;
	pthread_mutex_t lock;	/* of stats_fd */
	int stats_fd;
	struct small_vcpu vcpu;
	u64 rounds;		/* to do, or none for as long as run_on is set */
};

static struct worker workers[NR_THREADS];
static atomic_bool run_on;

static void publish(struct worker *w, int fd)
{
	pthread_mutex_lock(&w->lock);
	if (w->stats_fd >= 0)
		close(w->stats_fd);
	w->stats_fd = fd;
	pthread_mutex_unlock(&w->lock);
}

static void *run_vcpu(void *arg)
{
	struct worker *w = arg;
	u64 done = 0;

	w->tid = gettid();
	while (w->rounds ? done < w->rounds : run_on) {
		if (ioctl(w->vcpu.fd, KVM_RUN, 0) < 0) {
			if (errno != EINTR)
				err(1, "KVM_RUN");
			atomic_fetch_add(&nr_interrupted, 1);
			continue;
		}
		if (w->vcpu.run->exit_reason != KVM_EXIT_IO || w->vcpu.run->io.port != PORT_DONE)
			errx(1, "KVM_RUN ends with exit reason %u", w->vcpu.run->exit_reason);
		done++;
	}
	w->tid = 0;
	return NULL;
}

static void start_vcpu(struct worker *w)
{
	if (pthread_create(&w->thread, NULL, run_vcpu, w))
		errx(1, "no thread for a vCPU");
}

static void add_vcpu(struct worker *w, struct small_vm *vm, u32 id, u64 rounds)
{
	w->vcpu = create_vcpu(kvm, vm, id);
	w->rounds = rounds;
	set_mode(&w->vcpu, RING0, 0, 0, 0);
	publish(w, vm_ioctl(w->vcpu.fd, KVM_GET_STATS_FD, 0));
}

/* How many of its exits a vCPU, which must not run, has not accounted. */
static u64 unaccounted(const struct worker *w)
{
	struct vcpu_stats stats;

	read_stats(w->stats_fd, &layout, &stats);
	if (!stats.exits || sum_counts(&stats) > stats.exits)
		wrong("vCPU %u: %llu accounted of %llu exits", w->vcpu.id, (unsigned long long)sum_counts(&stats),
		      (unsigned long long)stats.exits);
	return stats.exits - sum_counts(&stats);
}

static void churn_one(struct worker *own, unsigned long nr)
{
	struct small_vm vm = create_vm(kvm, guest_code, guest_code_end - guest_code);
	u32 i, nr_own = 1 + nr % NR_VCPUS;
	u64 lost;

	for (i = 0; i < nr_own; i++)
		add_vcpu(&own[i], &vm, i, ROUNDS);
	for (i = 0; i < nr_own; i++)
		start_vcpu(&own[i]);
	for (i = 0; i < nr_own; i++)
		pthread_join(own[i].thread, NULL);
	for (i = 0; i < nr_own; i++) {
		lost = unaccounted(&own[i]);
		if (lost)
			wrong("VM %lu, vCPU %u: %llu exits are not accounted", nr, i, (unsigned long long)lost);
		/* Now and then a reader has the last reference to the VM. */
		publish(&own[i], -1);
		destroy_vcpu(&own[i].vcpu);
	}
	destroy_vm(&vm);
	atomic_fetch_add(&nr_vms, 1);
	atomic_fetch_add(&nr_vcpus, nr_own);
}

static void *churn(void *own)
{
	unsigned long left;

	for (;;) {
		left = nr_vms_left;
		if (!left)
			return NULL;
		if (atomic_compare_exchange_strong(&nr_vms_left, &left, left - 1))
			churn_one(own, left);
	}
}

/*
 * Readers.
 */
static void *read_binary(void *arg)
{
	struct vcpu_stats before, after;
	int i, slot, fd;

	(void)arg;
	for (i = 0; !stop; i = (i + 1) % NR_THREADS) {
		pthread_mutex_lock(&workers[i].lock);
		fd = workers[i].stats_fd < 0 ? -1 : dup(workers[i].stats_fd);
		pthread_mutex_unlock(&workers[i].lock);
		if (fd < 0) {
			usleep(100);
			continue;
		}
		read_stats(fd, &layout, &before);
		sched_yield();
		read_stats(fd, &layout, &after);
		close(fd);
		for (slot = 0; slot < KVM_EXIT_STATS_NR_SLOTS; slot++) {
			if (after.counts[slot] < before.counts[slot] || after.cycles[slot] < before.cycles[slot])
				wrong("slot %d has become smaller", slot);
		}
		atomic_fetch_add(&nr_stats, 1);
	}
	return NULL;
}

/* A VM may go at any time, but a table that can be read is whole. */
static void read_table(const char *path)
{
	static _Thread_local char table[1 << 16];
	int fd = open(path, O_RDONLY);
	size_t size = 0;
	ssize_t n;

	if (fd < 0)
		return;
	while ((n = read(fd, table + size, sizeof(table) - 1 - size)) > 0)
		size += n;
	close(fd);
	if (n < 0)
		return;
	table[size] = '\0';
	if (!strstr(table, "cycles/exit ") || !strstr(table, "\n     total  "))
		wrong("%s is not a table: %s", path, table);
	atomic_fetch_add(&nr_tables, 1);
}

static void read_vm(const char *name)
{
	char path[PATH_MAX];
	int i;

	snprintf(path, sizeof(path), DEBUGFS "/%s/exit_stats", name);
	read_table(path);
	for (i = 0; i < NR_VCPUS; i++) {
		snprintf(path, sizeof(path), DEBUGFS "/%s/vcpu%d/exit_stats", name, i);
		read_table(path);
	}
}

static void *read_debugfs(void *arg)
{
	struct dirent *entry;
	DIR *dir;

	(void)arg;
	while (!stop) {
		dir = opendir(DEBUGFS);
		if (!dir)
			err(1, DEBUGFS);
		while ((entry = readdir(dir)))
			if (strchr(entry->d_name, '-'))
				read_vm(entry->d_name);
		closedir(dir);
		usleep(100);
	}
	return NULL;
}

/*
 * Disturbers.
 */
static void ignore_signal(int signal)
{
	(void)signal;
}

static void *interrupt(void *arg)
{
	u32 i;

	(void)arg;
	for (i = 0; !stop; i = (i + 1) % NR_THREADS) {
		if (workers[i].tid)
			tgkill(getpid(), workers[i].tid, SIGUSR1);
		usleep(300);
	}
	return NULL;
}

static void *move(void *arg)
{
	long nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned long n = 0;
	cpu_set_t cpus;
	u32 i;

	(void)arg;
	for (i = 0; !stop && nr_cpus > 1; i = (i + 1) % NR_THREADS) {
		CPU_ZERO(&cpus);
		CPU_SET(n++ / NR_THREADS % nr_cpus, &cpus);
		if (workers[i].tid && !sched_setaffinity(workers[i].tid, sizeof(cpus), &cpus))
			atomic_fetch_add(&nr_moves, 1);
		usleep(500);
	}
	return NULL;
}

static pid_t start_child(void (*work)(void))
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			work();
	}
	return pid;
}

static void keep_busy(void)
{
	__builtin_ia32_pause();
}

static void stop_parent(void)
{
	usleep(50000);
	kill(getppid(), SIGSTOP);
	usleep(5000);
	kill(getppid(), SIGCONT);
}

static void *(* const others[])(void *) = { read_binary, read_debugfs, read_debugfs, interrupt, move };
static pthread_t other_threads[ARRAY_SIZE(others)];
static pid_t children[3];

static void start_others(void)
{
	struct sigaction action = { .sa_handler = ignore_signal };
	size_t i;

	sigaction(SIGUSR1, &action, NULL);
	children[0] = start_child(keep_busy);
	children[1] = start_child(keep_busy);
	children[2] = start_child(stop_parent);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (pthread_create(&other_threads[i], NULL, others[i], NULL))
			errx(1, "no thread");
}

static void end_others(void)
{
	size_t i;

	stop = true;
	for (i = 0; i < ARRAY_SIZE(others); i++)
		pthread_join(other_threads[i], NULL);
	for (i = 0; i < ARRAY_SIZE(children); i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	if (getenv("QUIET"))
		return;
	verdict(nr_interrupted, "signals have interrupted KVM_RUN %lu times", nr_interrupted);
	verdict(nr_tables && nr_stats, "%lu tables in debugfs and %lu binary statistics were whole", nr_tables, nr_stats);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		verdict(nr_moves, "%lu times a vCPU's thread was moved to another CPU", nr_moves);
	else
		fprintf(stderr, "there is one CPU: no thread was moved\n");
}

/*
 * The commands.
 */
static void run_churn(unsigned long nr)
{
	pthread_t threads[NR_WORKERS];
	int i;

	nr_vms_left = nr;
	start_others();
	for (i = 0; i < NR_WORKERS; i++)
		if (pthread_create(&threads[i], NULL, churn, &workers[i * NR_VCPUS]))
			errx(1, "no thread");
	for (i = 0; i < NR_WORKERS; i++)
		pthread_join(threads[i], NULL);
	end_others();
	verdict(!nr_wrong && nr_vms == nr, "%lu VMs with %lu vCPUs: all slots of each are KVM's exits", nr_vms, nr_vcpus);
}

static void write_parameter(const char *name, const char *value)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, 1) != 1)
		err(1, "%s", path);
	close(fd);
}

static void run_all(unsigned int usecs)
{
	int i;

	run_on = true;
	for (i = 0; i < NR_THREADS; i++)
		start_vcpu(&workers[i]);
	usleep(usecs);
	run_on = false;
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

/* While the VMs run: some more exits after each write. */
static void *toggle(void *arg)
{
	static const char *const names[] = { "exit_stats", "exit_stats_cpuid", "exit_stats_log" };
	unsigned long i, times = *(unsigned long *)arg;
	size_t name;

	for (i = 0; i < times; i++) {
		for (name = 0; name < ARRAY_SIZE(names); name++) {
			/* The last one of each must be Y. */
			write_parameter(names[name], (times - i) % 2 ? "Y" : "N");
			usleep(200);
		}
	}
	run_on = false;
	return NULL;
}

static u64 sum_cycles(const struct worker *w)
{
	struct vcpu_stats stats;
	u64 sum = 0;
	int slot;

	read_stats(w->stats_fd, &layout, &stats);
	for (slot = 0; slot < KVM_EXIT_STATS_NR_SLOTS; slot++)
		sum += stats.cycles[slot];
	return sum;
}

/*
 * While a vCPU runs: accounting pauses for a time that is long beside what an
 * exit takes.  When it goes on, the exit that is being handled may not be
 * charged for that time.  A vCPU runs alone, as time for which it is scheduled
 * out does not count anyway.
 */
static void pause_accounting(struct worker *w, unsigned long times)
{
	u64 pause, start, before, more;

	run_on = true;
	start_vcpu(w);
	while (times--) {
		write_parameter("exit_stats", "N");
		pause = __builtin_ia32_rdtsc();
		usleep(100000);
		before = sum_cycles(w);
		start = __builtin_ia32_rdtsc();
		pause = start - pause;
		write_parameter("exit_stats", "Y");
		usleep(1000);
		more = sum_cycles(w) - before;
		if (more > __builtin_ia32_rdtsc() - start + pause / 10)
			wrong("%llu more cycles after a pause of %llu", (unsigned long long)more,
			      (unsigned long long)pause);
	}
	run_on = false;
	pthread_join(w->thread, NULL);
}

static void run_toggle(unsigned long times)
{
	struct small_vm vms[NR_WORKERS];
	u64 lost[NR_THREADS], all_lost = 0, more = 0, now;
	pthread_t thread;
	int i;

	for (i = 0; i < NR_THREADS; i++) {
		if (i % NR_VCPUS == 0)
			vms[i / NR_VCPUS] = create_vm(kvm, guest_code, guest_code_end - guest_code);
		add_vcpu(&workers[i], &vms[i / NR_VCPUS], i % NR_VCPUS, 0);
	}
	run_all(100000);
	for (i = 0; i < NR_THREADS; i++)
		more += unaccounted(&workers[i]);
	verdict(!more && !nr_wrong, "before the parameters change, all slots of %d vCPUs are KVM's exits", NR_THREADS);

	pause_accounting(&workers[0], times / 10);
	verdict(!nr_wrong, "accounting that goes on after one of %lu pauses charges nobody for it", times / 10);

	start_others();
	run_on = true;
	for (i = 0; i < NR_THREADS; i++)
		start_vcpu(&workers[i]);
	if (pthread_create(&thread, NULL, toggle, &times))
		errx(1, "no thread");
	pthread_join(thread, NULL);
	for (i = 0; i < NR_THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		lost[i] = unaccounted(&workers[i]);
		all_lost += lost[i];
	}
	verdict(all_lost, "exit_stats, exit_stats_cpuid, exit_stats_log written %lu times under load", times);

	run_all(300000);
	for (i = 0; i < NR_THREADS; i++) {
		now = unaccounted(&workers[i]);
		if (now != lost[i])
			wrong("vCPU %d: %llu exits are not accounted, it were %llu", i, (unsigned long long)now,
			      (unsigned long long)lost[i]);
	}
	end_others();
	verdict(!nr_wrong, "after that, each of %d vCPUs accounts each exit (%llu were not while it was off)", NR_THREADS,
		(unsigned long long)all_lost);
	for (i = 0; i < NR_THREADS; i++) {
		publish(&workers[i], -1);
		destroy_vcpu(&workers[i].vcpu);
		if (i % NR_VCPUS == NR_VCPUS - 1)
			destroy_vm(&vms[i / NR_VCPUS]);
	}
}

static void learn_layout(void)
{
	struct small_vm vm = create_vm(kvm, guest_code, guest_code_end - guest_code);
	struct small_vcpu vcpu = create_vcpu(kvm, &vm, 0);
	int fd = vm_ioctl(vcpu.fd, KVM_GET_STATS_FD, 0);

	layout = find_stats(fd);
	close(fd);
	destroy_vcpu(&vcpu);
	destroy_vm(&vm);
}

int main(int argc, char *argv[])
{
	unsigned long nr;
	char *end;
	int i;

	if (argc != 3 || (strcmp(argv[1], "churn") && strcmp(argv[1], "toggle")))
		errx(1, "usage: stress-vms {churn VMS | toggle TIMES}");
	nr = strtoul(argv[2], &end, 10);
	if (!nr || *end)
		errx(1, "%s is not a number", argv[2]);

	kvm = open_kvm();
	learn_layout();
	for (i = 0; i < NR_THREADS; i++) {
		pthread_mutex_init(&workers[i].lock, NULL);
		workers[i].stats_fd = -1;
	}
	if (!strcmp(argv[1], "churn"))
		run_churn(nr);
	else
		run_toggle(nr);
	return 0;
}
