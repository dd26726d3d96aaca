// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The module's tracepoints, read as text from a trace instance of our own: nobody else's
 * tracing is disturbed, and nobody else's disturbs us.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "module.h"
#include "tool.h"

#define COMM_WIDTH	16	/* how the kernel prints the name of a task */
#define NS_PER_S	1000000000
#define NS_PER_US	1000
#define BUFFER_KIB	"2048"	/* of each CPU */
#define READS_MAX	256	/* at a time: events may come faster than they can be read */

struct trace {
	int fd;
	char *line;		/* what was read of an unfinished one */
	size_t length;
	size_t room;
	uint64_t lost;
};

const char *const trace_events[] = {
	"send", "call", "block", "claim", "deliver", "reply", "drop", "remove", "wake", NULL
};

static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };

/* The instance to remove when the program ends; there is one at most */
static char *instance;
static int instance_pipe = -1;

static char *path_of(const char *directory, const char *format, const char *name)
{
	char *end, *path;

	if (asprintf(&end, format, name) < 0 || asprintf(&path, "%s/%s", directory, end) < 0)
		die(EXIT_LIMIT, "out of memory");
	free(end);
	return path;
}

static int put(const char *directory, const char *format, const char *name, const char *text)
{
	char *path = path_of(directory, format, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	free(path);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static void remove_instance(void)
{
	/* It stays while it is being read */
	if (instance_pipe >= 0)
		close(instance_pipe);
	put(instance, "events/%s/enable", MODULE, "0");
	rmdir(instance);
}

/* Of programs that were killed, and could not do it themselves */
static void remove_stale(const char *instances)
{
	DIR *directory = opendir(instances);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char *end, *path;
		long pid;

		if (strncmp(entry->d_name, "kipc-", 5))
			continue;
		pid = strtol(entry->d_name + 5, &end, 10);
		if (*end || pid <= 0 || !kill((pid_t)pid, 0) || errno != ESRCH)
			continue;
		path = path_of(instances, "%s", entry->d_name);
		put(path, "events/%s/enable", MODULE, "0");
		rmdir(path);
		free(path);
	}
	if (directory)
		closedir(directory);
}

static struct trace *refuse(int *status, int code, char **why, const char *text)
{
	*status = code;
	*why = need(strdup(text));
	return NULL;
}

static struct trace *refuse_access(int *status, char **why)
{
	return refuse(status, EXIT_DENIED, why,
		      "the kernel shows its tracepoints to root only: run it as root");
}

struct trace *trace_open(unsigned int which, char **why, int *status)
{
	char *events, *instances, name[32], *path;
	const char *root = NULL;
	struct trace *trace;
	bool there;

	for (size_t i = 0; !root && i < COUNT(roots); i++) {
		path = path_of(roots[i], "%s", "instances");
		if (!access(path, F_OK))
			root = roots[i];
		else if (errno == EACCES)
			return refuse_access(status, why);
		free(path);
	}
	if (!root)
		return refuse(status, EXIT_FAILED, why,
			      "there is no tracefs: 'mount -t tracefs none "
			      "/sys/kernel/tracing' as root mounts it, unless the kernel was "
			      "built without CONFIG_TRACING");
	events = path_of(root, "events/%s", MODULE);
	there = !access(events, F_OK);
	free(events);
	if (!there)
		return refuse(status, EXIT_MODULE, why,
			      module_state() ? "the kernel has no tracepoints of modules" :
			      "the module is not loaded: 'kipc load' loads it");

	instances = path_of(root, "%s", "instances");
	remove_stale(instances);
	snprintf(name, sizeof(name), "kipc-%d", getpid());
	path = path_of(instances, "%s", name);
	free(instances);
	if (mkdir(path, 0700)) {
		free(path);
		if (errno == EACCES || errno == EPERM)
			return refuse_access(status, why);
		return refuse(status, EXIT_FAILED, why, strerror(errno));
	}
	instance = path;
	atexit(remove_instance);

	trace = need(calloc(1, sizeof(*trace)));
	put(instance, "%s", "buffer_size_kb", BUFFER_KIB);
	path = path_of(instance, "%s", "trace_pipe");
	trace->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	free(path);
	instance_pipe = trace->fd;
	/* The clock that the module's own times are of */
	if (trace->fd < 0 || put(instance, "%s", "trace_clock", "mono"))
		return refuse(status, EXIT_FAILED, why, "the trace instance cannot be used");
	for (size_t i = 0; trace_events[i]; i++) {
		if (which & 1U << i &&
		    put(instance, "events/kipc/kipc_%s/enable", trace_events[i], "1"))
			return refuse(status, EXIT_FAILED, why,
				      "the module lacks a tracepoint that this program knows");
	}
	return trace;
}

int trace_fd(const struct trace *trace)
{
	return trace->fd;
}

uint64_t trace_lost(const struct trace *trace)
{
	return trace->lost;
}

/* Of "name=value" */
static uint64_t field(const char *text, const char *name, int base)
{
	size_t length = strlen(name);

	for (const char *at = text; (at = strstr(at, name)); at += length) {
		if (at[length] == '=' && (at == text || at[-1] == ' '))
			return strtoull(at + length + 1, NULL, base);
	}
	return 0;
}

/* "            comm-123     [001] .....   12.345678: kipc_send: endpoint=1 ..."
 *
 * The name of a task can be anything, but has a fixed place.
 */
static bool parse(char *line, struct trace_event *event)
{
	unsigned long long seconds, fraction;
	char *at, *name, *end;

	memset(event, 0, sizeof(*event));
	if (strlen(line) < COMM_WIDTH + 2 || line[COMM_WIDTH] != '-')
		return false;
	event->pid = (pid_t)strtol(line + COMM_WIDTH + 1, &at, 10);
	line[COMM_WIDTH] = 0;
	while (*line == ' ')
		line++;
	event->comm = line;
	at = strchr(at, ']');
	if (!at)
		return false;
	at++;
	at += strspn(at, " ");
	at += strcspn(at, " ");		/* flags */
	seconds = strtoull(at, &end, 10);
	if (end == at || *end != '.')
		return false;
	fraction = strtoull(end + 1, &at, 10);
	if (at - end != 7 || at[0] != ':' || strncmp(at, ": kipc_", 7))
		return false;
	event->time = (int64_t)(seconds * NS_PER_S + fraction * NS_PER_US);
	name = at + 7;
	end = strchr(name, ':');
	if (!end)
		return false;
	*end = 0;
	for (size_t i = 0; trace_events[i]; i++) {
		if (!strcmp(trace_events[i], name))
			event->name = trace_events[i];
	}
	if (!event->name)
		return false;
	end++;
	event->endpoint = (uint32_t)field(end, "endpoint", 10);
	event->prio = (uint32_t)field(end, "prio", 10);
	event->type = field(end, "type", 10);
	event->place = field(end, "place", 16);
	event->size = field(end, "size", 10);
	event->uid = (uid_t)field(end, "uid", 10);
	event->call = field(end, "call", 10);
	event->error = (int)(int64_t)field(end, "error", 10);
	event->msgs = (uint32_t)field(end, "msgs", 10);
	event->calls = (uint32_t)field(end, "calls", 10);
	event->waiters = (uint32_t)field(end, "waiters", 10);
	event->woken = (pid_t)field(end, "pid", 10);
	return true;
}

static void take_line(struct trace *trace, char *line,
		      void (*take)(void *context, const struct trace_event *event), void *context)
{
	const char *lost = strstr(line, " [LOST ");
	struct trace_event event;

	if (!strncmp(line, "CPU:", 4) && lost)
		trace->lost += strtoull(lost + 7, NULL, 10);
	else if (parse(line, &event))
		take(context, &event);
}

void trace_read(struct trace *trace,
		void (*take)(void *context, const struct trace_event *event), void *context)
{
	for (int i = 0; i < READS_MAX; i++) {
		char *at, *newline;
		ssize_t n;

		if (trace->room - trace->length < 8192) {
			trace->room += 16384;
			trace->line = need(realloc(trace->line, trace->room));
		}
		n = read(trace->fd, trace->line + trace->length, trace->room - trace->length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		trace->length += (size_t)n;
		for (at = trace->line; (newline = memchr(at, '\n', trace->length -
							 (size_t)(at - trace->line)));
		     at = newline + 1) {
			*newline = 0;
			take_line(trace, at, take, context);
		}
		trace->length -= (size_t)(at - trace->line);
		memmove(trace->line, at, trace->length);
	}
}
