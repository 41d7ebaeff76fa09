// SPDX-License-Identifier: GPL-2.0-only
/*
 * A model of counting exits, without exits: THREADS threads, as vCPUs, each count in an array of exit reasons. Prints a
 * line of CSV for each kind: kind, threads, nanoseconds of the thread's CPU time that an update takes. The kinds:
 *	plain	load, add, store, each thread in an array of its own, which is what the series does
 *	locked	a LOCK-prefixed add, the same otherwise
 *	shared	a LOCK-prefixed add, all threads in one array
 * Usage: model-counters THREADS
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define UPDATES		(16 << 20)
#define REASONS		4	/* that a busy guest exits for most */
#define ROUNDS		3
#define MAX_THREADS	64

struct counters {
	uint64_t count[REASONS];
} __attribute__((aligned(128)));	/* the hardware fetches cache lines in pairs */

static struct counters counters[MAX_THREADS];
static const char *const kinds[] = { "plain", "locked", "shared" };
static pthread_barrier_t barrier;
static int kind;

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* To one of the CPUs that this process may use: else short threads may take turns on one. */
static void pin(int thread)
{
	cpu_set_t may, one;
	int cpu;

	sched_getaffinity(getpid(), sizeof(may), &may);
	thread %= CPU_COUNT(&may);
	for (cpu = 0; !CPU_ISSET(cpu, &may) || thread--; cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void *count(void *arg)
{
	struct counters *c = kind == 2 ? &counters[0] : arg;
	double *ns = malloc(sizeof(*ns)), start;
	uint64_t *v;
	int i;

	if (!ns)
		abort();
	pin((struct counters *)arg - counters);
	pthread_barrier_wait(&barrier);
	start = cpu_ns();
	for (i = 0; i < UPDATES; i++) {
		v = &c->count[i % REASONS];
		if (kind == 0)
			__atomic_store_n(v, __atomic_load_n(v, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
		else
			__atomic_fetch_add(v, 1, __ATOMIC_RELAXED);
	}
	*ns = (cpu_ns() - start) / UPDATES;
	return ns;
}

/* The mean of the threads. */
static double run(int threads)
{
	pthread_t thread[MAX_THREADS];
	double sum = 0, *ns;
	int i;

	pthread_barrier_init(&barrier, NULL, threads);
	for (i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, count, &counters[i]))
			abort();
	for (i = 0; i < threads; i++) {
		pthread_join(thread[i], (void **)&ns);
		sum += *ns;
		free(ns);
	}
	pthread_barrier_destroy(&barrier);
	return sum / threads;
}

/* No update is lost, or the numbers mean nothing. */
static void check(int threads)
{
	uint64_t sum = 0;
	int i, j;

	for (i = 0; i < MAX_THREADS; i++)
		for (j = 0; j < REASONS; j++) {
			sum += counters[i].count[j];
			counters[i].count[j] = 0;
		}
	if (sum != (uint64_t)UPDATES * ROUNDS * threads) {
		fprintf(stderr, "%s: updates are lost\n", kinds[kind]);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	int threads = argc == 2 ? atoi(argv[1]) : 0, round;
	double best, ns;

	if (threads < 1 || threads > MAX_THREADS) {
		fprintf(stderr, "usage: %s THREADS\n", argv[0]);
		return 2;
	}
	for (kind = 0; kind < 3; kind++) {
		for (round = 0; round < ROUNDS; round++) {
			ns = run(threads);
			if (!round || ns < best)
				best = ns;
		}
		check(threads);
		printf("%s,%d,%.2f\n", kinds[kind], threads, best);
	}
	return 0;
}
