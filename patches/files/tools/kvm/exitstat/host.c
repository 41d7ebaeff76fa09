// SPDX-License-Identifier: GPL-2.0-only
/*
 * On the host: read KVM's statistics of its VMs, from debugfs or, where that
 * can't be had, from KVM's binary statistics, by QEMU's QMP.
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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "exitstat.h"

#define DEBUGFS_KVM	"/sys/kernel/debug/kvm"
#define PARAMETER	"/sys/module/kvm/parameters/exit_stats"
#define QMP_TIMEOUT	2	/* seconds */
#define QUERY_STATS	"{\"execute\": \"query-stats\", \"arguments\": {\"target\": \"vcpu\"}}\n"

#define CPUID_SVM_LEAF	0x80000001
#define CPUID_SVM_ECX	0x4

/* Slots of KVM's arrays, see exit-stats.rst; the last one is "other". */
#define VMX_SLOTS	80
#define SVM_SLOTS_LOW	0xa7
#define SVM_NPF		0x400
#define SVM_VMGEXIT	0x403
#define SVM_NEGATIVE	4

struct vm {
	int pid;
	char name[64];
	char qmp[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

bool host_probe(void)
{
	return !access(PARAMETER, F_OK);
}

void host_init(void)
{
	FILE *f = fopen(PARAMETER, "r");
	__u32 number;

	if (f && getc(f) == 'N')
		warnx("KVM's exit_stats is off: the numbers stand still");
	if (f)
		fclose(f);

	tsc_khz = measure_tsc_khz();
	svm = cpuid(CPUID_SVM_LEAF, 0).ecx & CPUID_SVM_ECX;

	for (number = 0; number < (svm ? SVM_SLOTS_LOW : VMX_SLOTS); number++)
		add_reason(number);
	for (number = SVM_NPF; svm && number <= SVM_VMGEXIT; number++)
		add_reason(number);
	for (number = -SVM_NEGATIVE; svm && number; number++)
		add_reason(number);
	reasons[nr_reasons++] = (struct reason){ .name = "OTHER", .other = true };
}

/* Two VMs of one process count as one. */
static struct view *get_view(struct sample *s, const struct vm *vm, int vcpu)
{
	struct view *v = find_view(s, vm->pid, vcpu);

	return v ? v : add_view(s, vm->pid, vcpu, vm->name);
}

/*
 * Get an item of a QEMU option, "KEY=VALUE,...", in which ",," is a comma.  The
 * first item may lack its key.
 */
static bool get_item(const char *option, const char *key, bool implied,
		     char *buf, size_t size)
{
	size_t n, len = strlen(key);

	while (*option) {
		for (n = 0; *option; option++) {
			if (*option == ',' && *++option != ',')
				break;
			if (n < size - 1)
				buf[n++] = *option;
		}
		buf[n] = '\0';

		if (!strncmp(buf, key, len) && buf[len] == '=') {
			memmove(buf, buf + len + 1, n - len);
			return true;
		}
		if (implied && !strchr(buf, '='))
			return true;
		implied = false;
	}
	return false;
}

/* Get a VM's name and its QMP socket from QEMU's command line. */
static void parse_qemu(struct vm *vm)
{
	static char line[1 << 16];
	char path[32], buf[sizeof(vm->qmp)], monitor[sizeof(buf)] = "";
	const char *option, *arg, *end;
	ssize_t size;
	int fd, pass;

	vm->name[0] = '\0';
	vm->qmp[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cmdline", vm->pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	size = read(fd, line, sizeof(line) - 1);
	close(fd);
	end = line + (size > 0 ? size : 0);
	line[end - line] = '\0';

	/* The monitor may come after its socket. */
	for (pass = 0; pass < 2; pass++) {
		for (option = line; option < end; option = arg) {
			arg = option + strlen(option) + 1;
			if (arg >= end || *option != '-')
				continue;
			option += option[1] == '-' ? 2 : 1;

			if (!strcmp(option, "name")) {
				get_item(arg, "guest", true, vm->name, sizeof(vm->name));
			} else if (!strcmp(option, "qmp") &&
				   get_item(arg, "", true, buf, sizeof(buf)) &&
				   !strncmp(buf, "unix:", 5)) {
				snprintf(vm->qmp, sizeof(vm->qmp), "%s", buf + 5);
			} else if (!strcmp(option, "mon") &&
				   get_item(arg, "mode", false, buf, sizeof(buf)) &&
				   !strcmp(buf, "control")) {
				get_item(arg, "chardev", true, monitor, sizeof(monitor));
			} else if (pass && !strcmp(option, "chardev") &&
				   !strncmp(arg, "socket,", 7) &&
				   get_item(arg, "id", false, buf, sizeof(buf)) &&
				   !strcmp(buf, monitor)) {
				get_item(arg, "path", false, vm->qmp, sizeof(vm->qmp));
			}
		}
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

static int slot_of_reason(__u32 number)
{
	int i;

	for (i = 0; i < nr_reasons - 1; i++) {
		if (reasons[i].number == number)
			break;
	}
	return i;
}

/* Rows are: reason, name, which may hold blanks, exits, cycles, average. */
static void parse_row(char *line, struct view *v)
{
	struct counts c, *slot;
	__u32 number;
	char *end;

	cut_number(line);
	c.cycles = cut_number(line);
	c.exits = cut_number(line);

	number = strtoul(line, &end, 0);
	slot = &v->counts[end == line ? nr_reasons - 1 : slot_of_reason(number)];
	slot->exits += c.exits;
	slot->cycles += c.cycles;
}

static int read_table(struct sample *s, const struct vm *vm, const char *dir, int vcpu)
{
	char path[PATH_MAX], line[256];
	struct view *v;
	FILE *f;

	if (vcpu == WHOLE_VM)
		snprintf(path, sizeof(path), "%s/exit_stats", dir);
	else
		snprintf(path, sizeof(path), "%s/vcpu%d/exit_stats", dir, vcpu);
	f = fopen(path, "r");
	if (!f)
		return -errno;

	v = get_view(s, vm, vcpu);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strstr(line, "cycles/exit") && !strstr(line, "total "))
			parse_row(line, v);
	}
	fclose(f);
	return 0;
}

static int read_debugfs(struct sample *s, const struct vm *vm, const char *dir)
{
	struct dirent *entry;
	int vcpu, ret = 0;
	DIR *d;

	if (opt.vcpu != EACH_VCPU)
		return read_table(s, vm, dir, opt.vcpu);

	d = opendir(dir);
	if (!d)
		return -errno;
	while (!ret && (entry = readdir(d))) {
		if (sscanf(entry->d_name, "vcpu%d", &vcpu) == 1)
			ret = read_table(s, vm, dir, vcpu);
	}
	closedir(d);
	return ret;
}

/*
 * As much JSON as QMP's answers need: a value is a pointer into the text, NULL
 * if there is none.
 */
static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
	}
	return *p ? p + 1 : p;
}

static const char *json_next(const char *p)
{
	int depth = 0;

	for (;;) {
		switch (*p) {
		case '"':
			p = skip_string(p);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (!depth--)
				return NULL;
			break;
		case ',':
			if (!depth)
				return skip_space(p + 1);
			break;
		case '\0':
			return NULL;
		}
		p++;
	}
}

static const char *json_first(const char *p)
{
	if (!p || (*p != '{' && *p != '['))
		return NULL;
	p = skip_space(p + 1);
	return *p == '}' || *p == ']' ? NULL : p;
}

static bool json_is(const char *p, const char *string)
{
	size_t len = strlen(string);

	return p && *p == '"' && !strncmp(p + 1, string, len) && p[len + 1] == '"';
}

static const char *json_member(const char *object, const char *key)
{
	const char *p;

	for (p = json_first(object); p; p = json_next(p)) {
		if (json_is(p, key)) {
			p = skip_space(skip_string(p));
			return *p == ':' ? skip_space(p + 1) : NULL;
		}
	}
	return NULL;
}

static bool json_same(const char *a, const char *b)
{
	return a && b && *a == '"' && !strncmp(a, b, skip_string(a) - a);
}

struct answer {
	char *line;
	size_t size;
};

/* Read the answer to a command, or the greeting; events come in between. */
static const char *qmp_answer(FILE *f, struct answer *a, const char *key)
{
	const char *value;

	while (getline(&a->line, &a->size, f) > 0) {
		value = json_member(skip_space(a->line), key);
		if (value)
			return value;
		if (json_member(skip_space(a->line), "error"))
			break;
	}
	return NULL;
}

static const char *qmp_execute(FILE *f, struct answer *a, const char *command)
{
	if (send(fileno(f), command, strlen(command), MSG_NOSIGNAL) < 0)
		return NULL;
	return qmp_answer(f, a, "return");
}

static FILE *qmp_connect(const struct vm *vm)
{
	const struct timeval timeout = { .tv_sec = QMP_TIMEOUT };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, len;
	FILE *f;

	if (vm->qmp[0] == '/')
		len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", vm->qmp);
	else
		len = snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/%d/cwd/%s",
			       vm->pid, vm->qmp);
	if (len >= (int)sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return NULL;
	}
	f = fdopen(fd, "r");
	if (!f)
		err(1, "QMP");
	return f;
}

/*
 * QEMU lists the elements of an array from the last to the first.  Should that
 * change, CPUID tells: there is no VM without it, and the slot at its place in
 * the other order is of no use on either vendor's CPUs.
 */
static void add_array(struct view *v, const char *array, bool cycles)
{
	static __u64 values[MAX_REASONS];
	int i, slot, nr = 0, other = nr_reasons - 1;
	const char *p;
	bool reversed;

	for (p = json_first(array); p && nr < MAX_REASONS; p = json_next(p))
		values[nr++] = strtoull(p, NULL, 10);
	reversed = nr > cpuid_reason && !values[cpuid_reason];

	for (i = 0; i < nr; i++) {
		slot = reversed ? nr - 1 - i : i;
		if (slot == nr - 1 || slot > other)
			slot = other;
		if (cycles)
			v->counts[slot].cycles += values[i];
		else
			v->counts[slot].exits += values[i];
	}
}

static int vcpu_of_path(const char *cpus, const char *path)
{
	const char *cpu, *index;

	for (cpu = json_first(cpus); cpu; cpu = json_next(cpu)) {
		index = json_member(cpu, "cpu-index");
		if (index && json_same(path, json_member(cpu, "qom-path")))
			return atoi(index);
	}
	return -1;
}

static const char *read_qmp(struct sample *s, const struct vm *vm)
{
	static struct answer greeting, cpus, stats;
	const char *cpu, *stat, *array, *cpu_list = NULL, *stat_list = NULL;
	int vcpu = WHOLE_VM;
	struct view *v;
	FILE *f;

	f = qmp_connect(vm);
	if (!f)
		return strerror(errno);

	if (!qmp_answer(f, &greeting, "QMP")) {
		fclose(f);
		return "no answer, another client may be connected";
	}
	if (qmp_execute(f, &greeting, "{\"execute\": \"qmp_capabilities\"}\n")) {
		cpu_list = qmp_execute(f, &cpus, "{\"execute\": \"query-cpus-fast\"}\n");
		stat_list = qmp_execute(f, &stats, QUERY_STATS);
	}
	fclose(f);
	if (!cpu_list || !json_first(stat_list))
		return "QEMU does not answer query-stats";

	for (cpu = json_first(stat_list); cpu; cpu = json_next(cpu)) {
		if (opt.vcpu != WHOLE_VM)
			vcpu = vcpu_of_path(cpu_list, json_member(cpu, "qom-path"));
		if (opt.vcpu >= 0 && opt.vcpu != vcpu)
			continue;

		v = get_view(s, vm, vcpu);
		for (stat = json_first(json_member(cpu, "stats")); stat; stat = json_next(stat)) {
			array = json_member(stat, "value");
			if (json_is(json_member(stat, "name"), "exit_counts"))
				add_array(v, array, false);
			else if (json_is(json_member(stat, "name"), "exit_cycles"))
				add_array(v, array, true);
		}
	}
	return NULL;
}

static void read_vm(struct sample *s, const struct vm *vm, const char *dir)
{
	int ret = dir ? read_debugfs(s, vm, dir) : -ENOENT;
	const char *why;

	if (!ret || (dir && ret == -ENOENT))	/* read, or it has just ended */
		return;

	why = vm->qmp[0] ? read_qmp(s, vm) : strerror(-ret);
	if (why) {
		warnx("VM of process %d: %s", vm->pid, why);
		get_view(s, vm, opt.vcpu == EACH_VCPU ? WHOLE_VM : opt.vcpu)->state = VIEW_UNKNOWN;
	}
}

static int compare_views(const void *a, const void *b)
{
	const struct view *va = a, *vb = b;

	return va->pid != vb->pid ? va->pid - vb->pid : va->vcpu - vb->vcpu;
}

void host_read(struct sample *s)
{
	DIR *debugfs = opendir(DEBUGFS_KVM), *d = debugfs;
	int error = errno, sockets = 0;
	struct dirent *entry;
	char dir[PATH_MAX];
	struct vm vm;
	int fd;

	s->nr_views = 0;
	if (!d)
		d = opendir("/proc");
	if (!d)
		err(1, "/proc");

	while ((entry = readdir(d))) {
		if (debugfs ? sscanf(entry->d_name, "%d-%d", &vm.pid, &fd) != 2 :
			      sscanf(entry->d_name, "%d", &vm.pid) != 1)
			continue;
		parse_qemu(&vm);
		sockets += !!vm.qmp[0];
		if (!is_wanted(&vm) || (!debugfs && !vm.qmp[0]))
			continue;

		snprintf(dir, sizeof(dir), "%s/%s", DEBUGFS_KVM, entry->d_name);
		read_vm(s, &vm, debugfs ? dir : NULL);
	}
	closedir(d);
	if (s->nr_views)
		qsort(s->views, s->nr_views, sizeof(*s->views), compare_views);

	if (!debugfs && !sockets)
		errx(1, DEBUGFS_KVM ": %s, and no QEMU with a QMP socket", strerror(error));
}
