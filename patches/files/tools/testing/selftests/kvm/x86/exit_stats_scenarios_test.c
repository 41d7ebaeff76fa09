// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that the statistics of VM-Exits count each exit exactly: provoke known
 * numbers of each kind of exit that a guest can provoke, one kind after the
 * other, and at last check the sums.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "apic.h"
#include "exit_stats.h"

#define IPI_VECTOR		0x40
#define TIMER_VECTOR		0x50
#define NO_SUCH_APIC_ID		0xabcdull
#define NO_SUCH_MSR		0xdeadbeef

#define EFLAGS_TF		BIT(8)

/* The PIC, which KVM emulates */
#define KERNEL_PORT		0x21

#define FRESH_GPA		(4ull << 30)
#define FRESH_PAGES		2048
#define FRESH_SLOT		10
#define MMIO_GPA		(8ull << 30)
#define IOAPIC_GPA		0xfec00000ull

#define X86_FEATURE_RDSEED	KVM_X86_CPU_FEATURE(0x7, 0, EBX, 18)

static struct kvm_vcpu *main_vcpu;

static u32 tsc_khz;

/*
 * Guest: how to provoke an exit.
 */
static void do_cpuid(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(0, 0, &eax, &ebx, &ecx, &edx);
}

static u8 read_port(u16 port)
{
	u8 val;

	asm volatile("inb %1, %0" : "=a"(val) : "Nd"(port));
	return val;
}

static void do_in_kernel(void)
{
	read_port(KERNEL_PORT);
}

static void do_out_kernel(void)
{
	write_port(KERNEL_PORT, 0xff);
}

static void do_in_user(void)
{
	read_port(USER_PORT);
}

static void do_out_user(void)
{
	write_port(USER_PORT, 0);
}

static void do_rdmsr(void)
{
	rdmsr(MSR_IA32_MISC_ENABLE);
}

static void do_rdmsr_fault(void)
{
	u64 val;

	rdmsr_safe(NO_SUCH_MSR, &val);
}

static void do_wrmsr(void)
{
	wrmsr(MSR_IA32_UCODE_REV, 0);
}

/* KVM handles the next two in its fast path and reenters the guest. */
static void do_wrmsr_tscdeadline(void)
{
	wrmsr(MSR_IA32_TSC_DEADLINE, 0);
}

static void do_wrmsr_icr(void)
{
	x2apic_write_reg(APIC_ICR, NO_SUCH_APIC_ID << 32 | APIC_INT_ASSERT |
				   APIC_DM_FIXED | IPI_VECTOR);
}

static void arm_timer(u64 usecs)
{
	wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + tsc_khz * usecs / 1000);
}

static u64 nr_irqs;
static bool halting;

static void irq_handler(struct ex_regs *regs)
{
	WRITE_ONCE(nr_irqs, nr_irqs + 1);
	if (READ_ONCE(halting))
		arm_timer(2000000);
	x2apic_write_reg(APIC_EOI, 0);
}

static void self_ipi(void)
{
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT |
				   APIC_DM_FIXED | IPI_VECTOR);
}

/*
 * Let interrupts in.  The frame of the interrupt must not overwrite the red
 * zone, which userspace's ABI gives to the C code.
 */
static void take_irqs(void)
{
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "sti\n\t"
		     "nop\n\t"
		     "cli\n\t"
		     "lea 128(%%rsp), %%rsp\n\t"
		     : : : "memory");
}

/*
 * STI lets interrupts in only after the next instruction, i.e. after HLT.  If
 * KVM itself runs in a VM, an emulator may forget that on an exit in between,
 * as QEMU does with SVM.  For the HLT not to last forever then, the handler of
 * the interrupt that came early has armed a timer.
 */
static void halt(void)
{
	WRITE_ONCE(halting, true);
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "sti\n\t"
		     "hlt\n\t"
		     "cli\n\t"
		     "lea 128(%%rsp), %%rsp\n\t"
		     : : : "memory");
	WRITE_ONCE(halting, false);
	wrmsr(MSR_IA32_TSC_DEADLINE, 0);
}

static void do_irq_window(void)
{
	u64 old = READ_ONCE(nr_irqs);

	self_ipi();
	take_irqs();
	GUEST_ASSERT_EQ(READ_ONCE(nr_irqs), old + 1);
}

static void do_hlt(void)
{
	u64 old = READ_ONCE(nr_irqs);

	self_ipi();
	halt();
	GUEST_ASSERT(READ_ONCE(nr_irqs) > old);
}

/* Should the timer expire early, its interrupt still waits for the HLT. */
static void do_hlt_blocking(void)
{
	u64 old = READ_ONCE(nr_irqs);

	arm_timer(2000);
	halt();
	GUEST_ASSERT(READ_ONCE(nr_irqs) > old);
}

static void do_timer(void)
{
	u64 old = READ_ONCE(nr_irqs);

	arm_timer(100);
	while (READ_ONCE(nr_irqs) == old)
		take_irqs();
}

static void do_tpr_below(void)
{
	u64 old = READ_ONCE(nr_irqs);

	asm volatile("mov %0, %%cr8" : : "r"(15ull) : "memory");
	self_ipi();
	asm volatile("mov %0, %%cr8" : : "r"(0ull) : "memory");
	take_irqs();
	GUEST_ASSERT_EQ(READ_ONCE(nr_irqs), old + 1);
}

static void do_cr0(void)
{
	set_cr0(get_cr0() ^ X86_CR0_AM);
}

/* KVM hides from SVM's guests that caches are on, thus intercepts the read. */
static void do_cr0_uncached(void)
{
	u64 cr0 = get_cr0();

	set_cr0(cr0 | X86_CR0_CD);
	GUEST_ASSERT_EQ(get_cr0(), cr0 | X86_CR0_CD);
	set_cr0(cr0);
}

static void do_cr4(void)
{
	set_cr4(get_cr4() ^ X86_CR4_MCE);
}

/*
 * Change EM, as SVM may ignore a change of MP alone.  And back at once, as the
 * C code may use SSE.
 */
static void do_lmsw(void)
{
	u16 msw = get_cr0() & 0xf, no_fpu = msw ^ X86_CR0_EM;

	asm volatile("lmsw %0\n\t"
		     "lmsw %1" : : "r"(no_fpu), "r"(msw) : "memory");
}

static void do_clts(void)
{
	asm volatile("clts" : : : "memory");
}

static u64 guest_cr3;

static void do_cr3(void)
{
	asm volatile("mov %0, %%cr3" : : "r"(guest_cr3) : "memory");
}

static void do_cr3_read(void)
{
	get_cr3();
}

/*
 * KVM stops to intercept debug registers with the first access, up to the next
 * exit, whatever its reason.  Provide the latter.
 */
static void do_dr(void)
{
	u64 dr7;

	do_hypercall();
	asm volatile("mov %%dr7, %0" : "=r"(dr7));
}

static void do_wbinvd(void)
{
	asm volatile("wbinvd" : : : "memory");
}

static void do_invd(void)
{
	asm volatile("invd" : : : "memory");
}

static void do_xsetbv(void)
{
	u32 eax, edx;

	asm volatile("xgetbv\n\t"
		     "xsetbv"
		     : "=a"(eax), "=d"(edx) : "c"(0));
}

static void do_rdpmc(void)
{
	/* It faults if there is no counter.  Keep the inputs if it doesn't. */
	kvm_asm_safe("rdpmc\n\t"
		     "mov $0, %%eax\n\t"
		     "mov $0, %%edx", "a"(0), "c"(0), "d"(0));
}

static void do_monitor(void)
{
	u64 addr = 0;

	asm volatile("monitor" : : "a"(&addr), "c"(0), "d"(0));
}

static void do_mwait(void)
{
	asm volatile("mwait" : : "a"(0), "c"(0));
}

static void do_rdrand(void)
{
	kvm_asm_safe("rdrand %%eax", "a"(0));
}

static void do_rdseed(void)
{
	kvm_asm_safe("rdseed %%eax", "a"(0));
}

static void do_sgdt(void)
{
	get_gdt();
}

static void do_str(void)
{
	u16 tr;

	asm volatile("str %0" : "=r"(tr));
}

static void do_ud2(void)
{
	GUEST_ASSERT_EQ(kvm_asm_safe("ud2"), UD_VECTOR);
}

static u64 nr_steps;

static void db_handler(struct ex_regs *regs)
{
	WRITE_ONCE(nr_steps, nr_steps + 1);
	regs->rflags &= ~EFLAGS_TF;
}

/* The trap comes after the instruction that follows POPF. */
static void do_single_step(void)
{
	u64 old = READ_ONCE(nr_steps);

	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "pushfq\n\t"
		     "orq %0, (%%rsp)\n\t"
		     "popfq\n\t"
		     "nop\n\t"
		     "lea 128(%%rsp), %%rsp\n\t"
		     : : "i"(EFLAGS_TF) : "memory", "cc");
	GUEST_ASSERT_EQ(READ_ONCE(nr_steps), old + 1);
}

/*
 * They end up as #UD, after the exit: CR4.VMXE and EFER.SVME are clear, and
 * there is no SMM to return from.
 */
#define UD_INSN(name, insn)						\
static void do_##name(void)						\
{									\
	static u64 mem[2];						\
									\
	GUEST_ASSERT_EQ(kvm_asm_safe(insn, [m] "m"(mem[0]), "a"(0ull),	\
				     "c"(0ull)),			\
			UD_VECTOR);					\
}

UD_INSN(vmclear, "vmclear %[m]")
UD_INSN(vmlaunch, "vmlaunch")
UD_INSN(vmptrld, "vmptrld %[m]")
UD_INSN(vmptrst, "vmptrst %[m]")
UD_INSN(vmread, "vmread %%rax, %[m]")
UD_INSN(vmresume, "vmresume")
UD_INSN(vmwrite, "vmwrite %[m], %%rax")
UD_INSN(vmxoff, "vmxoff")
UD_INSN(vmxon, "vmxon %[m]")
UD_INSN(invept, "invept %[m], %%rax")
UD_INSN(invvpid, "invvpid %[m], %%rax")

UD_INSN(vmrun, "vmrun %%rax")
UD_INSN(vmload, "vmload %%rax")
UD_INSN(vmsave, "vmsave %%rax")
UD_INSN(stgi, "stgi")
UD_INSN(clgi, "clgi")
UD_INSN(skinit, "skinit %%eax")
UD_INSN(invlpga, "invlpga %%rax, %%ecx")
UD_INSN(rsm, "rsm")

static u64 next_fresh_page;

static void do_fresh_page(void)
{
	u64 page = next_fresh_page++;

	GUEST_ASSERT(page < FRESH_PAGES);
	WRITE_ONCE(*(u64 *)(FRESH_GPA + page * PAGE_SIZE), page);
}

static void do_mmio_read(void)
{
	(void)READ_ONCE(*(u32 *)MMIO_GPA);
}

static void do_mmio_write(void)
{
	WRITE_ONCE(*(u32 *)MMIO_GPA, 0);
}

static void do_mmio_kernel(void)
{
	(void)READ_ONCE(*(u32 *)IOAPIC_GPA);
}

static void do_rdtsc(void)
{
	rdtsc();
}

static void do_invlpg(void)
{
	asm volatile("invlpg (%0)" : : "r"(FRESH_GPA) : "memory");
}

static void guest_init(struct guest_job *job)
{
	u64 cr4 = get_cr4();

	if (this_cpu_has(X86_FEATURE_XSAVE))
		cr4 |= X86_CR4_OSXSAVE;
	if (this_cpu_has(X86_FEATURE_UMIP))
		cr4 |= X86_CR4_UMIP;
	set_cr4(cr4);
	/* Or else KVM would have to hide it when it shadows page tables. */
	set_cr0(get_cr0() | X86_CR0_WP);
	guest_cr3 = get_cr3();

	x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | TIMER_VECTOR);
}

/*
 * Host: what a scenario needs.
 */
static const char *no_ept(void)
{
	return get_kvm_intel_param_bool("ept") ? NULL : "EPT is off";
}

/* Without it, MMIO is an EPT violation on VMX. */
static const char *no_mmio_caching(void)
{
	return is_svm || exit_stats_param_is_on("kvm", "mmio_caching") ?
	       NULL : "MMIO caching is off";
}

static const char *no_vpid(void)
{
	return get_kvm_intel_param_bool("vpid") ? NULL : "VPID is off";
}

static const char *no_xsave(void)
{
	return kvm_cpu_has(X86_FEATURE_XSAVE) ? NULL : "no XSAVE";
}

static const char *no_mwait(void)
{
	return this_cpu_has(X86_FEATURE_MWAIT) ? NULL :
						 "the CPU has no MONITOR/MWAIT";
}

static const char *avic(void)
{
	return get_kvm_amd_param_bool("avic") ?
	       "AVIC handles interrupts without an exit" : NULL;
}

static const char *ipi_virtualization(void)
{
	if (is_svm)
		return avic();
	return get_kvm_intel_param_bool("enable_ipiv") ?
	       "IPI virtualization sends the IPI without an exit" : NULL;
}

static const char *apicv(void)
{
	if (is_svm)
		return avic();
	return get_kvm_intel_param_bool("enable_apicv") ?
	       "APICv delivers the interrupt without an exit" : NULL;
}

/* KVM may be built without one, and the VM then has its local APICs only. */
static const char *no_ioapic(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	return __vm_ioctl(main_vcpu->vm, KVM_GET_IRQCHIP, &chip) ?
	       "KVM has no I/O APIC" : NULL;
}

/* For MMIO that KVM handles */
static const char *no_ioapic_or_caching(void)
{
	return no_ioapic() ?: no_mmio_caching();
}

static const char *no_preemption_timer(void)
{
	return get_kvm_intel_param_bool("preemption_timer") ?
	       NULL : "no VMX preemption timer";
}

/* The capabilities of nested VMX tell which controls the CPU has. */
static const char *no_control(u32 msr, u32 control)
{
	if (!kvm_cpu_has(X86_FEATURE_VMX))
		return "nested VMX is off, can't tell the CPU's VMX controls";
	return (kvm_get_feature_msr(msr) >> 32) & control ?
	       NULL : "the CPU lacks the VMX control";
}

static const char *no_control2(u32 control)
{
	return no_control(MSR_IA32_VMX_PROCBASED_CTLS2, control);
}

static const char *no_wbinvd_exiting(void)
{
	return is_svm ? NULL : no_control2(SECONDARY_EXEC_WBINVD_EXITING);
}

static const char *no_rdrand_exiting(void)
{
	return no_control2(SECONDARY_EXEC_RDRAND_EXITING);
}

static const char *no_rdseed_exiting(void)
{
	return no_control2(SECONDARY_EXEC_RDSEED_EXITING);
}

static const char *no_tpr_shadow(void)
{
	if (is_svm || apicv())
		return apicv();
	return no_control(MSR_IA32_VMX_PROCBASED_CTLS, CPU_BASED_TPR_SHADOW);
}

static const char *no_umip_emulation(void)
{
	if (this_cpu_has(X86_FEATURE_UMIP))
		return "the CPU has UMIP, KVM doesn't intercept";
	return kvm_cpu_has(X86_FEATURE_UMIP) ? NULL :
					       "the CPU lacks the VMX control";
}

/* The CPU executes them in the guest then, whatever EFER.SVME is. */
static const char *virtual_gif(void)
{
	return exit_stats_param_is_on("kvm_amd", "vgif") ?
	       "virtual GIF, no need for an exit" : NULL;
}

static const char *virtual_vmload(void)
{
	return exit_stats_param_is_on("kvm_amd", "vls") ?
	       "virtual VMLOAD and VMSAVE, no need for an exit" : NULL;
}

/*
 * One exit that both vendors have, or one of VMX or of SVM alone.  Leave out
 * what SVM emulated by QEMU gets wrong: it takes INVD for WBINVD, and doesn't
 * intercept XSETBV.
 */
#define BOTH(_name, _vmx, _svm, _provoke, args...)	\
{							\
	.name = _name,					\
	.vmx_reason = EXIT_REASON_##_vmx,		\
	.svm_reason = SVM_EXIT_##_svm,			\
	.provoke = _provoke,				\
	##args						\
}

#define VMX(_name, _vmx, _provoke, args...)		\
{							\
	.name = _name,					\
	.vmx_reason = EXIT_REASON_##_vmx,		\
	.svm_reason = NO_REASON,			\
	.provoke = _provoke,				\
	##args						\
}

#define SVM(_name, _svm, _provoke, args...)		\
{							\
	.name = _name,					\
	.vmx_reason = NO_REASON,			\
	.svm_reason = SVM_EXIT_##_svm,			\
	.provoke = _provoke,				\
	##args						\
}

static const struct scenario scenarios[] = {
	BOTH("CPUID", CPUID, CPUID, do_cpuid),
	BOTH("IN, handled by KVM", IO_INSTRUCTION, IOIO, do_in_kernel,
	     .missing = no_ioapic),
	BOTH("OUT, handled by KVM", IO_INSTRUCTION, IOIO, do_out_kernel,
	     .missing = no_ioapic),
	BOTH("IN, handled by userspace", IO_INSTRUCTION, IOIO, do_in_user),
	BOTH("OUT, handled by userspace", IO_INSTRUCTION, IOIO, do_out_user),
	BOTH("RDMSR", MSR_READ, MSR, do_rdmsr),
	BOTH("RDMSR of an unknown MSR", MSR_READ, MSR, do_rdmsr_fault),
	BOTH("WRMSR", MSR_WRITE, MSR, do_wrmsr),
	BOTH("WRMSR to TSC_DEADLINE", MSR_WRITE, MSR, do_wrmsr_tscdeadline),
	BOTH("WRMSR to the x2APIC's ICR", MSR_WRITE, MSR, do_wrmsr_icr,
	     .missing = ipi_virtualization),
	BOTH("hypercall", VMCALL, VMMCALL, do_hypercall),
	BOTH("HLT with an interrupt pending", HLT, HLT, do_hlt),
	BOTH("HLT until a timer expires", HLT, HLT, do_hlt_blocking),
	BOTH("interrupt window", INTERRUPT_WINDOW, VINTR, do_irq_window,
	     .missing = apicv, .noisy = true),
	BOTH("TPR below threshold", TPR_BELOW_THRESHOLD, WRITE_CR8,
	     do_tpr_below, .missing = no_tpr_shadow, .noisy = true),
	VMX("preemption timer", PREEMPTION_TIMER, do_timer,
	    .missing = no_preemption_timer, .noisy = true),
	BOTH("MOV to CR0", CR_ACCESS, CR0_SEL_WRITE, do_cr0),
	SVM("MOV to CR0, caches off", WRITE_CR0, do_cr0_uncached),
	SVM("MOV from CR0, caches off", READ_CR0, do_cr0_uncached),
	BOTH("MOV to CR4", CR_ACCESS, WRITE_CR4, do_cr4),
	BOTH("LMSW", CR_ACCESS, CR0_SEL_WRITE, do_lmsw, .exits = 2),
	BOTH("MOV to CR3", CR_ACCESS, WRITE_CR3, do_cr3, .paging = SHADOW),
	BOTH("MOV from CR3", CR_ACCESS, READ_CR3, do_cr3_read,
	     .paging = SHADOW),
	BOTH("MOV from DR7", DR_ACCESS, READ_DR7, do_dr, .noisy = true),
	BOTH("WBINVD", WBINVD, WBINVD, do_wbinvd,
	     .missing = no_wbinvd_exiting),
	VMX("INVD", INVD, do_invd),
	BOTH("INVLPG", INVLPG, INVLPG, do_invlpg, .paging = SHADOW),
	VMX("XSETBV", XSETBV, do_xsetbv, .missing = no_xsave),
	BOTH("RDPMC", RDPMC, RDPMC, do_rdpmc),
	BOTH("MONITOR", MONITOR_INSTRUCTION, MONITOR, do_monitor,
	     .missing = no_mwait),
	BOTH("MWAIT", MWAIT_INSTRUCTION, MWAIT, do_mwait, .missing = no_mwait),
	VMX("RDRAND, hidden", RDRAND, do_rdrand, .missing = no_rdrand_exiting),
	VMX("RDSEED, hidden", RDSEED, do_rdseed, .missing = no_rdseed_exiting),
	VMX("SGDT, UMIP emulated", GDTR_IDTR, do_sgdt,
	    .missing = no_umip_emulation),
	VMX("STR, UMIP emulated", LDTR_TR, do_str,
	    .missing = no_umip_emulation),
	BOTH("UD2", EXCEPTION_NMI, EXCP_BASE + UD_VECTOR, do_ud2,
	     .noisy = true),
	BOTH("single step", EXCEPTION_NMI, EXCP_BASE + DB_VECTOR,
	     do_single_step, .noisy = true),
	VMX("VMCLEAR", VMCLEAR, do_vmclear),
	VMX("VMLAUNCH", VMLAUNCH, do_vmlaunch),
	VMX("VMPTRLD", VMPTRLD, do_vmptrld),
	VMX("VMPTRST", VMPTRST, do_vmptrst),
	VMX("VMREAD", VMREAD, do_vmread),
	VMX("VMRESUME", VMRESUME, do_vmresume),
	VMX("VMWRITE", VMWRITE, do_vmwrite),
	VMX("VMXOFF", VMOFF, do_vmxoff),
	VMX("VMXON", VMON, do_vmxon),
	VMX("INVEPT", INVEPT, do_invept, .missing = no_ept),
	VMX("INVVPID", INVVPID, do_invvpid, .missing = no_vpid),
	SVM("VMRUN", VMRUN, do_vmrun),
	SVM("VMLOAD", VMLOAD, do_vmload, .missing = virtual_vmload),
	SVM("VMSAVE", VMSAVE, do_vmsave, .missing = virtual_vmload),
	SVM("STGI", STGI, do_stgi, .missing = virtual_gif),
	SVM("CLGI", CLGI, do_clgi, .missing = virtual_gif),
	SVM("SKINIT", SKINIT, do_skinit),
	SVM("INVLPGA", INVLPGA, do_invlpga),
	SVM("RSM", RSM, do_rsm),
	BOTH("fresh pages", EPT_VIOLATION, NPF, do_fresh_page,
	     .paging = TDP, .noisy = true),
	BOTH("MMIO read", EPT_MISCONFIG, NPF, do_mmio_read,
	     .paging = TDP, .missing = no_mmio_caching),
	BOTH("MMIO write", EPT_MISCONFIG, NPF, do_mmio_write,
	     .paging = TDP, .missing = no_mmio_caching),
	BOTH("MMIO, handled by KVM", EPT_MISCONFIG, NPF, do_mmio_kernel,
	     .paging = TDP, .missing = no_ioapic_or_caching),
	BOTH("fresh pages", EXCEPTION_NMI, EXCP_BASE + PF_VECTOR,
	     do_fresh_page, .paging = SHADOW, .noisy = true),
	BOTH("MMIO read", EXCEPTION_NMI, EXCP_BASE + PF_VECTOR,
	     do_mmio_read, .paging = SHADOW, .noisy = true),
	BOTH("MMIO write", EXCEPTION_NMI, EXCP_BASE + PF_VECTOR,
	     do_mmio_write, .paging = SHADOW, .noisy = true),
	BOTH("MMIO, handled by KVM", EXCEPTION_NMI, EXCP_BASE + PF_VECTOR,
	     do_mmio_kernel, .paging = SHADOW, .missing = no_ioapic,
	     .noisy = true),
	/* Not intercepted, i.e. must not count anything either. */
	BOTH("RDTSC, no exit", RDTSC, RDTSC, do_rdtsc, .no_exit = true),
	BOTH("CLTS, no exit", CR_ACCESS, CR0_SEL_WRITE, do_clts,
	     .no_exit = true),
	BOTH("MOV to CR3, no exit", CR_ACCESS, WRITE_CR3, do_cr3,
	     .paging = TDP, .no_exit = true),
	BOTH("INVLPG, no exit", INVLPG, INVLPG, do_invlpg,
	     .paging = TDP, .no_exit = true),
};

/* Defined, and KVM never asks the CPU for them. */
static const struct reason_range vmx_unused[] = {
	{ 3, 6 }, { 11, 11 }, { 16, 17 }, { 51, 51 }, { 63, 70 }, { 72, 73 },
	{ 76, 79 }, { EXIT_REASON_MSR_READ_IMM, EXIT_REASON_MSR_WRITE_IMM },
	{ 1, 0 },
};

static const struct reason_range svm_unused[] = {
	{ 0x1, 0x2 }, { 0x5, 0xf }, { 0x11, 0x12 }, { 0x15, 0x17 },
	{ 0x19, 0x1f }, { 0x28, 0x2f }, { 0x38, 0x40 }, { 0x42, 0x45 },
	{ 0x47, 0x4c }, { 0x4f, 0x50 }, { 0x53, 0x5f }, { 0x63, 0x63 },
	{ 0x66, 0x6e }, { 0x70, 0x71 }, { 0x75, 0x75 }, { 0x7e, 0x7e },
	{ 0x88, 0x88 }, { 0x8c, 0x8c }, { 0x8f, 0xa1 }, { 0xa3, 0xa6 },
	{ 0x403, 0x403 }, { 0xfffffffc, 0xfffffffe }, { 1, 0 },
};

static struct kvm_vm *create_vm(void)
{
	struct kvm_vm *vm = exit_stats_create_vm(1, &main_vcpu);

	tsc_khz = __vm_ioctl(vm, KVM_GET_TSC_KHZ, NULL);
	sync_global_to_guest(vm, tsc_khz);

	/* Let KVM intercept them, and the guest use the timer. */
	vcpu_clear_cpuid_feature(main_vcpu, X86_FEATURE_RDRAND);
	vcpu_clear_cpuid_feature(main_vcpu, X86_FEATURE_RDSEED);
	vcpu_set_cpuid_feature(main_vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);

	vm_install_exception_handler(vm, IPI_VECTOR, irq_handler);
	vm_install_exception_handler(vm, TIMER_VECTOR, irq_handler);
	vm_install_exception_handler(vm, DB_VECTOR, db_handler);

	virt_pg_map(vm, MMIO_GPA, MMIO_GPA);
	virt_pg_map(vm, IOAPIC_GPA, IOAPIC_GPA);

	/* Fresh for the guest but not for the host, which thus never waits. */
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, FRESH_GPA,
				    FRESH_SLOT, FRESH_PAGES, 0);
	virt_map(vm, FRESH_GPA, FRESH_GPA, FRESH_PAGES);
	memset(addr_gpa2hva(vm, FRESH_GPA), 0, FRESH_PAGES * PAGE_SIZE);

	vcpu_run_job(main_vcpu, guest_init);
	return vm;
}

static bool is_for_host(const struct scenario *s)
{
	if (reason_of(s) == NO_REASON)
		return false;

	return s->paging == ANY_PAGING ||
	       s->paging == (kvm_is_tdp_enabled() ? TDP : SHADOW);
}

static void test_scenario(const struct scenario *s)
{
	static const u64 nrs[] = { 1, 7, 64 };
	const char *why = s->missing ? s->missing() : NULL;
	int i;

	if (why) {
		skip(why);
		return;
	}

	for (i = 0; i < ARRAY_SIZE(nrs); i++)
		vcpu_measure(main_vcpu, s, nrs[i]);
}

static void test_unused_reasons(void)
{
	const struct reason_range *r;
	u32 reason;

	for (r = is_svm ? svm_unused : vmx_unused; r->first <= r->last; r++) {
		for (reason = r->first; reason <= r->last; reason++)
			vcpu_check_reason(main_vcpu, reason, 0);
	}
}

/* Exits and cycles are both zero, or none of them is. */
static void test_both_or_none(void)
{
	struct cpuid_read *r;
	u32 i;

	vcpu_clear_reads(main_vcpu);
	for (i = 0; i < exit_stats_nr_reasons; i++)
		vcpu_add_read(main_vcpu, LEAF_BOTH, exit_stats_reasons[i]);
	vcpu_run_reads(main_vcpu);

	for (i = 0; i < exit_stats_nr_reasons; i++) {
		r = &vcpu_job(main_vcpu)->reads[i];
		check(!exits_of(r) == !cycles_of(r),
		      "reason %#x: %lu exits, %lu cycles",
		      exit_stats_reasons[i], exits_of(r), cycles_of(r));
	}
}

static void test_total_exits(void)
{
	vcpu_check_total_exits(main_vcpu);
}

/* A read's own cycles come with the next read, thus there is only a range. */
static void test_total_cycles(void)
{
	u64 sum = 0, first, last;
	struct cpuid_read *r;
	u32 i;

	vcpu_clear_reads(main_vcpu);
	r = vcpu_add_read(main_vcpu, LEAF_ALL_CYCLES, 0);
	for (i = 0; i < exit_stats_nr_reasons; i++)
		vcpu_add_read(main_vcpu, LEAF_CYCLES, exit_stats_reasons[i]);
	vcpu_add_read(main_vcpu, LEAF_ALL_CYCLES, 0);
	vcpu_run_reads(main_vcpu);

	for (i = 0; i < exit_stats_nr_reasons; i++)
		sum += cycles_of(&r[1 + i]);
	first = cycles_of(&r[0]);
	last = cycles_of(&r[1 + exit_stats_nr_reasons]);
	check(first <= sum && sum <= last,
	      "sum of %lu cycles, should be in %lu..%lu", sum, first, last);
}

static void test_exits_stat(void)
{
	vcpu_check_exits_stat(main_vcpu);
}

static const struct scenario *find_scenario(void (*provoke)(void))
{
	int i;

	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		if (scenarios[i].provoke == provoke && is_for_host(&scenarios[i]))
			return &scenarios[i];
	}
	TEST_FAIL("No such scenario");
}

/*
 * Neither halting nor userspace's work is KVM's, but the state's.  A busy host
 * may be in the way of either.
 */
static void check_waiting(void (*provoke)(void), int state)
{
	struct ledger before, after;
	int tries = 5;
	struct change c;
	u64 cycles;

	do {
		vcpu_read_ledger(main_vcpu, &before);
		c = vcpu_measure(main_vcpu, find_scenario(provoke), 5);
		vcpu_read_ledger(main_vcpu, &after);
		cycles = after.cycles[state] - before.cycles[state];
	} while (--tries && (c.cycles >= c.elapsed / 2 ||
			     cycles <= c.elapsed / 2));

	check(c.cycles < c.elapsed / 2, "%ld of %lu cycles", c.cycles,
	      c.elapsed);
	check(cycles > c.elapsed / 2, "%lu of %lu cycles in state %d", cycles,
	      c.elapsed, state);
}

/* Have KVM poll all the time, which it comes to after a few times. */
static void test_halted(void)
{
	vm_enable_cap(main_vcpu->vm, KVM_CAP_HALT_POLL, 100000000);
	vcpu_measure(main_vcpu, find_scenario(do_hlt_blocking), 20);
	check_waiting(do_hlt_blocking, STATE_HALTED);
}

static void test_userspace(void)
{
	vcpu_job(main_vcpu)->user_io_usecs = 2000;
	check_waiting(do_in_user, STATE_VMM);
	vcpu_job(main_vcpu)->user_io_usecs = 0;
}

/* Have the host find pages once more for those that the guest will write to. */
static void *renew_fresh_pages(void)
{
	void *pages = addr_gpa2hva(main_vcpu->vm, FRESH_GPA);
	size_t size = FRESH_PAGES * PAGE_SIZE;

	madvise(pages, size, MADV_NOHUGEPAGE);
	TEST_ASSERT(!madvise(pages, size, MADV_DONTNEED), "madvise() failed");
	return pages;
}

/*
 * The handler's work is the exit's: to find and to clear a page takes KVM longer
 * than to refuse a hypercall.  What the host does in between only adds cycles,
 * hence the least of several times.
 */
static void test_handler(void)
{
	s64 page = INT64_MAX, hypercall = INT64_MAX;
	struct change c;
	int i;

	for (i = 0; i < 5; i++) {
		renew_fresh_pages();
		c = vcpu_measure(main_vcpu, find_scenario(do_fresh_page), 64);
		page = min(page, c.cycles);
		c = vcpu_measure_hypercalls(main_vcpu, 64);
		hypercall = min(hypercall, c.cycles);
	}

	check(page > hypercall * 3 / 2,
	      "%ld cycles for fresh pages, %ld for hypercalls", page,
	      hypercall);
}

/* How long it takes to get a page that the host lacks, and how many it lacks */
#define PAGE_USECS	20000
#define NR_SLOW_PAGES	5

static int uffd, stats_fd;

/* While the vCPU's task sleeps, what its exit has taken so far is KVM's. */
static void check_open_exit(void)
{
	struct ledger ledger;

	read_ledger(stats_fd, &ledger);
	check(ledger.cycles[STATE_KVM] > ledger.exit_cycles,
	      "KVM has %lu cycles, exits before have %lu",
	      ledger.cycles[STATE_KVM], ledger.exit_cycles);
}

static void *fill_pages_slowly(void *check_meanwhile)
{
	static char zeroes[PAGE_SIZE];
	struct uffdio_copy copy = {
		.src = (uintptr_t)zeroes,
		.len = PAGE_SIZE,
	};
	struct uffd_msg msg;

	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		usleep(PAGE_USECS);
		if (check_meanwhile)
			((void (*)(void))check_meanwhile)();
		copy.dst = msg.arg.pagefault.address & ~(PAGE_SIZE - 1);
		if (ioctl(uffd, UFFDIO_COPY, &copy))
			break;
	}
	return NULL;
}

/* Pages of the guest that the host lacks come late while a function runs. */
static void run_with_slow_pages(void (*fn)(void), void (*check_meanwhile)(void))
{
	struct uffdio_api api = {
		.api = UFFD_API,
	};
	struct uffdio_register region = {
		.range.len = FRESH_PAGES * PAGE_SIZE,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	pthread_t thread;

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (uffd < 0) {
		skip("no userfaultfd");
		return;
	}

	region.range.start = (uintptr_t)renew_fresh_pages();
	TEST_ASSERT(!ioctl(uffd, UFFDIO_API, &api) &&
		    !ioctl(uffd, UFFDIO_REGISTER, &region),
		    "userfaultfd doesn't work");
	stats_fd = vcpu_get_stats_fd(main_vcpu);
	pthread_create(&thread, NULL, fill_pages_slowly, check_meanwhile);

	fn();

	pthread_cancel(thread);
	pthread_join(thread, NULL);
	close(stats_fd);
	close(uffd);
}

static void check_asleep(void)
{
	check_waiting(do_fresh_page, STATE_BLOCKED);
}

/* The vCPU's task sleeps in the handler until the host has the page. */
static void test_asleep(void)
{
	run_with_slow_pages(check_asleep, check_open_exit);
}

static void guest_fresh_pages(struct guest_job *job)
{
	int i;

	/* No interrupt is due. */
	asm volatile("sti" : : : "memory");
	for (i = 0; i < NR_SLOW_PAGES; i++)
		do_fresh_page();
	asm volatile("cli" : : : "memory");
}

static void check_async_pages(void)
{
	struct ledger before, after;
	u64 least, blocked, halted;

	vcpu_read_ledger(main_vcpu, &before);
	vcpu_run_job(main_vcpu, guest_fresh_pages);
	vcpu_read_ledger(main_vcpu, &after);

	least = (u64)NR_SLOW_PAGES * PAGE_USECS * 3 / 4 *
		__vm_ioctl(main_vcpu->vm, KVM_GET_TSC_KHZ, NULL) / 1000;
	blocked = after.cycles[STATE_BLOCKED] - before.cycles[STATE_BLOCKED];
	check(blocked > least, "%lu cycles blocked, should be %lu", blocked,
	      least);
	halted = after.cycles[STATE_HALTED] - before.cycles[STATE_HALTED];
	check(!halted, "%lu cycles halted", halted);
}

/*
 * A guest that accepts interrupts waits outside of the handler, in a halt of KVM's
 * own making.
 */
static void test_async_pages(void)
{
	run_with_slow_pages(check_async_pages, NULL);
}

/* They need exits of many kinds, i.e. come after the scenarios. */
static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
	{ "defined but unused reasons", test_unused_reasons },
	{ "exits and cycles, both or none", test_both_or_none },
	{ "total of exits", test_total_exits },
	{ "total of cycles", test_total_cycles },
	{ "total of exits, KVM's own statistic", test_exits_stat },
	{ "cycles, of a handler", test_handler },
	{ "cycles, asleep in a handler", test_asleep },
	{ "cycles, until a page is there", test_async_pages },
	{ "cycles, halted", test_halted },
	{ "cycles, in userspace", test_userspace },
};

int main(int argc, char *argv[])
{
	int plan = ARRAY_SIZE(tests);
	struct kvm_vm *vm;
	int i;

	ksft_print_header();
	exit_stats_init();
	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		plan += is_for_host(&scenarios[i]);
	ksft_set_plan(plan);

	vm = create_vm();

	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		if (!is_for_host(&scenarios[i]))
			continue;
		test_scenario(&scenarios[i]);
		report(scenarios[i].name);
	}
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		tests[i].fn();
		report(tests[i].name);
	}

	kvm_vm_free(vm);

	ksft_finished();
}
