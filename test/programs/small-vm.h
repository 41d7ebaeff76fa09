/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMs of a quarter of a megabyte, with nothing but KVM's ioctls.
 * The library of the KVM selftests knows ring 0 in long mode only; here the
 * host puts a vCPU straight into any mode, and a VM is made in milliseconds.
 * All functions end the program when something goes wrong.
 */
#ifndef SMALL_VM_H
#define SMALL_VM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/kvm.h>

#include "asm/kvm_exit_stats.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* A constant in the text of asm() */
#define STRING(x)		STRING_(x)
#define STRING_(x)		#x

#define VM_MAX_VCPUS		8

/* The program's, in the guest. */
#define VM_DATA			0x20000
#define VM_DATA_SIZE		0x10000	/* a real-mode segment */

/* Ports of which userspace hears: the guest has done its work, or has faulted. */
#define PORT_DONE		0xe0
#define PORT_UD			0xf6
#define PORT_GP			0xfd

enum mode { RING0, RING3, COMPAT, REAL, NR_MODES };

struct small_vm {
	int fd;
	u8 *mem;
};

struct small_vcpu {
	int fd;
	u32 id;
	struct kvm_run *run;
};

/* ioctl(), again after a signal. */
#define vm_ioctl(fd, request, arg) vm_ioctl_named(fd, request, #request, (unsigned long)(arg))
int vm_ioctl_named(int fd, unsigned long request, const char *name, unsigned long arg);

int open_kvm(void);

/* A VM with the code of the program. */
struct small_vm create_vm(int kvm, const void *code, size_t size);
void destroy_vm(struct small_vm *vm);

/* With all of CPUID that KVM supports, as QEMU's -cpu host. */
struct small_vcpu create_vcpu(int kvm, struct small_vm *vm, u32 id);
void destroy_vcpu(struct small_vcpu *vcpu);

/*
 * Put the vCPU into @mode, at @offset of the code, with @data as the offset in the data in RSI and @count in RDI.
 * The code is assembled for its mode and must address [ESI].
 */
void set_mode(struct small_vcpu *vcpu, enum mode mode, u64 offset, u32 data, u32 count);

/* What KVM's statistics say of a vCPU, all of its slots and its exits in one read each. */
struct vcpu_stats {
	u64 exits;
	u64 counts[KVM_EXIT_STATS_NR_SLOTS];
	u64 cycles[KVM_EXIT_STATS_NR_SLOTS];
};

/* Where they lie in the file, the same for each vCPU. */
struct stats_layout {
	off_t exits, counts, cycles;
};

struct stats_layout find_stats(int fd);
void read_stats(int fd, const struct stats_layout *layout, struct vcpu_stats *stats);
u64 sum_counts(const struct vcpu_stats *stats);

#endif /* SMALL_VM_H */
