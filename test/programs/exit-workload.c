// SPDX-License-Identifier: GPL-2.0-only
/*
 * Causes VM-exits in exact numbers, and nothing else that exits: exit-workload {INSTRUCTION COUNT | sleep SECONDS}...
 * INSTRUCTION is cpuid, vmcall (Intel), vmmcall (AMD), or, as root,
 *	in, out		of the PIC's mask, which is in KVM, to port 0x80, which is in QEMU
 *	mmio		a read where no device is
 *	touch		a write to the next page of those that memmap=8M$128M keeps from the kernel
 *	rdmsr, wrmsr	of IA32_UCODE_REV, by the kernel's module msr, on CPU 0
 */
#include <asm/fcntl.h>
#include <asm/unistd.h>
#include <linux/mman.h>

#define UCODE_REV	0x8b
#define NO_DEVICE	0xfd000000
#define RESERVED	(128l << 20)
#define PAGE		4096

static long syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

static long syscall3(long nr, long a, long b, long c)
{
	return syscall6(nr, a, b, c, 0, 0, 0);
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

static long open_file(const char *name)
{
	long fd = syscall3(__NR_open, (long)name, O_RDWR, 0);

	if (fd < 0)
		quit(1);
	return fd;
}

static volatile char *map(long physical, long size)
{
	long fd = open_file("/dev/mem");
	long address = syscall6(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, physical);

	if (address < 0 && address > -PAGE)
		quit(1);
	return (volatile char *)address;
}

/* The device does not move the position. */
static void access_msr(long nr, long n)
{
	long fd = open_file("/dev/cpu/0/msr"), value = 0;

	syscall3(__NR_lseek, fd, UCODE_REV, 0);
	while (n--)
		if (syscall3(nr, fd, (long)&value, sizeof(value)) != sizeof(value))
			quit(1);
}

static void run(const char *what, long n)
{
	long rax, rbx, rcx, rdx, interval[2] = { n, 0 };
	volatile char *memory;

	if (same(what, "cpuid")) {
		while (n--)
			asm volatile("cpuid" : "=a"(rax), "=b"(rbx), "=c"(rcx), "=d"(rdx) : "a"(0), "c"(0));
	} else if (same(what, "in")) {
		if (syscall3(__NR_ioperm, 0x21, 1, 1))
			quit(1);
		while (n--)
			asm volatile("inb $0x21, %%al" : "=a"(rax));
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
	} else if (same(what, "mmio")) {
		memory = map(NO_DEVICE, PAGE);
		while (n--)
			(void)*memory;
	} else if (same(what, "touch")) {
		memory = map(RESERVED, n * PAGE);
		while (n--)
			memory[n * PAGE] = 1;
	} else if (same(what, "rdmsr")) {
		access_msr(__NR_read, n);
	} else if (same(what, "wrmsr")) {
		access_msr(__NR_write, n);
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
