/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Code for the guests of small-vm.h that reads CPUID leaves in a loop.
 */
#ifndef CPUID_LOOPS_H
#define CPUID_LOOPS_H

#include "small-vm.h"

/* What the code takes and leaves in VM_DATA. */
struct read {
	u32 eax_in, ecx_in;
	u32 eax, ebx, ecx, edx;
};

#define NOT_WRITTEN		0x5ca1ab1e

/*
 * The same code for 16, 32 and 64 bits: EDI reads from [ESI] on.  The emulator
 * takes the instruction that comes after the prefix.
 */
#define READ_LOOP(name, bits, prefix)		\
	".code" bits "\n"			\
	name ": movl (%esi), %eax\n"		\
	"movl 4(%esi), %ecx\n"			\
	"movl $" STRING(NOT_WRITTEN) ", %ebx\n"	\
	"movl $" STRING(NOT_WRITTEN) ", %edx\n"	\
	prefix "cpuid\n"			\
	"movl %eax, 8(%esi)\n"			\
	"movl %ebx, 12(%esi)\n"			\
	"movl %ecx, 16(%esi)\n"			\
	"movl %edx, 20(%esi)\n"			\
	"addl $24, %esi\n"			\
	"decl %edi\n"				\
	"jnz " name "\n"			\
	"outb %al, $" STRING(PORT_DONE) "\n"

/* EDI batches of BATCH reads of the leaf and index at [RSI], the ticks of each go to where those were. */
#define BATCH			16
#define READ_BATCHES(name)			\
	".code64\n"				\
	name ": movl (%rsi), %r8d\n"		\
	"movl 4(%rsi), %r9d\n"			\
	"1: rdtsc\n"				\
	"shlq $32, %rdx\n"			\
	"leaq (%rdx, %rax), %r11\n"		\
	"movl $" STRING(BATCH) ", %r10d\n"	\
	"2: movl %r8d, %eax\n"			\
	"movl %r9d, %ecx\n"			\
	"cpuid\n"				\
	"decl %r10d\n"				\
	"jnz 2b\n"				\
	"rdtsc\n"				\
	"shlq $32, %rdx\n"			\
	"addq %rdx, %rax\n"			\
	"subq %r11, %rax\n"			\
	"movq %rax, (%rsi)\n"			\
	"addq $8, %rsi\n"			\
	"decl %edi\n"				\
	"jnz 1b\n"				\
	"outb %al, $" STRING(PORT_DONE) "\n"

static inline u64 join(u32 lo, u32 hi)
{
	return (u64)hi << 32 | lo;
}

#endif /* CPUID_LOOPS_H */
