// SPDX-License-Identifier: GPL-2.0-only
/*
 * Causes VM-exits in exact numbers, and nothing else that exits: exit-workload {INSTRUCTION COUNT | sleep SECONDS}...
 * INSTRUCTION is cpuid, out (to port 0x80, needs root), vmcall (Intel), or vmmcall (AMD).
 */
#include <asm/unistd.h>

static long syscall3(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
}

static void __attribute__((noreturn)) quit(int status)
{
	for (;;)
		syscall3(__NR_exit_group, status, 0, 0);
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static long number(const char *s)
{
	long n = 0;

	while (*s >= '0' && *s <= '9')
		n = 10 * n + *s++ - '0';
	return n;
}

static void run(const char *what, long n)
{
	long rax, rbx, rcx, rdx, interval[2] = { n, 0 };

	if (same(what, "cpuid")) {
		while (n--)
			asm volatile("cpuid" : "=a"(rax), "=b"(rbx), "=c"(rcx), "=d"(rdx) : "a"(0), "c"(0));
	} else if (same(what, "out")) {
		if (syscall3(__NR_ioperm, 0x80, 1, 1))
			quit(1);
		while (n--)
			asm volatile("outb %%al, $0x80" : : "a"(0));
	} else if (same(what, "vmcall")) {
		while (n--)
			asm volatile("vmcall" : "=a"(rax) : "a"(0x7777) : "memory");
	} else if (same(what, "vmmcall")) {
		while (n--)
			asm volatile("vmmcall" : "=a"(rax) : "a"(0x7777) : "memory");
	} else if (same(what, "sleep")) {
		syscall3(__NR_nanosleep, (long)interval, 0, 0);
	} else {
		quit(2);
	}
}

static void __attribute__((noreturn, used)) start(long *stack)
{
	char **argv = (char **)(stack + 1);

	for (argv++; argv[0] && argv[1]; argv += 2)
		run(argv[0], number(argv[1]));
	quit(argv[0] ? 2 : 0);
}

asm(".globl _start\n_start: mov %rsp, %rdi; and $-16, %rsp; call start");
