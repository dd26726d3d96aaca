// SPDX-License-Identifier: GPL-2.0-or-later
/* What is sent, what is received, and how that is shown. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "tool.h"

#define NS_PER_S	1000000000
#define NS_PER_MS	1000000
#define HEX_PER_LINE	16

/* What is sent */

static const struct argp_option outgoing_options[] = {
	{ "type", 't', "NUMBER", 0, "The type, for the receiver to select by", 1 },
	{ "prio", 'p', "NUMBER", 0, "The priority, 0 to 32767: higher comes first", 1 },
	{ "file", 'f', "FILE", 0, "Take the payload from FILE; -: from standard input", 1 },
	{ "attach", 'a', "FILE", 0,
	  "Send FILE along, opened to be read, or fd:NUMBER, open already; up to 16 times", 1 },
	{ 0 }
};

/* Opened now: a command line that cannot be carried out should not be half done */
static void attach(struct outgoing *outgoing, const char *name)
{
	int fd;

	if (outgoing->nfds == KIPC_FILES_MAX)
		die_usage("one message takes at most %d files", KIPC_FILES_MAX);
	if (!strncmp(name, "fd:", 3)) {
		fd = (int)parse_number("a descriptor", name + 3, INT_MAX);
		if (fcntl(fd, F_GETFD) < 0)
			die(EXIT_FAILED, "%s: %s", name, strerror(errno));
	} else {
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(EXIT_FAILED, "%s: %s", name, strerror(errno));
	}
	outgoing->fds[outgoing->nfds++] = fd;
}

static error_t parse_outgoing(int key, char *arg, struct argp_state *state)
{
	struct outgoing *outgoing = state->input;

	switch (key) {
	case 't':
		outgoing->type = parse_number("a type", arg, UINT64_MAX);
		return 0;
	case 'p':
		outgoing->prio = (uint32_t)parse_number("a priority", arg, KIPC_PRIO_MAX);
		return 0;
	case 'f':
		outgoing->file = arg;
		return 0;
	case 'a':
		attach(outgoing, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (!outgoing->address)
			outgoing->address = arg;
		else if (!outgoing->text)
			outgoing->text = arg;
		else
			die_usage("one text is one argument, not also '%s'", arg);
		return 0;
	case ARGP_KEY_END:
		if (!outgoing->address)
			die_usage("to which endpoint?");
		if (outgoing->text && outgoing->file)
			die_usage("the payload is an argument, or comes from a file");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp outgoing_argp = { .options = outgoing_options, .parser = parse_outgoing };

static void die_too_large(const char *name, size_t max)
{
	die(EXIT_LIMIT, "%s: larger than the %zu bytes that the endpoint takes; 'kipc set "
			"--max-size=SIZE' changes that",
	    name, max);
}

static char *read_bytes(int fd, const char *name, size_t max, size_t *size)
{
	/* One more than may be, to see that there is no more */
	char *bytes = need(malloc(max + 1));

	*size = 0;
	for (;;) {
		ssize_t n = read(fd, bytes + *size, max + 1 - *size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die(EXIT_FAILED, "%s: %s", name, strerror(errno));
		if (!n)
			return bytes;
		*size += (size_t)n;
		if (*size > max)
			die_too_large(name, max);
	}
}

char *read_payload(const struct outgoing *outgoing, size_t max, size_t *size)
{
	char *bytes;
	int fd;

	if (outgoing->text) {
		*size = strlen(outgoing->text);
		if (*size > max)
			die_too_large("the payload", max);
		return need(strdup(outgoing->text));
	}
	if (!outgoing->file || !strcmp(outgoing->file, "-"))
		return read_bytes(STDIN_FILENO, "standard input", max, size);
	fd = open(outgoing->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(EXIT_FAILED, "%s: %s", outgoing->file, strerror(errno));
	bytes = read_bytes(fd, outgoing->file, max, size);
	close(fd);
	return bytes;
}

/* What is received */

void room_init(struct room *room, const struct kipc_endpoint *info)
{
	room->size = info->attr.max_size;
	room->bytes = need(malloc(room->size + 1));
	room->files = info->flags & KIPC_ENDPOINT_FILES;
}

ssize_t receive(int fd, struct room *room, const struct kipc_msg *selector,
		struct kipc_result *result, int timeout_ms)
{
	for (;;) {
		struct iovec iov = { .iov_base = room->bytes, .iov_len = room->size };
		struct kipc_msg msg = *selector;
		struct kipc_endpoint info;
		ssize_t n;

		msg.iov = &iov;
		msg.iovcnt = 1;
		if (room->files && !(msg.flags & KIPC_PEEK)) {
			msg.fds = room->fds;
			msg.nfds = KIPC_FILES_MAX;
		}
		n = kipc_recvmsg(fd, &msg, result, timeout_ms);
		/* The endpoint takes larger messages by now */
		if (n != -EMSGSIZE || kipc_stat(fd, 0, &info) || info.attr.max_size <= room->size)
			return n;
		free(room->bytes);
		room_init(room, &info);
	}
}

/* How it is shown */

static const struct argp_option shown_options[] = {
	{ "raw", 'r', NULL, 0, "Print the payload as it is: so it is done unless on a "
			       "terminal", 2 },
	{ "newline", 'l', NULL, 0, "As --raw, and a newline behind each payload", 2 },
	{ "pretty", 'P', NULL, 0, "Print what is known of it, and the payload so that it can be "
				  "read", 2 },
	{ "json", 'J', NULL, 0, "Print JSON, one line for each", 2 },
	{ 0 }
};

static error_t parse_shown(int key, char *arg, struct argp_state *state)
{
	struct shown *shown = state->input;

	(void)arg;
	switch (key) {
	case 'l':
		shown->newline = true;
		shown->how = SHOW_RAW;
		return 0;
	case 'r':
		shown->how = SHOW_RAW;
		return 0;
	case 'P':
		shown->how = SHOW_PRETTY;
		return 0;
	case 'J':
		shown->how = SHOW_JSON;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp shown_argp = { .options = shown_options, .parser = parse_shown };

/* The time of day of a message, nanoseconds since 1970 */
static int64_t time_of_day(uint64_t monotonic)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec - (monotonic_ns() - (int64_t)monotonic);
}

void print_time(FILE *file, int64_t monotonic)
{
	int64_t ns = time_of_day((uint64_t)monotonic);
	time_t seconds = (time_t)(ns / NS_PER_S);
	struct tm tm;
	char text[16];

	if (!localtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%H:%M:%S", &tm))
		return;
	fprintf(file, "%s.%03d", text, (int)(ns % NS_PER_S / NS_PER_MS));
}

static bool is_text(const char *bytes, size_t size)
{
	if (!is_utf8(bytes, size))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (iscntrl((unsigned char)bytes[i]) && bytes[i] != '\n' && bytes[i] != '\t')
			return false;
	}
	return true;
}

static void print_hex(const char *bytes, size_t size)
{
	for (size_t at = 0; at < size; at += HEX_PER_LINE) {
		printf("%08zx ", at);
		for (size_t i = at; i < at + HEX_PER_LINE; i++) {
			if (i < size)
				printf(" %02x", (unsigned char)bytes[i]);
			else
				printf("   ");
		}
		printf("  |");
		for (size_t i = at; i < at + HEX_PER_LINE && i < size; i++)
			putchar(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.');
		printf("|\n");
	}
}

/* Line by line: a terminal must not see what printable() hides */
static void print_text(const char *bytes, size_t size)
{
	for (size_t at = 0; at < size;) {
		const char *newline = memchr(bytes + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - bytes) - at : size - at;
		char *line;

		/* Tabs and backslashes may stay */
		line = need(strndup(bytes + at, length));
		for (char *part = line; part;) {
			char *next = strpbrk(part, "\t\\");
			char *shown = printable(part, next ? (size_t)(next - part) : strlen(part));

			fputs(shown, stdout);
			free(shown);
			if (next)
				putchar(*next++);
			part = next;
		}
		putchar('\n');
		free(line);
		at += length + 1;
	}
}

/* What a descriptor is, as /proc tells; the result is to be freed */
static char *file_name(int fd)
{
	char path[64], target[4096];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target));
	return printable(target, length < 0 ? 0 : (size_t)length);
}

static void show_pretty(const struct kipc_result *result, const char *bytes, size_t size,
			const int *fds)
{
	bool colour = colours(stdout);

	fputs(colour ? "\033[1m" : "", stdout);
	if (result->time) {
		print_time(stdout, (int64_t)result->time);
		putchar(' ');
	}
	printf("%s type %llu prio %u, %llu byte%s", result->flags & KIPC_RESULT_CALL ? "call" :
	       "message", (unsigned long long)result->type, result->prio,
	       (unsigned long long)result->size, result->size == 1 ? "" : "s");
	if (result->uid != KIPC_ID_UNMAPPED || result->pid) {
		printf(", from %s", user_name(result->uid));
		if (result->pid)
			printf(", process %d", result->pid);
	}
	if (result->badge)
		printf(", badge %llu", (unsigned long long)result->badge);
	if (result->flags & KIPC_RESULT_TRUNCATED)
		printf(", cut to %zu", size);
	if (result->flags & KIPC_RESULT_REDELIVERED)
		printf(", delivery %u", result->deliveries);
	if (result->flags & KIPC_RESULT_FILES_DROPPED)
		printf(", its files dropped");
	printf("%s\n", colour ? "\033[0m" : "");
	for (uint32_t i = 0; i < result->nfds; i++) {
		char *name = file_name(fds[i]);

		printf("file %u: %s\n", i, name);
		free(name);
	}
	if (is_text(bytes, size))
		print_text(bytes, size);
	else
		print_hex(bytes, size);
}

static struct json_object *base64(const char *bytes, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	enum { PADDING = 64 };
	char *text = need(malloc((size + 2) / 3 * 4 + 1)), *to = text;
	struct json_object *object;

	for (size_t at = 0; at < size; at += 3) {
		unsigned int value = 0, left = size - at < 3 ? (unsigned int)(size - at) : 3;

		for (unsigned int i = 0; i < 3; i++)
			value = value << 8 | (i < left ? (unsigned char)bytes[at + i] : 0);
		for (unsigned int i = 0; i < 4; i++)
			*to++ = digits[i <= left ? value >> (18 - 6 * i) & 63 : PADDING];
	}
	*to = 0;
	object = need(json_object_new_string(text));
	free(text);
	return object;
}

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static void show_json(const struct kipc_result *result, const char *bytes, size_t size,
		      const int *fds)
{
	struct json_object *object = need(json_object_new_object());

	add(object, "call", json_object_new_boolean(!!(result->flags & KIPC_RESULT_CALL)));
	add(object, "type", json_object_new_uint64(result->type));
	add(object, "prio", json_object_new_uint64(result->prio));
	add(object, "size", json_object_new_uint64(result->size));
	if (result->time)
		add(object, "time_ns", json_object_new_int64(time_of_day(result->time)));
	if (result->uid != KIPC_ID_UNMAPPED) {
		add(object, "uid", json_object_new_uint64(result->uid));
		add(object, "user", json_object_new_string(user_name(result->uid)));
	}
	if (result->gid != KIPC_ID_UNMAPPED)
		add(object, "gid", json_object_new_uint64(result->gid));
	if (result->pid)
		add(object, "pid", json_object_new_int(result->pid));
	if (result->badge)
		add(object, "badge", json_object_new_uint64(result->badge));
	if (result->flags & KIPC_RESULT_REDELIVERED)
		add(object, "deliveries", json_object_new_uint64(result->deliveries));
	if (is_utf8(bytes, size))
		add(object, "text", json_object_new_string_len(bytes, (int)size));
	else
		add(object, "base64", base64(bytes, size));
	if (result->nfds) {
		struct json_object *files = need(json_object_new_array());

		for (uint32_t i = 0; i < result->nfds; i++) {
			char *name = file_name(fds[i]);

			json_object_array_add(files, json_object_new_string(name));
			free(name);
		}
		add(object, "files", files);
	}
	print_json_line(object);
}

void show_message(const struct shown *shown, const struct kipc_result *result,
		  const char *bytes, size_t size, const int *fds)
{
	if (shown->how == SHOW_JSON) {
		show_json(result, bytes, size, fds);
	} else if (shown->how == SHOW_PRETTY ||
		   (shown->how == SHOW_AUTO && isatty(STDOUT_FILENO))) {
		show_pretty(result, bytes, size, fds);
	} else {
		fwrite(bytes, 1, size, stdout);
		if (shown->newline)
			putchar('\n');
	}
	for (uint32_t i = 0; i < result->nfds; i++)
		close(fds[i]);
	/* It was taken: who reads our output shall see it now, and we whether it got there */
	if (finish_output(EXIT_GOOD))
		exit(EXIT_FAILED);
}
