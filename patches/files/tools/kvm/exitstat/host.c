// SPDX-License-Identifier: GPL-2.0-only
/*
 * On the host: read KVM's statistics of its VMs from debugfs.
 */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitstat.h"

#define DEBUGFS_KVM	"/sys/kernel/debug/kvm"
#define PARAMETER	"/sys/module/kvm/parameters/exit_stats"

#define CPUID_SVM_LEAF	0x80000001
#define CPUID_SVM_ECX	0x4

struct vm {
	int pid;
	char name[64];
};

/* The index of exits without a reason. */
static int other;

bool host_probe(void)
{
	return !access(PARAMETER, F_OK);
}

void host_init(void)
{
	FILE *f = fopen(PARAMETER, "r");
	__u32 number;
	int i;

	if (f && getc(f) == 'N')
		warnx("KVM's exit_stats is off: the numbers stand still");
	if (f)
		fclose(f);

	tsc_khz = measure_tsc_khz();
	svm = cpuid(CPUID_SVM_LEAF, 0).ecx & CPUID_SVM_ECX;

	for (i = 0; known_reason(i, &number); i++)
		add_reason(number);
	other = nr_reasons++;
	reasons[other] = (struct reason){ .name = "OTHER", .other = true };
}

/* Two VMs of one process count as one. */
static struct view *get_view(struct sample *s, const struct vm *vm, int vcpu)
{
	struct view *v = find_view(s, vm->pid, vcpu);

	return v ? v : add_view(s, vm->pid, vcpu, vm->name);
}

/*
 * Get the name from the argument of QEMU's option -name, "NAME,KEY=VALUE..." or
 * "KEY=VALUE,guest=NAME...", in which ",," is a comma.
 */
static void parse_name(const char *arg, char *name, size_t size)
{
	static const char key[] = "guest=";
	bool first = true;
	size_t n;

	while (*arg) {
		for (n = 0; *arg; arg++) {
			if (*arg == ',' && *++arg != ',')
				break;
			if (n < size - 1)
				name[n++] = *arg;
		}
		name[n] = '\0';

		if (!strncmp(name, key, strlen(key))) {
			memmove(name, name + strlen(key), n - strlen(key) + 1);
			return;
		}
		if (first && !strchr(name, '='))
			return;
		first = false;
	}
	name[0] = '\0';
}

/* Get a VM's name from QEMU's command line. */
static void get_name(struct vm *vm)
{
	static char line[1 << 16];
	const char *option, *arg, *end;
	char path[32];
	ssize_t size;
	int fd;

	vm->name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cmdline", vm->pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	size = read(fd, line, sizeof(line) - 1);
	close(fd);
	end = line + (size > 0 ? size : 0);
	line[end - line] = '\0';

	for (option = line; option < end; option = arg) {
		arg = option + strlen(option) + 1;
		if (arg < end && (!strcmp(option, "-name") || !strcmp(option, "--name")))
			parse_name(arg, vm->name, sizeof(vm->name));
	}
}

static bool is_wanted(const struct vm *vm)
{
	return (!opt.pid || vm->pid == opt.pid) &&
	       (!opt.guest || !fnmatch(opt.guest, vm->name, 0));
}

/* Cut the last word off a line. */
static char *last_word(char *line)
{
	char *end = line + strlen(line);

	while (end > line && isspace(end[-1]))
		*--end = '\0';
	while (end > line && !isspace(end[-1]))
		end--;
	return end;
}

static __u64 cut_number(char *line)
{
	char *word = last_word(line);
	__u64 number = strtoull(word, NULL, 10);

	*word = '\0';
	return number;
}

/* A newer KVM may count reasons that this program does not know. */
static int get_reason(__u32 number)
{
	int i;

	for (i = 0; i < nr_reasons; i++) {
		if (!reasons[i].other && reasons[i].number == number)
			return i;
	}
	add_reason(number);
	return i;
}

/*
 * Rows are: reason, name, which may hold blanks, exits, cycles, average; then, if
 * KVM has a ledger, exits that userspace completed, and its cycles.
 */
static void parse_row(char *line, struct view *v)
{
	struct counts c = { 0 }, *counts;
	__u32 number;
	char *end;

	if (ledger) {
		c.user_cycles = cut_number(line);
		c.user_exits = cut_number(line);
	}
	cut_number(line);
	c.cycles = cut_number(line);
	c.exits = cut_number(line);

	number = strtoul(line, &end, 0);
	counts = &v->counts[end == line ? other : get_reason(number)];
	counts->exits += c.exits;
	counts->cycles += c.cycles;
	counts->user_exits += c.user_exits;
	counts->user_cycles += c.user_cycles;
}

/* Rows above it are: state, times, cycles. */
static void parse_state(char *line, struct view *v)
{
	__u64 cycles = cut_number(line), times = cut_number(line);
	char name[16];
	int i;

	if (sscanf(line, "%15s", name) != 1)
		return;
	for (i = STATE_GUEST; i < NR_STATES; i++) {
		if (!strcmp(name, state_names[i])) {
			v->states[i].cycles += cycles;
			v->states[i].times += times;
		}
	}
}

static void read_table(struct sample *s, const struct vm *vm, const char *dir, int vcpu)
{
	bool in_table = false;
	char path[PATH_MAX], line[256];
	struct view *v;
	FILE *f;

	if (vcpu == WHOLE_VM)
		snprintf(path, sizeof(path), "%s/exit_stats", dir);
	else
		snprintf(path, sizeof(path), "%s/vcpu%d/exit_stats", dir, vcpu);
	f = fopen(path, "r");
	if (!f && errno == ENOENT)	/* no such vCPU, or the VM has just ended */
		return;
	if (!f)
		err(1, "%s", path);

	v = get_view(s, vm, vcpu);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strstr(line, "cycles/exit")) {
			ledger = strstr(line, "user_cycles");
			in_table = true;
		} else if (in_table && !strstr(line, "total ")) {
			parse_row(line, v);
		} else if (!in_table) {
			parse_state(line, v);
		}
	}
	fclose(f);
}

static void read_vm(struct sample *s, const struct vm *vm, const char *dir)
{
	struct dirent *entry;
	int vcpu;
	DIR *d;

	if (opt.vcpu != EACH_VCPU) {
		read_table(s, vm, dir, opt.vcpu);
		return;
	}

	d = opendir(dir);
	if (!d)
		return;
	while ((entry = readdir(d))) {
		if (sscanf(entry->d_name, "vcpu%d", &vcpu) == 1)
			read_table(s, vm, dir, vcpu);
	}
	closedir(d);
}

static int compare_views(const void *a, const void *b)
{
	const struct view *va = a, *vb = b;

	return va->pid != vb->pid ? va->pid - vb->pid : va->vcpu - vb->vcpu;
}

static const char *way_out(int error)
{
	switch (error) {
	case EACCES:
		return " (on the host this needs root; QEMU's query-stats does not)";
	case ENOENT:
		return " (is debugfs mounted?)";
	default:
		return "";
	}
}

void host_read(struct sample *s)
{
	DIR *d = opendir(DEBUGFS_KVM);
	struct dirent *entry;
	char dir[PATH_MAX];
	struct vm vm;
	int fd;

	if (!d)
		errx(1, DEBUGFS_KVM ": %s%s", strerror(errno), way_out(errno));

	s->nr_views = 0;
	while ((entry = readdir(d))) {
		if (sscanf(entry->d_name, "%d-%d", &vm.pid, &fd) != 2)
			continue;
		get_name(&vm);
		if (!is_wanted(&vm))
			continue;
		snprintf(dir, sizeof(dir), "%s/%s", DEBUGFS_KVM, entry->d_name);
		read_vm(s, &vm, dir);
	}
	closedir(d);
	if (s->nr_views)
		qsort(s->views, s->nr_views, sizeof(*s->views), compare_views);
}
