// SPDX-License-Identifier: GPL-2.0-only
/*
 * How exitstat prints what it has read.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "exitstat.h"

static struct counts sums[MAX_REASONS];	/* of all views */
static struct counts total;		/* of all reasons */
static struct state_counts states[NR_STATES];	/* of all views */
static __u64 wall;			/* cycles of all states */
static int rows[MAX_REASONS];		/* reasons to show, in order */
static int nr_rows;

static double ratio(double a, double b)
{
	return b ? a / b : 0;
}

static __u64 nanoseconds(__u64 cycles)
{
	if (!tsc_khz)
		return 0;
	return cycles / tsc_khz * 1000000 + cycles % tsc_khz * 1000000 / tsc_khz;
}

static double sort_key(int reason)
{
	const struct counts *c = &sums[reason];

	switch (opt.sort) {
	case SORT_TIME:
		return c->cycles;
	case SORT_EXITS:
		return c->exits;
	case SORT_AVG:
		return ratio(c->cycles, c->exits);
	default:
		return 0;
	}
}

static int compare_reasons(const struct reason *a, const struct reason *b)
{
	if (a->other != b->other)
		return a->other - b->other;
	return a->number < b->number ? -1 : a->number > b->number;
}

static int compare_rows(const void *a, const void *b)
{
	int ra = *(const int *)a, rb = *(const int *)b;
	double ka = sort_key(ra), kb = sort_key(rb);

	return ka < kb ? 1 : ka > kb ? -1 : compare_reasons(&reasons[ra], &reasons[rb]);
}

static bool is_shown(const struct counts *c, int reason)
{
	if (!opt.wanted[reason])
		return false;
	return c->exits || c->cycles || (opt.zeros && !reasons[reason].other);
}

static void add_counts(struct counts *sum, const struct counts *c)
{
	sum->exits += c->exits;
	sum->cycles += c->cycles;
	sum->user_exits += c->user_exits;
	sum->user_cycles += c->user_cycles;
}

static void make_rows(const struct sample *s)
{
	const struct counts *c;
	int i, j;

	memset(sums, 0, sizeof(sums));
	memset(states, 0, sizeof(states));
	total = (struct counts){ 0 };
	wall = 0;
	for (i = 0; i < s->nr_views; i++) {
		for (j = 0; j < nr_reasons; j++) {
			c = &s->views[i].counts[j];
			add_counts(&sums[j], c);
			add_counts(&total, c);
		}
		for (j = STATE_GUEST; j < NR_STATES; j++) {
			states[j].times += s->views[i].states[j].times;
			states[j].cycles += s->views[i].states[j].cycles;
			wall += s->views[i].states[j].cycles;
		}
	}

	nr_rows = 0;
	for (j = 0; j < nr_reasons; j++) {
		if (is_shown(&sums[j], j))
			rows[nr_rows++] = j;
	}
	qsort(rows, nr_rows, sizeof(rows[0]), compare_rows);
}

/* Widths that fit the longest number and name shown so far. */
static int number_width = sizeof("reason") - 1, name_width = sizeof("name") - 1;

static void measure_names(void)
{
	int i, len;

	for (i = 0; i < nr_rows; i++) {
		len = strlen(reason_number(&reasons[rows[i]]));
		if (len > number_width)
			number_width = len;
		len = strlen(reason_name(&reasons[rows[i]]));
		if (len > name_width)
			name_width = len;
	}
}

static void put_name(const char *number, const char *name)
{
	fprintf(opt.out, "%*s  %-*s", number_width, number, name_width, name);
}

static void put_average(int width, __u64 sum, __u64 nr)
{
	if (nr)
		fprintf(opt.out, " %*.0f", width, (double)sum / nr);
	else
		fprintf(opt.out, " %*s", width, "-");
}

/* In a guest only the VM knows what userspace completed. */
static bool has_user(void)
{
	return ledger && opt.vcpu == WHOLE_VM;
}

static void put_counts_and_user(const struct counts *c)
{
	fprintf(opt.out, " %10llu %6.2f %14llu %7.2f", c->exits,
		ratio(c->exits, total.exits) * 100, c->cycles,
		ratio(c->cycles, total.cycles) * 100);
	put_average(9, nanoseconds(c->cycles), tsc_khz ? c->exits : 0);
	fprintf(opt.out, " %10llu", c->user_exits);
	put_average(9, nanoseconds(c->user_cycles), tsc_khz ? c->user_exits : 0);
}

static void put_counts(const struct counts *c)
{
	if (has_user()) {
		put_counts_and_user(c);
		return;
	}
	fprintf(opt.out, " %12llu %6.2f %16llu %7.2f", c->exits,
		ratio(c->exits, total.exits) * 100, c->cycles,
		ratio(c->cycles, total.cycles) * 100);
	put_average(11, c->cycles, c->exits);
	put_average(9, nanoseconds(c->cycles), tsc_khz ? c->exits : 0);
}

/* With a column for each vCPU there is room for one number: what sorts. */
static void put_cell(const struct counts *c)
{
	if (opt.sort == SORT_AVG)
		put_average(14, c->cycles, c->exits);
	else
		fprintf(opt.out, " %14llu", opt.sort == SORT_TIME ? c->cycles : c->exits);
}

static void put_cells(const struct sample *s, int reason)
{
	struct counts c;
	int i, j;

	put_cell(reason < 0 ? &total : &sums[reason]);
	for (i = 0; i < s->nr_views; i++) {
		if (reason >= 0) {
			put_cell(&s->views[i].counts[reason]);
			continue;
		}
		c = (struct counts){ 0 };
		for (j = 0; j < nr_reasons; j++) {
			c.exits += s->views[i].counts[j].exits;
			c.cycles += s->views[i].counts[j].cycles;
		}
		put_cell(&c);
	}
}

static void put_header(const struct sample *s)
{
	char label[32];
	int i;

	put_name("reason", "name");
	if (has_user()) {
		fprintf(opt.out, " %10s %6s %14s %7s %9s %10s %9s", "exits", "exits%",
			"cycles", "cycles%", "ns/exit", "to-user", "ns/user");
		return;
	}
	if (opt.vcpu != EACH_VCPU) {
		fprintf(opt.out, " %12s %6s %16s %7s %11s %9s", "exits", "exits%",
			"cycles", "cycles%", "cycles/exit", "ns/exit");
		return;
	}

	fprintf(opt.out, " %14s", "all");
	for (i = 0; i < s->nr_views; i++) {
		const struct view *v = &s->views[i];

		if (v->pid)
			snprintf(label, sizeof(label), "%d/vcpu%d", v->pid, v->vcpu);
		else
			snprintf(label, sizeof(label), "cpu%d", v->vcpu);
		fprintf(opt.out, " %14s", label);
	}
}

static bool use_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(opt.out)) && (!no_color || !*no_color) &&
	       term && strcmp(term, "dumb");
}

static void put_time(const struct sample *s)
{
	time_t seconds = s->time;
	char text[32];

	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", localtime(&seconds));
	fprintf(opt.out, "%s, %.3f s\n", text, s->seconds);
}

static void put_state(const char *name, const char *note, __u64 cycles)
{
	fprintf(opt.out, "%-12s %6.2f%%", name, ratio(cycles, wall) * 100);
	if (tsc_khz)
		fprintf(opt.out, " %16.6f s", cycles / (tsc_khz * 1e3));
	fprintf(opt.out, "%s%s\n", *note ? "  " : "", note);
}

/* Where the time went, of all vCPUs that are shown, and then what %st doesn't show. */
static void put_ledger(void)
{
	int i;

	for (i = STATE_GUEST; i < NR_STATES; i++)
		put_state(state_names[i], "", states[i].cycles);
	put_state("hidden steal", "kvm + vmm",
		  states[STATE_KVM].cycles + states[STATE_VMM].cycles);
	fputc('\n', opt.out);
}

#define LEDGER_LINES	(NR_STATES + 1)

static void put_table(const struct sample *s)
{
	int i, max = nr_rows, other_lines = 4 + (ledger ? LEDGER_LINES : 0);
	bool color = use_color();
	struct winsize size;

	if (opt.top) {
		/* Home, clear, and let long lines end at the right border. */
		fputs("\033[H\033[J\033[?7l", opt.out);
		if (!ioctl(fileno(opt.out), TIOCGWINSZ, &size) && size.ws_row > other_lines &&
		    max > size.ws_row - other_lines)
			max = size.ws_row - other_lines;
	}

	measure_names();
	if (opt.command)
		fprintf(opt.out, "\n VM-Exits while '%s' ran:\n\n", opt.command[0]);
	else if (s->seconds)
		put_time(s);
	if (ledger)
		put_ledger();

	fputs(color ? "\033[1m" : "", opt.out);
	put_header(s);
	fputs(color ? "\033[0m\n" : "\n", opt.out);

	for (i = 0; i < max; i++) {
		put_name(reason_number(&reasons[rows[i]]), reason_name(&reasons[rows[i]]));
		if (opt.vcpu == EACH_VCPU)
			put_cells(s, rows[i]);
		else
			put_counts(&sums[rows[i]]);
		fputc('\n', opt.out);
	}

	put_name("total", "");
	if (opt.vcpu == EACH_VCPU)
		put_cells(s, -1);
	else
		put_counts(&total);
	fputc('\n', opt.out);

	if (opt.command) {
		fprintf(opt.out, "\n %.6f seconds elapsed\n", s->seconds);
		if (s->own.exits)
			fprintf(opt.out, " %llu exits (%llu cycles) of reading taken out\n",
				s->own.exits, s->own.cycles);
		fputc('\n', opt.out);
	} else if (opt.top) {
		fputs("\033[?7h", opt.out);
	} else if (s->seconds) {
		fputc('\n', opt.out);
	}
}

static void put_quoted(const char *string, bool csv)
{
	const unsigned char *c;

	fputc('"', opt.out);
	for (c = (const unsigned char *)string; *c; c++) {
		if (csv && *c == '"')
			fputs("\"\"", opt.out);
		else if (csv || (*c >= ' ' && *c != '"' && *c != '\\'))
			fputc(*c, opt.out);
		else
			fprintf(opt.out, *c < ' ' ? "\\u%04x" : "\\%c", *c);
	}
	fputc('"', opt.out);
}

static void put_json_counts(const struct counts *c)
{
	fprintf(opt.out, "\"exits\": %llu, \"cycles\": %llu, \"ns\": %llu", c->exits,
		c->cycles, nanoseconds(c->cycles));
	if (has_user())
		fprintf(opt.out, ", \"user_exits\": %llu, \"user_cycles\": %llu, \"user_ns\": %llu",
			c->user_exits, c->user_cycles, nanoseconds(c->user_cycles));
}

static void put_json_states(const struct view *v)
{
	int i;

	fputs(", \"states\": {", opt.out);
	for (i = STATE_GUEST; i < NR_STATES; i++)
		fprintf(opt.out, "%s\"%s\": {\"times\": %llu, \"cycles\": %llu, \"ns\": %llu}",
			i == STATE_GUEST ? "" : ", ", state_names[i], v->states[i].times,
			v->states[i].cycles, nanoseconds(v->states[i].cycles));
	fputc('}', opt.out);
}

static void put_json_view(const struct view *v)
{
	struct counts all = { 0 };
	const char *comma = "";
	int i;

	for (i = 0; i < nr_reasons; i++)
		add_counts(&all, &v->counts[i]);

	fputc('{', opt.out);
	if (v->pid) {
		fprintf(opt.out, "\"pid\": %d, \"vm\": ", v->pid);
		put_quoted(v->vm, false);
		fputs(", ", opt.out);
	}
	if (v->vcpu >= 0)
		fprintf(opt.out, "\"vcpu\": %d, ", v->vcpu);
	put_json_counts(&all);
	if (ledger)
		put_json_states(v);
	fputs(", \"reasons\": [", opt.out);
	for (i = 0; i < nr_rows; i++) {
		const struct reason *r = &reasons[rows[i]];

		if (!is_shown(&v->counts[rows[i]], rows[i]))
			continue;
		fprintf(opt.out, "%s{\"reason\": ", comma);
		fprintf(opt.out, r->other ? "null" : "%u", r->number);
		fprintf(opt.out, r->name ? ", \"name\": \"%s\", " : ", \"name\": null, ", r->name);
		put_json_counts(&v->counts[rows[i]]);
		fputc('}', opt.out);
		comma = ", ";
	}
	fputs("]}", opt.out);
}

static void put_json(const struct sample *s)
{
	char **arg;
	int i;

	fprintf(opt.out, "{\"time\": %.3f, ", s->time);
	if (s->seconds)
		fprintf(opt.out, "\"seconds\": %.6f, ", s->seconds);
	if (opt.command) {
		fputs("\"command\": [", opt.out);
		for (arg = opt.command; *arg; arg++) {
			fputs(arg == opt.command ? "" : ", ", opt.out);
			put_quoted(*arg, false);
		}
		fputs("], ", opt.out);
	}
	fprintf(opt.out, "\"vendor\": \"%s\", \"tsc_khz\": %u, ", svm ? "svm" : "vmx", tsc_khz);
	if (s->session)
		fprintf(opt.out, "\"session\": %u, ", s->session);
	if (s->seconds)
		fprintf(opt.out, "\"own\": {\"exits\": %llu, \"cycles\": %llu}, ",
			s->own.exits, s->own.cycles);
	fputs("\"counts\": [", opt.out);
	for (i = 0; i < s->nr_views; i++) {
		fputs(i ? ", " : "", opt.out);
		put_json_view(&s->views[i]);
	}
	fputs("]}\n", opt.out);
}

static void put_csv_view(const struct sample *s, const struct view *v)
{
	fprintf(opt.out, "%.3f,", s->time);
	fprintf(opt.out, s->seconds ? "%.6f," : ",", s->seconds);
	fprintf(opt.out, v->pid ? "%d," : ",", v->pid);
	if (v->pid)
		put_quoted(v->vm, true);
	fprintf(opt.out, v->vcpu < 0 ? "," : ",%d", v->vcpu);
}

/* States have lines of their own, with times in the place of exits. */
static void put_csv_states(const struct sample *s, const struct view *v)
{
	int i;

	for (i = STATE_GUEST; i < NR_STATES; i++) {
		put_csv_view(s, v);
		fprintf(opt.out, ",,,%llu,%llu,%llu,,,,%s\n", v->states[i].times,
			v->states[i].cycles, nanoseconds(v->states[i].cycles),
			state_names[i]);
	}
}

static void put_csv(const struct sample *s)
{
	static bool header;
	int i, j;

	if (!header)
		fprintf(opt.out, "time,seconds,pid,vm,vcpu,reason,name,exits,cycles,ns%s\n",
			ledger ? ",user_exits,user_cycles,user_ns,state" : "");
	header = true;

	for (i = 0; i < s->nr_views; i++) {
		const struct view *v = &s->views[i];

		for (j = 0; j < nr_rows; j++) {
			const struct reason *r = &reasons[rows[j]];
			const struct counts *c = &v->counts[rows[j]];

			if (!is_shown(c, rows[j]))
				continue;
			put_csv_view(s, v);
			fprintf(opt.out, ",%s,%s,%llu,%llu,%llu",
				r->other ? "" : reason_number(r), r->name ? r->name : "",
				c->exits, c->cycles, nanoseconds(c->cycles));
			if (has_user())
				fprintf(opt.out, ",%llu,%llu,%llu,", c->user_exits,
					c->user_cycles, nanoseconds(c->user_cycles));
			else if (ledger)
				fputs(",,,,", opt.out);
			fputc('\n', opt.out);
		}
		if (ledger)
			put_csv_states(s, v);
	}
}

static void put_labels(const char *metric, const struct view *v)
{
	fprintf(opt.out, "%s{", metric);
	if (v->pid) {
		fprintf(opt.out, "pid=\"%d\",vm=", v->pid);
		put_quoted(v->vm, false);
		fputc(',', opt.out);
	}
	if (v->vcpu >= 0)
		fprintf(opt.out, "vcpu=\"%d\",", v->vcpu);
}

static void put_help(const char *metric, const char *help)
{
	fprintf(opt.out, "# HELP %s %s\n# TYPE %s counter\n", metric, help, metric);
}

/* The member of struct counts at that offset */
static void put_metric(const struct sample *s, const char *metric, const char *help,
		       size_t offset)
{
	int i, j;

	put_help(metric, help);
	for (i = 0; i < s->nr_views; i++) {
		const struct view *v = &s->views[i];

		for (j = 0; j < nr_rows; j++) {
			const struct reason *r = &reasons[rows[j]];
			const struct counts *c = &v->counts[rows[j]];

			if (!is_shown(c, rows[j]))
				continue;
			put_labels(metric, v);
			fprintf(opt.out, "code=\"%s\",reason=\"%s\"} %llu\n",
				r->other ? "" : reason_number(r),
				r->name ? r->name : reason_number(r),
				*(const __u64 *)((const char *)c + offset));
		}
	}
}

static void put_state_metric(const struct sample *s, const char *metric, const char *help)
{
	int i, j;

	put_help(metric, help);
	for (i = 0; i < s->nr_views; i++) {
		for (j = STATE_GUEST; j < NR_STATES; j++) {
			put_labels(metric, &s->views[i]);
			fprintf(opt.out, "state=\"%s\"} %llu\n", state_names[j],
				s->views[i].states[j].cycles);
		}
	}
}

static void put_openmetrics(const struct sample *s)
{
	put_metric(s, "kvm_vm_exits_total", "VM-Exits.", offsetof(struct counts, exits));
	put_metric(s, "kvm_vm_exit_cycles_total",
		   "Cycles of the TSC that KVM took to handle VM-Exits.",
		   offsetof(struct counts, cycles));
	if (has_user()) {
		put_metric(s, "kvm_vm_user_exits_total", "VM-Exits that userspace completed.",
			   offsetof(struct counts, user_exits));
		put_metric(s, "kvm_vm_user_exit_cycles_total",
			   "Cycles of the TSC that userspace took to complete VM-Exits.",
			   offsetof(struct counts, user_cycles));
	}
	if (ledger)
		put_state_metric(s, "kvm_vcpu_state_cycles_total",
				 "Cycles of the TSC that vCPUs spent in a state.");
	fprintf(opt.out, "# HELP kvm_tsc_frequency_hertz Frequency of the host's TSC.\n"
		"# TYPE kvm_tsc_frequency_hertz gauge\n"
		"kvm_tsc_frequency_hertz %llu\n# EOF\n", tsc_khz * 1000ull);
}

void output_sample(const struct sample *s)
{
	make_rows(s);

	switch (opt.format) {
	case FORMAT_TABLE:
		put_table(s);
		break;
	case FORMAT_JSON:
		put_json(s);
		break;
	case FORMAT_CSV:
		put_csv(s);
		break;
	case FORMAT_OPENMETRICS:
		put_openmetrics(s);
		break;
	}
}

static void put_undefined(__u32 first, __u32 last)
{
	char range[32];

	snprintf(range, sizeof(range), svm ? "0x%x" : "%u", first);
	if (first != last)
		snprintf(range + strlen(range), sizeof(range) - strlen(range),
			 svm ? "-0x%x" : "-%u", last);
	fprintf(opt.out, "%16s  %-*s %-7s %s\n", range, name_width, "-", "no", "no");
}

void output_list(const struct sample *s)
{
	bool was_shown = false;
	__u32 next = 0;
	int i;

	make_rows(s);
	opt.sort = SORT_REASON;
	nr_rows = nr_reasons;
	for (i = 0; i < nr_reasons; i++)
		rows[i] = i;
	qsort(rows, nr_rows, sizeof(rows[0]), compare_rows);
	measure_names();

	fprintf(opt.out, "%16s  %-*s %-7s %-7s %12s\n", "reason", name_width, "name",
		"defined", "enabled", "exits");
	for (i = 0; i < nr_rows; i++) {
		const struct reason *r = &reasons[rows[i]];
		const struct counts *c = &sums[rows[i]];
		bool shown = opt.wanted[rows[i]];

		if (r->other)
			break;
		if (r->number != next && shown && was_shown)
			put_undefined(next, r->number - 1);
		if (shown)
			fprintf(opt.out, "%16s  %-*s %-7s %-7s %12llu\n", reason_number(r),
				name_width, reason_name(r), "yes",
				r->handled || c->exits ? "yes" : "no", c->exits);
		next = r->number + 1;
		was_shown = shown;
	}
}
