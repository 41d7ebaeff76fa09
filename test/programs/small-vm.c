// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "small-vm.h"

/* Where things lie in the guest, besides VM_DATA.  All of it below 1 MB, where real mode can get. */
#define VM_PML4			0x1000
#define VM_PDPT			0x2000
#define VM_PD			0x3000
#define VM_GDT			0x4000
#define VM_IDT			0x5000
#define VM_TSS			0x6000
#define VM_CODE			0x8000
#define VM_HANDLERS		0x9000
#define VM_STACKS		0xa000	/* a page for each vCPU, growing down */
#define VM_SIZE			0x60000

#define CS_KERNEL		0x08
#define DS_KERNEL		0x10
#define CS_USER			0x18
#define DS_USER			0x20
#define CS_COMPAT		0x28
#define TSS_SELECTOR		0x30

#define EFLAGS_IOPL3		0x3002	/* so that ring 3 may use OUT */

/* The handlers of #UD and #GP. */
asm(".pushsection .rodata\n"
    "small_vm_ud: out %al, $" STRING(PORT_UD) "\n"
    "1: hlt\n"
    "jmp 1b\n"
    "small_vm_gp: out %al, $" STRING(PORT_GP) "\n"
    "1: hlt\n"
    "jmp 1b\n"
    "small_vm_handlers_end:\n"
    ".popsection\n");
extern const u8 small_vm_ud[], small_vm_gp[], small_vm_handlers_end[];

int vm_ioctl_named(int fd, unsigned long request, const char *name, unsigned long arg)
{
	int r;

	/* A signal may come at any time. */
	do {
		r = ioctl(fd, request, arg);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		err(1, "%s", name);
	return r;
}

int open_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(1, "/dev/kvm");
	return fd;
}

static void set_gate(u8 *mem, int vector, u64 handler)
{
	/* A 64-bit interrupt gate. */
	u64 gate[2] = { (handler & 0xffff) | CS_KERNEL << 16 | 0x8eull << 40 |
			(handler & 0xffff0000) << 32, handler >> 32 };

	memcpy(mem + VM_IDT + vector * sizeof(gate), gate, sizeof(gate));
}

/* The guest's memory: identity-mapped for all rings, tables, handlers, and the code of the test at VM_CODE. */
static void fill_memory(u8 *mem, const void *code, size_t size)
{
	static const u64 gdt[] = {
		0,
		0x00af9b000000ffff,	/* CS_KERNEL */
		0x00cf93000000ffff,	/* DS_KERNEL */
		0x00affb000000ffff,	/* CS_USER */
		0x00cff3000000ffff,	/* DS_USER */
		0x00cffb000000ffff,	/* CS_COMPAT */
		0x00008b0000000067 | VM_TSS << 16,
		0,
	};

	*(u64 *)(mem + VM_PML4) = VM_PDPT | 7;
	*(u64 *)(mem + VM_PDPT) = VM_PD | 7;
	*(u64 *)(mem + VM_PD) = 0x87;	/* 2 MB */
	memcpy(mem + VM_GDT, gdt, sizeof(gdt));
	/* RSP0: only one vCPU of the tests leaves ring 0. */
	memcpy(mem + VM_TSS + 4, &(u64){ VM_STACKS + 0x1000 }, 8);
	set_gate(mem, 6, VM_HANDLERS);
	set_gate(mem, 13, VM_HANDLERS + (small_vm_gp - small_vm_ud));
	memcpy(mem + VM_HANDLERS, small_vm_ud, small_vm_handlers_end - small_vm_ud);
	memcpy(mem + VM_CODE, code, size);
}

struct small_vm create_vm(int kvm, const void *code, size_t size)
{
	struct kvm_userspace_memory_region region = { .memory_size = VM_SIZE };
	struct small_vm vm;

	vm.fd = vm_ioctl(kvm, KVM_CREATE_VM, 0);
	/* Where VMX needs them, out of the way. */
	vm_ioctl(vm.fd, KVM_SET_TSS_ADDR, 0xfffbd000);
	vm_ioctl(vm.fd, KVM_SET_IDENTITY_MAP_ADDR, &(u64){ 0xfffbc000 });

	vm.mem = mmap(NULL, VM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm.mem == MAP_FAILED)
		err(1, "the guest's memory");
	fill_memory(vm.mem, code, size);
	region.userspace_addr = (u64)vm.mem;
	vm_ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region);
	return vm;
}

void destroy_vm(struct small_vm *vm)
{
	close(vm->fd);
	munmap(vm->mem, VM_SIZE);
}

static size_t vcpu_mmap_size(void)
{
	static size_t size;
	int kvm;

	if (!size) {
		kvm = open_kvm();
		size = vm_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
		close(kvm);
	}
	return size;
}

/* With all of CPUID that KVM supports, as QEMU's -cpu host. */
struct small_vcpu create_vcpu(int kvm, struct small_vm *vm, u32 id)
{
	struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 entries[256]; } cpuid = { .head.nent = 256 };
	struct small_vcpu vcpu = { .id = id };

	vcpu.fd = vm_ioctl(vm->fd, KVM_CREATE_VCPU, id);
	vcpu.run = mmap(NULL, vcpu_mmap_size(), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
	if (vcpu.run == MAP_FAILED)
		err(1, "kvm_run");
	vm_ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	vm_ioctl(vcpu.fd, KVM_SET_CPUID2, &cpuid);
	return vcpu;
}

void destroy_vcpu(struct small_vcpu *vcpu)
{
	munmap(vcpu->run, vcpu_mmap_size());
	close(vcpu->fd);
}

static struct kvm_segment make_segment(u16 selector, u8 type, u8 dpl)
{
	return (struct kvm_segment) {
		.selector = selector | dpl, .limit = 0xffffffff, .type = type, .dpl = dpl,
		.present = 1, .s = 1, .g = 1, .db = 1,
	};
}

/* Protected mode with paging and 64-bit interrupts, as all modes but real mode are. */
static void set_long_mode(struct kvm_sregs *s, u16 cs, u16 ds, u8 dpl)
{
	s->cs = make_segment(cs, 11, dpl);
	s->cs.l = cs != CS_COMPAT;
	s->cs.db = cs == CS_COMPAT;
	s->ds = s->es = s->fs = s->gs = s->ss = make_segment(ds, 3, dpl);
	s->tr = (struct kvm_segment) { .selector = TSS_SELECTOR, .base = VM_TSS, .limit = 0x67, .type = 11, .present = 1 };
	s->ldt = (struct kvm_segment) { .unusable = 1 };
	s->gdt = (struct kvm_dtable) { .base = VM_GDT, .limit = 0x3f };
	s->idt = (struct kvm_dtable) { .base = VM_IDT, .limit = 0xfff };
	s->cr0 = 0x80000031;	/* PG, NE, ET, PE */
	s->cr3 = VM_PML4;
	s->cr4 = 0x20;		/* PAE */
	s->efer = 0x500;	/* LME, LMA */
}

/* Any exception is a triple fault there. */
static void set_real_mode(struct kvm_sregs *s)
{
	struct kvm_segment data = {
		.selector = VM_DATA >> 4, .base = VM_DATA, .limit = 0xffff, .type = 3, .present = 1, .s = 1,
	};

	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->cs = data;
	s->cs.selector = VM_CODE >> 4;
	s->cs.base = VM_CODE;
	s->cs.type = 11;
	s->tr = (struct kvm_segment) { .limit = 0xffff, .type = 11, .present = 1 };
	s->ldt = (struct kvm_segment) { .limit = 0xffff, .type = 2, .present = 1 };
	s->gdt = s->idt = (struct kvm_dtable) { };
	s->cr0 = 0x30;
	s->cr3 = s->cr4 = s->efer = 0;
}

/*
 * Put the vCPU into @mode, at @offset of the code, with @data as the offset in the data in RSI and @count in RDI.
 * The code is assembled for its mode and must address [ESI].
 */
void set_mode(struct small_vcpu *vcpu, enum mode mode, u64 offset, u32 data, u32 count)
{
	struct kvm_regs regs = {
		.rflags = EFLAGS_IOPL3, .rsp = VM_STACKS + 0x1000 * (vcpu->id + 1),
		.rip = VM_CODE + offset, .rsi = VM_DATA + data, .rdi = count,
	};
	struct kvm_sregs sregs;

	vm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	switch (mode) {
	case RING0:
		set_long_mode(&sregs, CS_KERNEL, DS_KERNEL, 0);
		break;
	case RING3:
		set_long_mode(&sregs, CS_USER, DS_USER, 3);
		break;
	case COMPAT:
		set_long_mode(&sregs, CS_COMPAT, DS_USER, 3);
		break;
	default:
		set_real_mode(&sregs);
		regs.rip = offset;
		regs.rsi = data;
	}
	vm_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
	vm_ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

struct stats_layout find_stats(int fd)
{
	struct stats_layout layout = { };
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	size_t size;
	u32 i;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		err(1, "the statistics' header");
	size = sizeof(*desc) + header.name_size;
	desc = malloc(size);
	if (!desc)
		err(1, "malloc");
	for (i = 0; i < header.num_desc; i++) {
		if (pread(fd, desc, size, header.desc_offset + i * size) != (ssize_t)size)
			err(1, "a statistic's descriptor");
		if (!strcmp(desc->name, "exits"))
			layout.exits = header.data_offset + desc->offset;
		else if (!strcmp(desc->name, "exit_counts") && desc->size == KVM_EXIT_STATS_NR_SLOTS)
			layout.counts = header.data_offset + desc->offset;
		else if (!strcmp(desc->name, "exit_cycles") && desc->size == KVM_EXIT_STATS_NR_SLOTS)
			layout.cycles = header.data_offset + desc->offset;
	}
	free(desc);
	if (!layout.exits || !layout.counts || !layout.cycles)
		errx(1, "KVM's statistics lack exits, exit_counts or exit_cycles");
	return layout;
}

void read_stats(int fd, const struct stats_layout *layout, struct vcpu_stats *stats)
{
	if (pread(fd, &stats->exits, sizeof(stats->exits), layout->exits) != sizeof(stats->exits) ||
	    pread(fd, stats->counts, sizeof(stats->counts), layout->counts) != sizeof(stats->counts) ||
	    pread(fd, stats->cycles, sizeof(stats->cycles), layout->cycles) != sizeof(stats->cycles))
		err(1, "the statistics");
}

u64 sum_counts(const struct vcpu_stats *stats)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < KVM_EXIT_STATS_NR_SLOTS; i++)
		sum += stats->counts[i];
	return sum;
}
