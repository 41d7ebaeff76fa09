// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel's headers tell about exit reasons.
 */
#include <err.h>
#include <string.h>

#include <asm/kvm.h>

#include "exitstat.h"
#include "handlers.h"
#include "asm/kvm_exit_stats.h"
#include "asm/svm.h"
#include "asm/vmx.h"

struct name {
	__u32 number;		/* negative exit codes get their lower half */
	const char *name;
};

/* Then come names that the system's headers may lack yet. */
static const struct name vmx_names[] = {
	VMX_EXIT_REASONS,
	{ 77, "TDCALL" },
	{ 84, "MSR_READ_IMM" },
	{ 85, "MSR_WRITE_IMM" },
};

static const struct name svm_names[] = {
	SVM_EXIT_REASONS,
	{ 0xa5, "buslock" },
	{ 0xa6, "idle-halt" },
};

struct range {
	__u32 first;
	__u32 last;
	__u32 slot;		/* of KVM's arrays: not needed here */
};

static const struct range vmx_ranges[] = KVM_EXIT_STATS_VMX_RANGES;
static const struct range svm_ranges[] = KVM_EXIT_STATS_SVM_RANGES;

struct reason reasons[MAX_REASONS];
int nr_reasons;
int cpuid_reason = -1;
bool svm;

static const char *find_name(const struct name *names, int nr, __u32 number)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (names[i].number == number)
			return names[i].name;
	}
	return NULL;
}

/* Get the reason of this index in asm/kvm_exit_stats.h; return false if there is none. */
bool known_reason(unsigned int i, __u32 *number)
{
	int n, nr = svm ? ARRAY_SIZE(svm_ranges) : ARRAY_SIZE(vmx_ranges);
	const struct range *range = svm ? svm_ranges : vmx_ranges;

	for (n = 0; n < nr; n++, range++) {
		if (i <= range->last - range->first) {
			*number = range->first + i;
			return true;
		}
		i -= range->last - range->first + 1;
	}
	return false;
}

void add_reason(__u32 number)
{
	struct reason *r = &reasons[nr_reasons];

	if (nr_reasons == MAX_REASONS)
		errx(1, "the host's KVM defines more than %d exit reasons", MAX_REASONS);

	if (number == (svm ? SVM_EXIT_CPUID : EXIT_REASON_CPUID))
		cpuid_reason = nr_reasons;
	nr_reasons++;

	r->number = number;
	if (svm) {
		r->name = find_name(svm_names, ARRAY_SIZE(svm_names), number);
		r->handled = number < ARRAY_SIZE(svm_handled) && svm_handled[number];
	} else {
		r->name = find_name(vmx_names, ARRAY_SIZE(vmx_names), number);
		r->handled = number < ARRAY_SIZE(vmx_handled) && vmx_handled[number];
	}
}

/* As the vendor's manual writes it; valid up to the next call. */
const char *reason_number(const struct reason *r)
{
	static char buf[sizeof("0xffffffff")];

	if (r->other)
		return "-";
	snprintf(buf, sizeof(buf), svm ? "0x%x" : "%u", r->number);
	return buf;
}

const char *reason_name(const struct reason *r)
{
	return r->name ? r->name : "-";
}
