// SPDX-License-Identifier: GPL-2.0-only
/*
 * The statistics of VM-Exits, on VMX and on SVM.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_stats.h"

/* For scenarios that are noisy */
#define MAX_NOISY_TRIES		10

static struct guest_job jobs[EXIT_STATS_MAX_VCPU_ID];

bool is_svm;

static const struct reason_range vmx_defined[] = {
	{ 0, 34 }, { 36, 37 }, { 39, 41 }, { 43, 70 }, { 72, 79 },
	{ EXIT_REASON_MSR_READ_IMM, EXIT_REASON_MSR_WRITE_IMM }, { 1, 0 },
};

static const struct reason_range svm_defined[] = {
	{ 0x0, 0xa6 }, { 0x400, 0x403 }, { 0xfffffffc, 0xffffffff }, { 1, 0 },
};

u32 exit_stats_reasons[MAX_REASONS];
u32 exit_stats_nr_reasons;

static void init_reasons(void)
{
	const struct reason_range *r;
	u32 reason;

	for (r = is_svm ? svm_defined : vmx_defined; r->first <= r->last; r++) {
		for (reason = r->first; reason - r->first <= r->last - r->first;
		     reason++)
			exit_stats_reasons[exit_stats_nr_reasons++] = reason;
	}
}

static u32 find_reason(u32 reason)
{
	u32 i;

	for (i = 0; i < exit_stats_nr_reasons; i++) {
		if (exit_stats_reasons[i] == reason)
			break;
	}
	return i;
}

bool exit_stats_is_defined(u32 reason)
{
	return find_reason(reason) < exit_stats_nr_reasons;
}

/*
 * Guest: execute jobs.
 */
static void guest_read(struct guest_job *job)
{
	u32 i;

	for (i = 0; i < job->nr_reads; i++)
		read_cpuid(&job->reads[i]);
}

static void guest_measure(struct guest_job *job)
{
	u64 i;

	/* Have KVM map all that the loop needs, that takes exits as well. */
	job->provoke();

	job->before.tsc = rdtsc();
	read_leaf(&job->before.exits, LEAF_EXITS, job->reason);
	read_leaf(&job->before.cycles, LEAF_CYCLES, job->reason);
	read_leaf(&job->before.both, LEAF_BOTH, job->reason);
	read_leaf(&job->before.own, LEAF_OWN, job->reason);

	for (i = 0; i < job->nr; i++)
		job->provoke();

	read_leaf(&job->after.own, LEAF_OWN, job->reason);
	read_leaf(&job->after.both, LEAF_BOTH, job->reason);
	read_leaf(&job->after.cycles, LEAF_CYCLES, job->reason);
	read_leaf(&job->after.exits, LEAF_EXITS, job->reason);
	job->after.tsc = rdtsc();
}

static void guest_main(struct guest_job *job)
{
	for (;;) {
		job->fn(job);
		GUEST_SYNC(0);
	}
}

/*
 * Host: VMs and vCPUs.
 */
bool exit_stats_read_param(const char *module, const char *name, char *val,
			   size_t size)
{
	char path[128];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module,
		 name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;

	len = read(fd, val, size - 1);
	close(fd);
	if (len < 0)
		return false;

	val[len] = '\0';
	return true;
}

bool exit_stats_param_is_on(const char *module, const char *name)
{
	char val[16];

	return exit_stats_read_param(module, name, val, sizeof(val)) &&
	       (*val == 'Y' || *val == '1');
}

void exit_stats_init(void)
{
	is_svm = this_cpu_has(X86_FEATURE_SVM);
	TEST_REQUIRE(is_svm || this_cpu_has(X86_FEATURE_VMX));
	TEST_REQUIRE(exit_stats_param_is_on("kvm", "exit_stats"));
	TEST_REQUIRE(exit_stats_param_is_on("kvm", "exit_stats_cpuid"));

	init_reasons();
}

struct kvm_vm *exit_stats_create_vm(u32 nr_vcpus, struct kvm_vcpu *vcpus[])
{
	struct kvm_vm *vm;
	u32 i;

	TEST_ASSERT(nr_vcpus <= ARRAY_SIZE(jobs), "Too many vCPUs: %u",
		    nr_vcpus);

	vm = vm_create_with_vcpus(nr_vcpus, guest_main, vcpus);
	sync_global_to_guest(vm, is_svm);
	for (i = 0; i < nr_vcpus; i++)
		vcpu_args_set(vcpus[i], 1, &jobs[i]);

	return vm;
}

struct kvm_vcpu *exit_stats_add_vcpu(struct kvm_vm *vm, u32 id)
{
	struct kvm_vcpu *vcpu;

	TEST_ASSERT(id < ARRAY_SIZE(jobs), "Too great an ID: %u", id);

	vcpu = vm_vcpu_add(vm, id, guest_main);
	vcpu_args_set(vcpu, 1, &jobs[id]);
	return vcpu;
}

struct kvm_vm *exit_stats_create_nested_vm(struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm;
	gva_t data;

	if (!kvm_cpu_has(X86_FEATURE_VMX) && !kvm_cpu_has(X86_FEATURE_SVM)) {
		skip("nesting is off");
		return NULL;
	}

	vm = exit_stats_create_vm(1, vcpu);
	if (is_svm)
		vcpu_alloc_svm(vm, &data);
	else
		vcpu_alloc_vmx(vm, &data);
	vcpu_job(*vcpu)->data = (void *)data;

	return vm;
}

struct guest_job *vcpu_job(struct kvm_vcpu *vcpu)
{
	return addr_gva2hva(vcpu->vm, (uintptr_t)&jobs[vcpu->id]);
}

void vcpu_run_job(struct kvm_vcpu *vcpu, void (*fn)(struct guest_job *job))
{
	struct guest_job *job = vcpu_job(vcpu);
	struct kvm_run *run = vcpu->run;
	struct ucall uc;

	job->fn = fn;

	for (;;) {
		vcpu_run(vcpu);

		if (run->exit_reason == KVM_EXIT_MMIO)
			continue;
		if (run->exit_reason == KVM_EXIT_IO &&
		    run->io.port == USER_PORT) {
			if (job->user_io_usecs)
				usleep(job->user_io_usecs);
			continue;
		}
		break;
	}

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("Unexpected exit: %s",
			  exit_reason_str(run->exit_reason));
	}
}

struct cpuid_read *vcpu_add_read(struct kvm_vcpu *vcpu, u32 function,
				 u32 index)
{
	struct guest_job *job = vcpu_job(vcpu);
	struct cpuid_read *r = &job->reads[job->nr_reads++];

	TEST_ASSERT(job->nr_reads <= MAX_READS, "Too many reads for one job");
	r->function = function;
	r->index = index;
	return r;
}

void vcpu_run_reads(struct kvm_vcpu *vcpu)
{
	vcpu_run_job(vcpu, guest_read);
}

void vcpu_clear_reads(struct kvm_vcpu *vcpu)
{
	vcpu_job(vcpu)->nr_reads = 0;
}

struct cpuid_read vcpu_read(struct kvm_vcpu *vcpu, u32 function, u32 index)
{
	struct cpuid_read *r;

	vcpu_clear_reads(vcpu);
	r = vcpu_add_read(vcpu, function, index);
	vcpu_run_reads(vcpu);
	return *r;
}

static u64 u64_of(u32 lo, u32 hi)
{
	return (u64)hi << 32 | lo;
}

u64 exits_of(const struct cpuid_read *r)
{
	return u64_of(r->eax, r->ebx);
}

u64 cycles_of(const struct cpuid_read *r)
{
	switch (r->function) {
	case LEAF_ALL_CYCLES:
	case LEAF_CYCLES:
		return u64_of(r->ecx, r->ebx);
	default:
		return u64_of(r->ecx, r->edx);
	}
}

u64 vcpu_read_exits(struct kvm_vcpu *vcpu, u32 leaf, u32 reason)
{
	struct cpuid_read r = vcpu_read(vcpu, leaf, reason);

	return exits_of(&r);
}

u64 vcpu_read_cycles(struct kvm_vcpu *vcpu, u32 leaf, u32 reason)
{
	struct cpuid_read r = vcpu_read(vcpu, leaf, reason);

	return cycles_of(&r);
}

/*
 * Host: checks.
 */
int exit_stats_nr_failures;
const char *exit_stats_skip_reason;

void exit_stats_fail(const char *fmt, ...)
{
	va_list args;

	exit_stats_nr_failures++;
	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

static void check_sample(const struct sample *s, u32 reason)
{
	check(!s->exits.ecx && !s->exits.edx,
	      "ECX, EDX of %#x aren't zero", LEAF_EXITS);
	check(!s->cycles.eax && !s->cycles.edx,
	      "EAX, EDX of %#x aren't zero", LEAF_CYCLES);

	if (reason == REASON_CPUID)
		return;

	/* Nothing of the reason has happened between the reads. */
	check(exits_of(&s->exits) == exits_of(&s->both) &&
	      exits_of(&s->exits) == exits_of(&s->own),
	      "exits differ: %lu, %lu, own %lu", exits_of(&s->exits),
	      exits_of(&s->both), exits_of(&s->own));
	check(cycles_of(&s->cycles) == cycles_of(&s->both) &&
	      cycles_of(&s->cycles) == cycles_of(&s->own),
	      "cycles differ: %lu, %lu, own %lu", cycles_of(&s->cycles),
	      cycles_of(&s->both), cycles_of(&s->own));
}

static struct change provoke(struct kvm_vcpu *vcpu, const struct scenario *s,
			     u64 nr)
{
	struct guest_job *job = vcpu_job(vcpu);
	const struct sample *before = &job->before, *after = &job->after;

	job->reason = reason_of(s);
	job->provoke = s->provoke;
	job->nr = nr;
	vcpu_run_job(vcpu, guest_measure);

	return (struct change) {
		.exits = exits_of(&after->exits) - exits_of(&before->exits),
		.both = exits_of(&after->both) - exits_of(&before->both),
		.own = exits_of(&after->own) - exits_of(&before->own),
		.cycles = cycles_of(&after->both) - cycles_of(&before->both),
		.elapsed = after->tsc - before->tsc,
	};
}

struct change vcpu_measure(struct kvm_vcpu *vcpu, const struct scenario *s,
			   u64 nr)
{
	u64 want = s->no_exit ? 0 : nr * (s->exits ?: 1);
	int tries = s->noisy ? MAX_NOISY_TRIES : 1;
	u32 reason = reason_of(s);
	bool reads = reason == REASON_CPUID;
	struct guest_job *job = vcpu_job(vcpu);
	struct change c;
	bool exact;

	/* Each read counts itself and, if in between, the others. */
	do {
		c = provoke(vcpu, s, nr);
		exact = c.exits == want + 7 * reads &&
			c.both == want + 3 * reads &&
			c.own == want + 1 * reads;
	} while (!exact && --tries);

	check(exact, "%lu times: D +%ld, A +%ld, 9 +%ld, should be +%lu%s",
	      nr, c.exits, c.both, c.own, want, reads ? " and the reads" : "");
	if (!exact)
		return c;

	check_sample(&job->before, reason);
	check_sample(&job->after, reason);

	check(c.cycles <= c.elapsed, "%lu times: %ld cycles in %lu",
	      nr, c.cycles, c.elapsed);
	if (want)
		check(c.cycles > 0, "%lu times: no cycles", nr);
	else
		check(!c.cycles, "%ld cycles without an exit", c.cycles);
	return c;
}

static const struct scenario hypercall = {
	.vmx_reason = EXIT_REASON_VMCALL,
	.svm_reason = SVM_EXIT_VMMCALL,
	.provoke = do_hypercall,
};

struct change vcpu_measure_hypercalls(struct kvm_vcpu *vcpu, u64 nr)
{
	return vcpu_measure(vcpu, &hypercall, nr);
}

struct change vcpu_provoke_hypercalls(struct kvm_vcpu *vcpu, u64 nr)
{
	return provoke(vcpu, &hypercall, nr);
}

void vcpu_check_hypercalls(struct kvm_vcpu *vcpu, u32 leaf, u64 want)
{
	u64 nr = vcpu_read_exits(vcpu, leaf, REASON_HYPERCALL);

	check(nr == want, "CPUID %#x: %lu hypercalls, should be %lu", leaf, nr,
	      want);
}

/* EDX tells whether the reason is undefined, or nothing has happened yet. */
void vcpu_check_reason(struct kvm_vcpu *vcpu, u32 reason, u32 edx)
{
	static const u32 leaves[] = {
		LEAF_EXITS, LEAF_CYCLES, LEAF_BOTH, LEAF_OWN, LEAF_USER,
	};
	struct cpuid_read r;
	int i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		r = vcpu_read(vcpu, leaves[i], reason);
		check_regs(&r, 0, 0, 0, edx);
	}
}

/*
 * Read all exits, then reason by reason, then all exits.  If nothing but the
 * reads has happened meanwhile, the sum has to match exactly.
 */
void vcpu_check_total_exits(struct kvm_vcpu *vcpu)
{
	u64 sum, first, last, reads;
	struct cpuid_read *r;
	int tries;
	u32 i;

	for (tries = MAX_TRIES; tries; tries--) {
		vcpu_clear_reads(vcpu);
		r = vcpu_add_read(vcpu, LEAF_ALL_EXITS, 0);
		for (i = 0; i < exit_stats_nr_reasons; i++)
			vcpu_add_read(vcpu, LEAF_BOTH, exit_stats_reasons[i]);
		vcpu_add_read(vcpu, LEAF_ALL_EXITS, 0);
		vcpu_run_reads(vcpu);

		sum = 0;
		for (i = 0; i < exit_stats_nr_reasons; i++)
			sum += exits_of(&r[1 + i]);
		first = exits_of(&r[0]);
		last = exits_of(&r[1 + exit_stats_nr_reasons]);
		if (last == first + exit_stats_nr_reasons + 1)
			break;
	}
	check(tries, "the guest is never undisturbed");

	/* The sum has the first read, and those up to that of CPUID's exits. */
	reads = 1 + find_reason(REASON_CPUID);
	check(sum == first + reads, "sum of %lu exits, should be %lu + %lu",
	      sum, first, reads);
}

void vcpu_read_stat(struct kvm_vcpu *vcpu, const char *name,
		    struct kvm_stats_desc *desc, u64 *vals, size_t nr_vals)
{
	struct kvm_stats_desc *descs, *d;
	struct kvm_stats_header header;
	int fd = vcpu_get_stats_fd(vcpu);
	bool found = false;
	int i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);

	for (i = 0; i < header.num_desc && !found; i++) {
		d = get_stats_descriptor(descs, i, &header);
		found = !strcmp(d->name, name);
		if (found) {
			*desc = *d;
			read_stat_data(fd, &header, d, vals, nr_vals);
		}
	}
	TEST_ASSERT(found, "No statistic '%s'", name);

	free(descs);
	close(fd);
}

static const u64 *find_stat(const void *data, struct kvm_stats_desc *descs,
			    const struct kvm_stats_header *header,
			    const char *name, u32 size)
{
	struct kvm_stats_desc *d;
	int i;

	for (i = 0; i < header->num_desc; i++) {
		d = get_stats_descriptor(descs, i, (void *)header);
		if (!strcmp(d->name, name)) {
			TEST_ASSERT(d->size == size, "'%s' has %u values", name,
				    d->size);
			return data + d->offset;
		}
	}
	TEST_FAIL("No statistic '%s'", name);
}

/* All at once, as they belong together. */
void read_ledger(int fd, struct ledger *ledger)
{
	static const char * const names[NR_STATES] = {
		"wall_cycles", "guest_cycles", "kvm_cycles", "vmm_cycles",
		"halted_cycles", "preempted_cycles", "blocked_cycles",
		"outside_cycles",
	};
	static u64 data[4096];
	struct kvm_stats_header header;
	struct kvm_stats_desc *descs;
	const u64 *cycles;
	int i;

	/* The library's function may read on from where it was. */
	TEST_ASSERT(pread(fd, &header, sizeof(header), 0) == sizeof(header),
		    "Can't read the header of statistics");
	descs = read_stats_descriptors(fd, &header);
	TEST_ASSERT(pread(fd, data, sizeof(data), header.data_offset) > 0,
		    "Can't read statistics");

	for (i = 0; i < NR_STATES; i++)
		ledger->cycles[i] = *find_stat(data, descs, &header, names[i], 1);

	cycles = find_stat(data, descs, &header, "exit_cycles",
			   EXIT_STATS_NR_SLOTS);
	ledger->exit_cycles = 0;
	for (i = 0; i < EXIT_STATS_NR_SLOTS; i++)
		ledger->exit_cycles += cycles[i];

	memcpy(ledger->user_exits,
	       find_stat(data, descs, &header, "exit_user_counts",
			 EXIT_STATS_NR_SLOTS), sizeof(ledger->user_exits));
	memcpy(ledger->user_cycles,
	       find_stat(data, descs, &header, "exit_user_cycles",
			 EXIT_STATS_NR_SLOTS), sizeof(ledger->user_cycles));

	free(descs);
}

void vcpu_read_ledger(struct kvm_vcpu *vcpu, struct ledger *ledger)
{
	int fd = vcpu_get_stats_fd(vcpu);

	read_ledger(fd, ledger);
	close(fd);
}

/* Nothing but the exit to userspace comes after the guest's read. */
void vcpu_check_exits_stat(struct kvm_vcpu *vcpu)
{
	struct kvm_stats_desc desc;
	u64 exits, stat, sum;
	struct kvm_vcpu *other;
	int tries;

	for (tries = MAX_TRIES; tries; tries--) {
		exits = vcpu_read_exits(vcpu, LEAF_ALL_EXITS, 0);
		sum = 0;
		list_for_each_entry(other, &vcpu->vm->vcpus, list) {
			vcpu_read_stat(other, "exits", &desc, &stat, 1);
			sum += stat;
		}
		if (sum == exits + 1)
			break;
	}
	check(tries, "guest counts %lu, KVM %lu, should be one more",
	      exits, sum);
}
