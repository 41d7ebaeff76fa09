// SPDX-License-Identifier: GPL-2.0-only
/*
 * In a guest: read the CPUID leaves of KVM's statistics, see
 * Documentation/virt/kvm/x86/exit-stats.rst.
 */
#include <err.h>

#include "exitstat.h"
#include "asm/kvm_exit_stats.h"

/*
 * Every CPUID is an exit.  Those since the start, by the CPU they were executed
 * on if that matters, the first element is for all others.
 */
static __u64 reads[CPU_SETSIZE + 1];

bool guest_probe(void)
{
	struct regs r = cpuid(KVM_CPUID_EXIT_STATS_SIGNATURE, 0);

	/* Later versions of the ABI only add to the first. */
	return r.ebx == KVM_CPUID_EXIT_STATS_SIGNATURE_EBX &&
	       r.ecx == KVM_CPUID_EXIT_STATS_SIGNATURE_ECX &&
	       r.edx == KVM_CPUID_EXIT_STATS_SIGNATURE_EDX;
}

static void add_reason_if_defined(__u32 number)
{
	struct regs r = cpuid(KVM_CPUID_EXIT_STATS_VM, number);

	if (r.eax || r.ebx || r.ecx || r.edx != KVM_CPUID_EXIT_STATS_UNDEFINED)
		add_reason(number);
}

void guest_init(void)
{
	struct regs info = cpuid(KVM_CPUID_EXIT_STATS_SIGNATURE, 1);
	__u32 number;
	int i;

	svm = info.ebx & KVM_CPUID_EXIT_STATS_F_SVM;
	tsc_khz = info.ecx;
	ledger = info.ebx & KVM_CPUID_EXIT_STATS_F_LEDGER;
	if (!(info.ebx & KVM_CPUID_EXIT_STATS_F_ACTIVE))
		warnx("the host does not count at present: the numbers stand still");

	for (number = 0; number <= info.eax; number++)
		add_reason_if_defined(number);
	/* SVM's negative exit codes are above the highest one that CPUID tells. */
	for (i = 0; known_reason(i, &number); i++) {
		if (number > info.eax)
			add_reason_if_defined(number);
	}
}

static __u32 read_session(int cpu)
{
	reads[cpu + 1]++;
	return cpuid(KVM_CPUID_EXIT_STATS_SIGNATURE, 1).edx;
}

static void read_states(struct view *v, int cpu)
{
	__u32 leaf = cpu == WHOLE_VM ? KVM_CPUID_EXIT_STATS_STATE_VM :
				       KVM_CPUID_EXIT_STATS_STATE_VCPU;
	struct regs r;
	int i;

	for (i = STATE_GUEST; i < NR_STATES; i++) {
		r = cpuid(leaf, i);
		reads[cpu + 1]++;
		v->states[i].cycles = (__u64)r.ebx << 32 | r.eax;
		v->states[i].times = (__u64)r.edx << 32 | r.ecx;
	}
}

/* There is a leaf of the VM only. */
static void read_user(struct counts *c, __u32 reason)
{
	struct regs r = cpuid(KVM_CPUID_EXIT_STATS_USER, reason);

	reads[WHOLE_VM + 1]++;
	c->user_exits = (__u64)r.ebx << 32 | r.eax;
	c->user_cycles = (__u64)r.edx << 32 | r.ecx;
}

/* Return false if counters started anew meanwhile, i.e. nothing fits. */
static bool read_view(struct sample *s, int cpu)
{
	__u32 leaf = cpu == WHOLE_VM ? KVM_CPUID_EXIT_STATS_VM :
				       KVM_CPUID_EXIT_STATS_VCPU;
	__u32 session = read_session(cpu);
	struct view *v;
	struct regs r;
	int i;

	if (!s->nr_views)
		s->session = session;
	v = add_view(s, 0, cpu, "");

	for (i = 0; i < nr_reasons; i++) {
		r = cpuid(leaf, reasons[i].number);
		v->counts[i].exits = (__u64)r.ebx << 32 | r.eax;
		v->counts[i].cycles = (__u64)r.edx << 32 | r.ecx;

		/* An exit is counted before KVM handles it. */
		reads[cpu + 1]++;
		if (i == cpuid_reason)
			v->reads = reads[cpu + 1];
		if (ledger && cpu == WHOLE_VM && v->counts[i].exits)
			read_user(&v->counts[i], reasons[i].number);
	}
	if (ledger)
		read_states(v, cpu);

	return session == s->session && read_session(cpu) == session;
}

static bool read_vcpu(struct sample *s, int cpu)
{
	bool fits;

	if (!pin_to_cpu(cpu))
		return true;

	fits = read_view(s, cpu);
	if (!is_on_cpu(cpu))
		s->nr_views--;
	return fits;
}

static bool read_each_vcpu(struct sample *s)
{
	cpu_set_t cpus;
	int cpu;

	get_online_cpus(&cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &cpus) && !read_vcpu(s, cpu))
			return false;
	}
	return true;
}

void guest_read(struct sample *s)
{
	bool fits;

	do {
		s->nr_views = 0;
		if (opt.vcpu == WHOLE_VM)
			fits = read_view(s, WHOLE_VM);
		else if (opt.vcpu == EACH_VCPU)
			fits = read_each_vcpu(s);
		else
			fits = read_vcpu(s, opt.vcpu);
	} while (!fits);
}
