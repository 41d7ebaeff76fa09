// SPDX-License-Identifier: GPL-2.0
/*
 * What a VM-exit costs, seen by the guest: RDTSC around loops of instructions
 * that exit, the loop's own instructions included.  Prints a line of CSV for
 * each kind of exit: name, VM-exits per round trip as KVM counts them (its
 * statistic "exits", so no other VM may run), ticks of the TSC per round trip.
 *
 * Where a TSC tick is an instruction (Bochs), the best of many short batches is
 * the exact number of instructions of one round trip, as the timer interrupts
 * of the host then fall into other batches.  On hardware it's a low estimate
 * of the cycles.
 *
 * Built against the library of the KVM selftests, with which a guest needs no
 * operating system, i.e. may execute HLT and WRMSR.  KVM need not be patched.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"

#define BATCHES		200
#define ITERATIONS	16
#define MAX_LATE	4	/* interrupts; 1 has been seen */

#define IRQ_VECTOR	0x40
#define PIC_IMR		0x21

/* Neither the CPU nor KVM has it. */
#define ABSENT_LEAF	0x4ffffff0

#define FRESH_GPA	(4ull << 30)
#define FRESH_PAGES	(BATCHES * ITERATIONS)
#define FRESH_SLOT	10

/* Not all versions of the library have these. */
#define SELF_IPI		0x3f0
#define LVT_TIMER		0x320
#define LVT_TIMER_TSC_DEADLINE	BIT(18)

static void do_cpuid(void)
{
	u32 eax = 0, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
}

/* KVM looks for it in vain. */
static void do_cpuid_absent(void)
{
	u32 eax = ABSENT_LEAF, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
}

static bool is_svm;

/* One that KVM doesn't know */
static void do_hypercall(void)
{
	u64 ret = ~0u;

	if (is_svm)
		asm volatile("vmmcall" : "+a"(ret) : : "memory");
	else
		asm volatile("vmcall" : "+a"(ret) : : "memory");
}

/* The host has the page, the guest has not. */
static void do_fresh_page(void)
{
	static u64 next = FRESH_GPA;

	*(volatile u64 *)next = 0;
	next += 4096;
}

static void do_pio(void)
{
	u8 val;

	asm volatile("inb %1, %0" : "=a"(val) : "i"(PIC_IMR));
}

/* A write that KVM ignores, in the common handler of WRMSR. */
static void do_wrmsr(void)
{
	wrmsr(MSR_IA32_UCODE_REV, 0);
}

/* A fastpath: handled with interrupts off, may re-enter the guest. */
static void do_wrmsr_fastpath(void)
{
	wrmsr(MSR_IA32_TSC_DEADLINE, 0);
}

/*
 * The interrupt is pending when HLT exits, so the vCPU does not sleep.  Bochs'
 * SVM lets the guest go on until it sets IF again, before it looks for virtual
 * interrupts; without the second STI it never gets one.
 */
static void do_hlt(void)
{
	x2apic_write_reg(SELF_IPI, IRQ_VECTOR);
	asm volatile("sti; hlt; cli; sti; nop; cli");
}

static u64 interrupts;

static void guest_irq_handler(struct ex_regs *regs)
{
	interrupts++;
	x2apic_write_reg(APIC_EOI, 0);
}

static const struct {
	const char *name;
	void (*exit)(void);
} rows[] = {
	{ "CPUID", do_cpuid },
	{ "CPUID (leaf that is absent)", do_cpuid_absent },
	{ "hypercall", do_hypercall },
	{ "port I/O (IN from the PIC)", do_pio },
	{ "MSR write", do_wrmsr },
	{ "MSR write (TSC deadline)", do_wrmsr_fastpath },
	{ "HLT with self-IPI and EOI", do_hlt },
	{ "page that KVM has to map", do_fresh_page },
};

static u64 best[ARRAY_SIZE(rows)];

static void guest_main(void)
{
	u64 ticks, wanted, before;
	unsigned int row;
	int batch, i;

	x2apic_enable();
	x2apic_write_reg(LVT_TIMER, LVT_TIMER_TSC_DEADLINE);

	for (row = 0; row < ARRAY_SIZE(rows); row++) {
		wanted = rows[row].exit == do_hlt ? ITERATIONS : 0;
		best[row] = ~0ull;
		for (batch = 0; batch < BATCHES; batch++) {
			before = interrupts;
			ticks = rdtsc();
			for (i = 0; i < ITERATIONS; i++)
				rows[row].exit();
			ticks = rdtsc() - ticks;
			if (ticks < best[row] && interrupts - before == wanted)
				best[row] = ticks;
		}
		GUEST_SYNC(row);
	}
	GUEST_DONE();
}

/* 6.1's library leaves the guest's IDT to the tests, 6.12's sets it up itself. */
void __weak vm_init_descriptor_tables(struct kvm_vm *vm)
{
}

void __weak vcpu_init_descriptor_tables(struct kvm_vcpu *vcpu)
{
}

static u64 read_exits(void)
{
	unsigned long long exits;
	FILE *file;

	file = fopen("/sys/kernel/debug/kvm/exits", "r");
	TEST_ASSERT(file && fscanf(file, "%llu", &exits) == 1,
		    "/sys/kernel/debug/kvm/exits has no number: mount debugfs, load kvm");
	fclose(file);
	return exits;
}

int main(void)
{
	u64 exits[ARRAY_SIZE(rows) + 1];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	unsigned int row;
	struct ucall uc;
	void *fresh;

	vm = vm_create_with_one_vcpu(&vcpu, guest_main);
	vcpu_set_cpuid_feature(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
	vm_init_descriptor_tables(vm);
	vcpu_init_descriptor_tables(vcpu);
	vm_install_exception_handler(vm, IRQ_VECTOR, guest_irq_handler);
	is_svm = this_cpu_has(X86_FEATURE_SVM);
	sync_global_to_guest(vm, is_svm);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, FRESH_GPA, FRESH_SLOT, FRESH_PAGES, 0);
	virt_map(vm, FRESH_GPA, FRESH_GPA, FRESH_PAGES);
	/* Whether the host has a huge page for them depends on what ran before. */
	fresh = addr_gpa2hva(vm, FRESH_GPA);
	madvise(fresh, FRESH_PAGES * 4096, MADV_NOHUGEPAGE);
	memset(fresh, 0, FRESH_PAGES * 4096);

	for (row = 0; ; row++) {
		exits[row] = read_exits();
		vcpu_run(vcpu);
		if (get_ucall(vcpu, &uc) != UCALL_SYNC)
			break;
	}

	switch (uc.cmd) {
	case UCALL_DONE:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("The guest ended with ucall %lu", uc.cmd);
	}

	sync_global_from_guest(vm, best);
	sync_global_from_guest(vm, interrupts);
	/* One may be late where the host's timer comes between; then its batch isn't among the best. */
	TEST_ASSERT(interrupts + MAX_LATE >= BATCHES * ITERATIONS,
		    "%lu HLTs got %lu interrupts", (unsigned long)BATCHES * ITERATIONS, (unsigned long)interrupts);

	/* Rounded: the host's timer and the ucall add less than a tenth. */
	for (row = 0; row < ARRAY_SIZE(rows); row++)
		printf("%s,%.0f,%llu\n", rows[row].name,
		       (double)(exits[row + 1] - exits[row]) / (BATCHES * ITERATIONS),
		       (unsigned long long)best[row] / ITERATIONS);

	kvm_vm_free(vm);
	return 0;
}
