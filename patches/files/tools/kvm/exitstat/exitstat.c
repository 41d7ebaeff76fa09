// SPDX-License-Identifier: GPL-2.0-only
/*
 * exitstat - show the VM-Exits of a virtual machine, and their cycles
 *
 * Runs in a guest, which learns its own exits by CPUID, or on the host.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exitstat.h"

static const char usage[] =
	"Usage: exitstat [OPTION]... [INTERVAL [COUNT]]\n"
	"       exitstat [OPTION]... -- COMMAND [ARGUMENT]...\n"
	"Show the VM-Exits of a virtual machine and the cycles that KVM took for them:\n"
	"since the VM was created, every INTERVAL seconds, or while COMMAND runs.\n"
	"\n"
	"In a guest of a host whose KVM counts them, show the guest's own; on the host,\n"
	"as root, those of all VMs.\n"
	"\n"
	"  -s KEY         sort by time (default), exits, avg or reason\n"
	"  -t             redraw in place, like top\n"
	"  -c N           vCPU N only; in a guest, run there\n"
	"  -A             a column for every vCPU\n"
	"  -r LIST        only these reasons: numbers or names, separated by commas\n"
	"  -a             zeros, too\n"
	"  -l             list the reasons: defined, enabled, seen\n"
	"  -p PID         on the host: the VM of this process\n"
	"  -g NAME        on the host: the VMs of this name, which may be a pattern\n"
	"      --json     an object for every sample, in a line\n"
	"      --csv      a line for every reason\n"
	"      --openmetrics  for Prometheus\n"
	"  -h, --help\n"
	"      --version\n"
	"\n"
	"Exit status: 0, 1 if anything fails, 2 if the host's KVM does not count exits;\n"
	"with COMMAND, that of COMMAND.\n";

#define CPUID_FEATURES		1
#define CPUID_HYPERVISOR	0x80000000	/* in ECX */

struct options opt = {
	.vcpu = WHOLE_VM,
};

__u32 tsc_khz;
bool ledger;

const char * const state_names[NR_STATES] = {
	[STATE_GUEST] = "guest",
	[STATE_KVM] = "kvm",
	[STATE_VMM] = "vmm",
	[STATE_HALTED] = "halted",
	[STATE_PREEMPTED] = "preempted",
	[STATE_BLOCKED] = "blocked",
	[STATE_OUTSIDE] = "outside",
};

static bool guest;
static double interval;
static unsigned long count;
static const char *wanted;

/* The cycles of one of our own CPUIDs, as measured. */
static double read_cost;
#define NR_CALIBRATIONS	5

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

struct view *find_view(const struct sample *s, int pid, int vcpu)
{
	int i;

	for (i = 0; i < s->nr_views; i++) {
		if (s->views[i].pid == pid && s->views[i].vcpu == vcpu)
			return &s->views[i];
	}
	return NULL;
}

struct view *add_view(struct sample *s, int pid, int vcpu, const char *vm)
{
	struct view *v;

	if (s->nr_views == s->max_views) {
		s->max_views = s->max_views ? 2 * s->max_views : 4;
		s->views = realloc(s->views, s->max_views * sizeof(*v));
		if (!s->views)
			err(1, NULL);
	}

	v = &s->views[s->nr_views++];
	memset(v, 0, sizeof(*v));
	v->pid = pid;
	v->vcpu = vcpu;
	snprintf(v->vm, sizeof(v->vm), "%s", vm);
	return v;
}

static void read_sample(struct sample *s)
{
	s->time = now(CLOCK_REALTIME);
	s->uptime = now(CLOCK_MONOTONIC);
	s->seconds = 0;
	if (guest)
		guest_read(s);
	else
		host_read(s);
}

/* In a guest: keep what is known of a CPU that is offline, it may come back. */
static void keep_views(const struct sample *old, struct sample *new)
{
	const struct view *o;
	struct view *v;
	int i;

	if (!new->nr_views)
		new->session = old->session;

	for (i = 0; i < old->nr_views; i++) {
		o = &old->views[i];
		if (find_view(new, o->pid, o->vcpu))
			continue;
		v = add_view(new, o->pid, o->vcpu, o->vm);
		*v = *o;
		v->old = true;
	}
}

static void take_out_own(struct sample *diff, struct view *v, __u64 reads)
{
	struct counts *c = &v->counts[cpuid_reason];
	__u64 cycles = reads * read_cost;

	/* Where nobody else executed CPUID, all cycles are ours. */
	if (reads >= c->exits) {
		reads = c->exits;
		cycles = c->cycles;
	}
	if (cycles > c->cycles)
		cycles = c->cycles;
	c->exits -= reads;
	c->cycles -= cycles;
	if (cycles < v->states[STATE_KVM].cycles)
		v->states[STATE_KVM].cycles -= cycles;
	diff->own.exits += reads;
	diff->own.cycles += cycles;
}

/* The guest's time is a difference, and may seem to go back a bit. */
static void subtract_state(struct state_counts *s, const struct state_counts *old)
{
	s->times -= old->times;
	s->cycles = s->cycles > old->cycles ? s->cycles - old->cycles : 0;
}

/* Return false if the counters started anew in between. */
static bool subtract(const struct sample *old, const struct sample *new, struct sample *diff)
{
	const struct view *v, *o;
	struct view *d;
	int i, j;

	if (old->session != new->session)
		return false;

	diff->nr_views = 0;
	diff->time = new->time;
	diff->seconds = new->uptime - old->uptime;
	diff->session = new->session;
	diff->own = (struct counts){ 0 };

	for (i = 0; i < new->nr_views; i++) {
		v = &new->views[i];
		o = find_view(old, v->pid, v->vcpu);
		/* A new VM started from zero, a CPU that comes online did not. */
		if (v->old || (guest && !o))
			continue;

		d = add_view(diff, v->pid, v->vcpu, v->vm);
		for (j = 0; j < nr_reasons; j++) {
			d->counts[j] = v->counts[j];
			if (!o)
				continue;
			/* Modulo 2^64, i.e. a counter may wrap around. */
			d->counts[j].exits -= o->counts[j].exits;
			d->counts[j].cycles -= o->counts[j].cycles;
			if ((__s64)d->counts[j].exits < 0 || (__s64)d->counts[j].cycles < 0)
				return false;
			d->counts[j].user_exits -= o->counts[j].user_exits;
			d->counts[j].user_cycles -= o->counts[j].user_cycles;
		}
		memcpy(d->states, v->states, sizeof(d->states));
		for (j = STATE_GUEST; o && j < NR_STATES; j++)
			subtract_state(&d->states[j], &o->states[j]);
		if (guest && cpuid_reason >= 0)
			take_out_own(diff, d, v->reads - (o ? o->reads : 0));
	}
	return true;
}

/*
 * Read repeatedly with nothing in between.  How many of our CPUIDs there were is
 * known; the least that one cost on average is what others didn't disturb.
 */
static void calibrate(void)
{
	static struct sample samples[2], diff;
	struct sample *old = &samples[0], *new = &samples[1], *tmp;
	struct counts sum;
	double cost;
	int i, n;

	if (!guest || cpuid_reason < 0)
		return;

	read_sample(old);
	for (n = 0; n < NR_CALIBRATIONS; n++) {
		read_sample(new);
		if (subtract(old, new, &diff)) {
			sum = diff.own;
			for (i = 0; i < diff.nr_views; i++) {
				sum.exits += diff.views[i].counts[cpuid_reason].exits;
				sum.cycles += diff.views[i].counts[cpuid_reason].cycles;
			}
			cost = sum.exits ? (double)sum.cycles / sum.exits : 0;
			if (!n || cost < read_cost)
				read_cost = cost;
		}
		tmp = old;
		old = new;
		new = tmp;
	}
}

static void flush_output(void)
{
	if (fflush(opt.out) || ferror(opt.out))
		err(1, "cannot write");
}

static void say_restarted(const struct sample *old, const struct sample *new)
{
	if (old->session != new->session)
		warnx("counters restarted: session %#x is now %#x", old->session, new->session);
	else
		warnx("counters restarted");
}

static void check_views(const struct sample *s)
{
	if (s->nr_views || !(guest || opt.pid || opt.guest || opt.vcpu >= 0))
		return;
	if (guest)
		errx(1, "CPU %d is not online, or this process may not run there", opt.vcpu);
	errx(1, "there is no such VM%s", opt.vcpu >= 0 ? ", or vCPU" : "");
}

static void read_first_sample(struct sample *s)
{
	read_sample(s);
	check_views(s);
}

static void show_once(bool list)
{
	static struct sample s;

	read_first_sample(&s);
	if (list)
		output_list(&s);
	else
		output_sample(&s);
	flush_output();
}

/* Sleep until @deadline; return the signal that asks to end, if any. */
static int sleep_until(double deadline, const sigset_t *signals)
{
	double left = deadline - now(CLOCK_MONOTONIC);
	struct timespec t = { 0 };
	int sig;

	if (left > 0) {
		t.tv_sec = left;
		t.tv_nsec = (left - t.tv_sec) * 1e9;
	}
	sig = sigtimedwait(signals, NULL, &t);
	return sig > 0 ? sig : 0;
}

/* Signals end it between two samples, never in the middle of an output. */
static int show_intervals(void)
{
	static struct sample samples[2], diff;
	struct sample *old = &samples[0], *new = &samples[1], *tmp;
	unsigned long n;
	double deadline;
	sigset_t signals;
	int sig;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	calibrate();
	read_first_sample(old);
	deadline = old->uptime;
	for (n = 0; !count || n < count; n++) {
		deadline += interval;
		sig = sleep_until(deadline, &signals);
		if (sig) {
			signal(sig, SIG_DFL);
			raise(sig);
			sigprocmask(SIG_UNBLOCK, &signals, NULL);
		}

		read_sample(new);
		if (opt.pid && !new->nr_views) {
			warnx("the VM of process %d has ended", opt.pid);
			break;
		}
		if (guest)
			keep_views(old, new);
		if (!subtract(old, new, &diff)) {
			say_restarted(old, new);
		} else if (guest && !diff.nr_views) {
			warnx("CPU %d is offline", opt.vcpu);
		} else {
			output_sample(&diff);
			flush_output();
		}

		tmp = old;
		old = new;
		new = tmp;
	}
	return 0;
}

/* The child waits until it may run COMMAND, and tells why it can't. */
static void run_command(int sock)
{
	char go;
	int error;

	if (read(sock, &go, 1) != 1)
		_exit(1);
	execvp(opt.command[0], opt.command);
	error = errno;
	if (write(sock, &error, sizeof(error)) < 0)
		_exit(1);
	_exit(0);
}

static int show_command(void)
{
	static struct sample before, after, diff;
	int sock[2], status, error;
	pid_t child;

	if (guest && opt.vcpu >= 0 && !pin_to_cpu(opt.vcpu))
		check_views(&before);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		err(1, "socketpair");
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (!child) {
		close(sock[0]);
		run_command(sock[1]);
	}
	close(sock[1]);

	/* What the terminal sends is for COMMAND; then its cost is shown. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);

	calibrate();
	read_first_sample(&before);
	if (write(sock[0], "", 1) != 1)
		err(1, "cannot start %s", opt.command[0]);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			err(1, "waitpid");
	}
	read_sample(&after);

	if (read(sock[0], &error, sizeof(error)) == sizeof(error)) {
		errno = error;
		err(error == ENOENT ? 127 : 126, "%s", opt.command[0]);
	}

	if (guest)
		keep_views(&before, &after);
	if (subtract(&before, &after, &diff))
		output_sample(&diff);
	else
		say_restarted(&before, &after);
	flush_output();
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void want_reason(const char *item)
{
	long long number;
	char *end;
	int i;

	/* Negative exit codes may be written as such. */
	number = strtoll(item, &end, 0);
	for (i = 0; i < nr_reasons; i++) {
		const struct reason *r = &reasons[i];

		if (*end ? r->name && !strcasecmp(r->name, item) :
			   !r->other && r->number == (__u32)number)
			break;
	}
	if (i == nr_reasons)
		errx(1, "-r: there is no exit reason '%s' (see -l)", item);
	opt.wanted[i] = true;
}

static void want_reasons(void)
{
	char *list, *item;

	if (!wanted) {
		memset(opt.wanted, true, sizeof(opt.wanted));
		return;
	}
	list = strdup(wanted);
	if (!list)
		err(1, NULL);
	item = strtok(list, ",");
	if (!item)
		errx(1, "-r: there is no exit reason in '%s'", wanted);
	for (; item; item = strtok(NULL, ","))
		want_reason(item);
	free(list);
}

static unsigned long parse_number(const char *text, const char *what, unsigned long max)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || number > max)
		errx(1, "%s: '%s' is not a number up to %lu", what, text, max);
	return number;
}

static enum sort parse_sort(const char *key)
{
	static const char * const keys[] = { "time", "exits", "avg", "reason" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!strcmp(key, keys[i]))
			return i;
	}
	errx(1, "-s: '%s' is none of time, exits, avg, reason", key);
}

static void parse_interval(char **argv, int nr)
{
	char *end;

	if (nr > 2)
		errx(1, "'%s' is too much (a COMMAND comes after --)", argv[2]);
	if (nr > 0) {
		interval = strtod(argv[0], &end);
		if (*end || end == argv[0] || !(interval >= 0.001 && interval <= 1e8))
			errx(1, "'%s' is not an interval in seconds (a COMMAND comes after --)",
			     argv[0]);
	}
	if (nr > 1) {
		count = parse_number(argv[1], "COUNT", LONG_MAX);
		if (!count)
			errx(1, "COUNT must not be 0");
	}
}

/* Return whether to list the reasons. */
static bool parse_options(int argc, char **argv)
{
	enum { OPT_HELP = 256, OPT_VERSION, OPT_JSON, OPT_CSV, OPT_OPENMETRICS };
	static const struct option options[] = {
		{ "help", no_argument, NULL, OPT_HELP },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "csv", no_argument, NULL, OPT_CSV },
		{ "openmetrics", no_argument, NULL, OPT_OPENMETRICS },
		{ NULL, 0, NULL, 0 }
	};
	bool list = false, sorted = false;
	int c, i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--")) {
			opt.command = argv + i + 1;
			if (!*opt.command)
				errx(1, "there is no COMMAND after --");
			argc = i;
		}
	}

	while ((c = getopt_long(argc, argv, "s:tc:Ar:alp:g:h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.sort = parse_sort(optarg);
			sorted = true;
			break;
		case 't':
			opt.top = true;
			break;
		case 'c':
			opt.vcpu = parse_number(optarg, "-c", CPU_SETSIZE - 1);
			break;
		case 'A':
			opt.vcpu = EACH_VCPU;
			break;
		case 'r':
			wanted = optarg;
			break;
		case 'a':
			opt.zeros = true;
			break;
		case 'l':
			list = true;
			break;
		case 'p':
			opt.pid = parse_number(optarg, "-p", INT_MAX);
			if (!opt.pid)
				errx(1, "-p: 0 is no process");
			break;
		case 'g':
			opt.guest = optarg;
			break;
		case OPT_JSON:
			opt.format = FORMAT_JSON;
			break;
		case OPT_CSV:
			opt.format = FORMAT_CSV;
			break;
		case OPT_OPENMETRICS:
			opt.format = FORMAT_OPENMETRICS;
			break;
		case 'h':
		case OPT_HELP:
			fputs(usage, stdout);
			flush_output();
			exit(0);
		case OPT_VERSION:
			puts("exitstat (" EXITSTAT_VERSION ")");
			flush_output();
			exit(0);
		default:
			exit(1);	/* getopt has said why */
		}
	}

	if (opt.vcpu == EACH_VCPU && !sorted)
		opt.sort = SORT_EXITS;
	parse_interval(argv + optind, argc - optind);
	if (opt.command && (interval || opt.top))
		errx(1, "COMMAND takes neither -t nor an INTERVAL");
	if (opt.top && !interval)
		interval = 1;
	if (opt.top && (opt.format || !isatty(STDOUT_FILENO)))
		errx(1, "-t needs a terminal and no other format");
	if (opt.format == FORMAT_OPENMETRICS && (opt.command || interval))
		errx(1, "--openmetrics shows counters, not differences");
	if (list && (opt.command || interval || opt.format != FORMAT_TABLE))
		errx(1, "-l takes no other format, no INTERVAL and no COMMAND");
	return list;
}

static const char *why_nothing(void)
{
	if (opt.pid || opt.guest)
		return "KVM is not loaded here, or does not count VM-Exits";
	if (cpuid(CPUID_FEATURES, 0).ecx & CPUID_HYPERVISOR)
		return "the host of this VM does not count VM-Exits (no CPUID leaf 0x4ffffffb)";
	return "this is no VM, and its KVM does not count VM-Exits or is not loaded";
}

int main(int argc, char **argv)
{
	bool list;

	opt.out = stdout;
	list = parse_options(argc, argv);

	guest = !opt.pid && !opt.guest && guest_probe();
	if (guest)
		guest_init();
	else if (host_probe())
		host_init();
	else
		errx(2, "%s", why_nothing());
	want_reasons();

	if (opt.command) {
		opt.out = stderr;
		return show_command();
	}
	if (interval)
		return show_intervals();
	show_once(list);
	return 0;
}
