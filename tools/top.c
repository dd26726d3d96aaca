// SPDX-License-Identifier: GPL-2.0-or-later
/* kipc top: the endpoints and their traffic, again and again. */
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include <curses.h>
#include <json-c/json.h>

#include "flow.h"
#include "tool.h"

#define NS_PER_MS	1000000
#define NS_PER_S	1e9
#define STEP_MS		100	/* events are fetched so often, lest there be too many */
#define LEAST_DELAY_MS	100
#define EVENTS		(1U << 0 | 1U << 4 | 1U << 5 | 1U << 6)	/* send, deliver, reply, drop */
#define KEY_ESCAPE	27

static const struct column columns[] = {
	{ "ID", "id", true, true },
	{ "NAME", "name", false, true },
	{ "OWNER", "owner", false, true },
	{ "RATE", "rate", true, true },
	{ "MSGS", "msgs", true, true },
	{ "BYTES", "bytes", true, true },
	{ "CALLS", "calls", true, true },
	{ "RECEIVERS", "receivers", true, false },
	{ "WAITERS", "waiters", true, true },
	{ "REFUSED", "refused", true, true },
	{ "WAIT50", "wait50", true, true },
	{ "WAIT99", "wait99", true, true },
	{ "CALL50", "call50", true, true },
	{ "CALL99", "call99", true, true },
	{ "WORST-USER", "worst_user", false, true },
};

struct top {
	bool batch;
	bool no_headings;
	int delay_ms;
	uint64_t count;		/* 0: any number */
	struct table *table;
	size_t sort;		/* index into columns */
	bool descending;
	int dev;
	struct trace *trace;
	char *why;		/* there is no trace */
	struct flows *flows;
	int64_t since;
	size_t first;		/* the row at the top of the screen */
	sigset_t before;
};

static const struct argp_option options[] = {
	{ "batch", 'b', NULL, 0, "Print a table each time, for a file or another program", 0 },
	{ "delay", 'd', "TIME", 0, "Time between two looks; 2s if not given", 0 },
	{ "count", 'n', "NUMBER", 0, "End after so many looks", 0 },
	{ "sort", 's', "COLUMN", 0, "Sort by a column; with - before, descending; -RATE if not "
				    "given", 0 },
	{ "output", 'O', "LIST", 0,
	  "Show these columns: NAME,RATE; with + before, besides the usual ones", 0 },
	{ "noheadings", 'N', NULL, 0, "Print no headings", 0 },
	{ 0 }
};

static void sort_by(struct top *top)
{
	char column[32];

	snprintf(column, sizeof(column), "%s%s", top->descending ? "-" : "",
		 columns[top->sort].title);
	table_sort(top->table, column);
}

static void parse_sort(struct top *top, const char *text)
{
	/* Ends the program if there is no such column */
	table_sort(top->table, text);
	top->descending = *text == '-';
	text += top->descending;
	for (size_t i = 0; i < COUNT(columns); i++) {
		if (!strcasecmp(columns[i].title, text))
			top->sort = i;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct top *top = state->input;

	switch (key) {
	case 'b':
		top->batch = true;
		return 0;
	case 'd':
		top->delay_ms = parse_duration("a delay", arg);
		if (top->delay_ms < LEAST_DELAY_MS)
			die_usage("a delay is at least %d ms", LEAST_DELAY_MS);
		return 0;
	case 'n':
		top->count = parse_number("a count", arg, UINT64_MAX);
		if (!top->count)
			die_usage("a count is not 0");
		return 0;
	case 's':
		parse_sort(top, arg);
		return 0;
	case 'O':
		table_choose(top->table, arg);
		return 0;
	case 'N':
		top->no_headings = true;
		return 0;
	case ARGP_KEY_ARG:
		die_usage("there is no argument '%s'", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void add_time(struct json_object *row, const char *key, int64_t us)
{
	json_object_object_add(row, key, us < 0 ? NULL : json_object_new_int64(us));
}

static void add_flow(struct json_object *row, const struct flow *flow, double seconds)
{
	uint64_t most;
	char text[64];
	uid_t uid = 0;

	json_object_object_add(row, "rate",
			       json_object_new_double((double)flow_sent(flow) / seconds));
	add_time(row, "wait50", flow_wait(flow, 50));
	add_time(row, "wait99", flow_wait(flow, 99));
	add_time(row, "call50", flow_call(flow, 50));
	add_time(row, "call99", flow_call(flow, 99));
	most = flow_worst(flow, &uid);
	if (!most)
		return;
	snprintf(text, sizeof(text), "%.40s %llu%%", user_name(uid),
		 (unsigned long long)(most * 100 / flow_sent(flow)));
	json_object_object_add(row, "worst_user", json_object_new_string(text));
}

/* Fills the table with what there is now, and what happened since the last time */
static void look(struct top *top)
{
	int64_t now = monotonic_ns();
	double seconds = (double)(now - top->since) / NS_PER_S;
	struct kipc_endpoint info;
	uint32_t id = 0;

	table_clear(top->table);
	if (top->trace)
		trace_read(top->trace, flows_take, top->flows);
	while (!kipc_next(top->dev, id, &id)) {
		const struct flow *flow = flow_find(top->flows, id);
		struct json_object *row;

		if (kipc_stat(top->dev, id, &info))
			continue;
		row = endpoint_json(&info);
		if (flow)
			add_flow(row, flow, seconds);
		else if (top->trace)
			json_object_object_add(row, "rate", json_object_new_double(0));
		table_add(top->table, row);
	}
	flows_clear(top->flows);
	top->since = now;
}

static char *heading(const struct top *top, size_t rows)
{
	time_t now = time(NULL);
	char clock[16] = "";
	char *text;
	struct tm tm;

	if (localtime_r(&now, &tm) && !strftime(clock, sizeof(clock), "%H:%M:%S", &tm))
		clock[0] = 0;
	if (asprintf(&text, "kipc top %s: %zu endpoint%s, times in microseconds%s%s", clock, rows,
		     rows == 1 ? "" : "s", top->trace ? "" : "; neither rates nor times: ",
		     top->trace ? "" : top->why) < 0)
		die(EXIT_LIMIT, "out of memory");
	return text;
}

/* Lets time pass; returns early for a key, and if it shall end */
static void pass(struct top *top, int64_t until, bool keys)
{
	while (!stopped) {
		int64_t left = (until - monotonic_ns()) / NS_PER_MS;
		struct pollfd polled = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
		struct timespec wait = { 0 };

		if (left <= 0)
			return;
		wait.tv_nsec = (left < STEP_MS ? left : STEP_MS) * NS_PER_MS;
		if (ppoll(&polled, 1, &wait, &top->before) > 0)
			return;
		if (top->trace)
			trace_read(top->trace, flows_take, top->flows);
	}
}

static int batch(struct top *top)
{
	for (uint64_t i = 0; !stopped && (!top->count || i < top->count); i++) {
		char *text;

		pass(top, top->since + (int64_t)top->delay_ms * NS_PER_MS, false);
		if (stopped)
			break;
		look(top);
		text = heading(top, table_rows(top->table));
		if (!top->no_headings)
			printf("%s%s\n", i ? "\n" : "", text);
		free(text);
		table_print(top->table, stdout, !top->no_headings);
		if (finish_output(EXIT_GOOD))
			return EXIT_FAILED;
	}
	return EXIT_GOOD;
}

/* A line of the screen, cut at its end */
static void draw(int y, const char *text, int attribute)
{
	wchar_t wide[1024];
	size_t n = mbstowcs(wide, text, COUNT(wide) - 1);
	int width = 0;

	if (n == (size_t)-1)
		return;
	wide[n] = 0;
	for (size_t i = 0; i < n; i++) {
		width += wcwidth(wide[i]) > 0 ? wcwidth(wide[i]) : 0;
		if (width > COLS)
			wide[i] = 0;
	}
	attrset(attribute);
	move(y, 0);
	clrtoeol();
	addwstr(wide);
	attrset(A_NORMAL);
}

static void redraw(struct top *top)
{
	size_t rows = table_rows(top->table);
	size_t room = LINES > 4 ? (size_t)LINES - 3 : 1;
	char footer[160], *text;

	if (top->first + room > rows)
		top->first = rows > room ? rows - room : 0;
	erase();
	text = heading(top, rows);
	draw(0, text, A_NORMAL);
	free(text);
	text = table_line(top->table, -1);
	draw(1, text, A_REVERSE);
	free(text);
	for (size_t i = 0; i < room && top->first + i < rows; i++) {
		text = table_line(top->table, (long)(top->first + i));
		draw((int)i + 2, text, A_NORMAL);
		free(text);
	}
	snprintf(footer, sizeof(footer), "q end   < > sort by %s   r reverse   up down page "
					 "scroll   space look now",
		 columns[top->sort].title);
	draw(LINES - 1, footer, A_BOLD);
	refresh();
}

/* What the user wants; false: to end. *@now: to look at once */
static bool obey(struct top *top, int key, bool *now)
{
	size_t page = LINES > 4 ? (size_t)LINES - 3 : 1;

	switch (key) {
	case 'q':
	case KEY_ESCAPE:
		return false;
	case ' ':
		*now = true;
		break;
	case '<':
		top->sort = (top->sort + COUNT(columns) - 1) % COUNT(columns);
		break;
	case '>':
		top->sort = (top->sort + 1) % COUNT(columns);
		break;
	case 'r':
		top->descending = !top->descending;
		break;
	case KEY_UP:
		top->first -= top->first > 0;
		break;
	case KEY_DOWN:
		top->first++;
		break;
	case KEY_PPAGE:
		top->first -= top->first < page ? top->first : page;
		break;
	case KEY_NPAGE:
		top->first += page;
		break;
	default:
		break;
	}
	sort_by(top);
	return true;
}

static int screen(struct top *top)
{
	uint64_t looks = 1;
	bool more = true;

	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		die_usage("this is not a terminal: --batch prints tables");
	if (!newterm(NULL, stdout, stdin))
		die(EXIT_FAILED, "nothing is known of a terminal '%s' (TERM): --batch prints "
				 "tables",
		    getenv("TERM") ? getenv("TERM") : "");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	look(top);
	while (more && !stopped) {
		bool now = false;
		int key;

		redraw(top);
		pass(top, top->since + (int64_t)top->delay_ms * NS_PER_MS, true);
		while (more && (key = getch()) != ERR)
			more = obey(top, key, &now);
		if (now ||
		    top->since + (int64_t)top->delay_ms * NS_PER_MS <= monotonic_ns() + NS_PER_MS) {
			if (top->count && ++looks > top->count)
				break;
			look(top);
		}
	}
	endwin();
	return EXIT_GOOD;
}

int command_top(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse,
		.doc = "Shows the endpoints you may see and their traffic, live.",
	};
	struct top top = { .delay_ms = 2000, .table = table_new(columns, COUNT(columns)) };
	sigset_t stops;
	int status;

	parse_sort(&top, "-RATE");
	parse_arguments(&argp, argc, argv, 0, &top);
	top.dev = open_device();
	top.flows = flows_new();
	/* From here on there is something to be removed at the end */
	stop_on_signals();
	top.trace = trace_open(EVENTS, &top.why, &status);
	top.since = monotonic_ns();
	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	sigprocmask(SIG_BLOCK, &stops, &top.before);
	return (top.batch ? batch : screen)(&top);
}
