// SPDX-License-Identifier: GPL-2.0-or-later
/* What operations there are, and how programs are written. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static const char *const exits[] = { "process", "thread", NULL };
static const char *const epolls[] = { "add", "edge", "exclusive", "delete", "wait", NULL };
static const char *const waits[] = { "wait", "nowait", NULL };
static const char *const files[] = { "nonblock", "block", "mmap", "seek", "truncate", "sync",
				     "async", "flock", NULL };
static const char *const procs[] = { "table", "fdinfo", "pieces", NULL };
static const char *const protects[] = { "none", "read", "write", "discard", NULL };
static const char *const unshares[] = { "files", "net", "user", "usernet", NULL };
/* The last is EVENTFD with a descriptor that is none of an eventfd */
static const char *const notifies[] = { "end", "none", "signal", "eventfd", "handle", NULL };
static const char *const params[] = { "endpoints_max", "msg_max", "capacity_max",
				      "user_endpoints_max", "user_capacity_max",
				      "user_calls_max", "user_reply_room_max", "handles_max",
				      "waiters_max", "pin_min", "user_files_max", NULL };

const struct kind_info kinds[KINDS] = {
#define OP(name, cmd, weight, flags, how, ...) { #name, cmd, weight, flags, how, { __VA_ARGS__ } },
#include "ops.h"
#undef OP
};

static const struct {
	const char *name;
	enum value value;
} args[ARGS] = {
	[A_DELAY] = { "delay", NUMBER },
	[A_NTH] = { "nth", NUMBER },
	[A_GROW] = { "grow", NUMBER },
	[A_POKE] = { "poke", NUMBER },
	[A_WITH] = { "with", NUMBER },
	[A_AT] = { "at", PLACE },
	[A_FD] = { "fd", SLOT },
	[A_ID] = { "id", ID },
	[A_FLAGS] = { "flags", FLAGS },
	[A_RIGHTS] = { "rights", RIGHTS },
	[A_BADGE] = { "badge", NUMBER },
	[A_KEY] = { "key", NUMBER },
	[A_NAME] = { "name", NUMBER },
	[A_MODE] = { "mode", NUMBER },
	[A_UID] = { "uid", NUMBER },
	[A_GID] = { "gid", NUMBER },
	[A_MAX_SIZE] = { "max_size", NUMBER },
	[A_MAX_MSGS] = { "max_msgs", NUMBER },
	[A_MAX_BYTES] = { "max_bytes", NUMBER },
	[A_WHAT] = { "what", WHAT },
	[A_TYPE] = { "type", NUMBER },
	[A_TYPE2] = { "type2", NUMBER },
	[A_PRIO] = { "prio", NUMBER },
	[A_COOKIE] = { "cookie", NUMBER },
	[A_TOKEN] = { "token", TOKEN },
	[A_AFTER] = { "after", TOKEN },
	[A_STATUS] = { "status", NUMBER },
	[A_MEM] = { "mem", PLACE },
	[A_LEN] = { "len", NUMBER },
	[A_IOV] = { "iov", NUMBER },
	[A_MEM2] = { "mem2", PLACE },
	[A_LEN2] = { "len2", NUMBER },
	[A_IOV2] = { "iov2", NUMBER },
	[A_FILES] = { "files", NUMBER },
	[A_FILES2] = { "files2", NUMBER },
	[A_RESULT] = { "result", PLACE },
	[A_ROOM] = { "room", NUMBER },
	[A_TIME] = { "time", TIME },
	[A_WHO] = { "who", ACTOR },
	[A_SIG] = { "sig", SIGNAL },
	[A_US] = { "us", NUMBER },
	[A_HOW] = { "how", HOW },
	[A_N] = { "n", NUMBER },
	[A_TO] = { "to", SLOT },
};

static const char *const places[PLACES] = {
	"good", "none", "kernel", "hole", "tail", "readonly", "trap", "overflow",
};

/* All flags of the interface: flags.h is made from the header */
static const struct {
	const char *group, *name;
	uint64_t bit;
} flags[] = {
#define FLAG(group, name, bit) { #group, #name, bit },
#include "flags.h"
#undef FLAG
};

#define FLAGS_N (sizeof(flags) / sizeof(flags[0]))

enum value value_of(enum argument arg)
{
	return args[arg].value;
}

bool by_boss(const struct op *op)
{
	return op->kind == OP_NAP || op->kind == OP_KILL || op->kind == OP_PARAM;
}

bool takes(const struct op *op, enum argument arg)
{
	const unsigned char *list = kinds[op->kind].args;

	if (arg <= A_AT)
		return !by_boss(op) && (arg < A_GROW || kinds[op->kind].cmd);
	for (; *list; list++)
		if (*list == arg)
			return true;
	return false;
}

unsigned int flags_of(const char *group, uint64_t *bits)
{
	unsigned int i, n = 0;

	for (i = 0; i < FLAGS_N; i++) {
		if (strcmp(flags[i].group, group))
			continue;
		if (bits)
			bits[n] = flags[i].bit;
		n++;
	}
	return n;
}

unsigned int hows_of(const struct kind_info *kind)
{
	unsigned int n = 0;

	while (kind->how && kind->how[n])
		n++;
	return n;
}

static const char *group_of(const struct op *op, enum value value)
{
	if (value == RIGHTS)
		return "RIGHT";
	return value == WHAT ? "SET" : kinds[op->kind].flags;
}

/* Printing */

struct out {
	char *text;
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) put(struct out *out, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(out->text + out->len, TEXT_MAX - out->len, format, list);
	va_end(list);
	out->len += (size_t)n;
	if (out->len >= TEXT_MAX)
		die("a program is longer than TEXT_MAX");
}

static void put_number(struct out *out, uint64_t number)
{
	if (number >= -4096ULL)
		put(out, "%lld", (long long)number);
	else
		put(out, number > 1000000 ? "%#llx" : "%llu", (unsigned long long)number);
}

static void put_flags(struct out *out, const char *group, uint64_t value)
{
	const char *bar = "";
	unsigned int i;

	for (i = 0; i < FLAGS_N; i++) {
		if (!(value & flags[i].bit) || strcmp(flags[i].group, group))
			continue;
		put(out, "%s%s", bar, flags[i].name);
		bar = "|";
		value &= ~flags[i].bit;
	}
	if (value)
		put(out, "%s%#llx", bar, (unsigned long long)value);
}

static void put_value(struct out *out, const struct op *op, enum argument arg)
{
	uint64_t value = op->arg[arg];

	switch (value_of(arg)) {
	case ID:
	case TOKEN:
		if ((value ^ FROM_SLOT) < SLOTS)
			put(out, "@%u", (unsigned int)(value ^ FROM_SLOT));
		else
			put_number(out, value);
		break;
	case FLAGS:
	case RIGHTS:
	case WHAT:
		put_flags(out, group_of(op, value_of(arg)), value);
		break;
	case TIME:
		if (value == KIPC_FOREVER)
			put(out, "forever");
		else if (value >> 48 == FROM_NOW >> 48)
			put(out, "+%llu", (unsigned long long)(value ^ FROM_NOW));
		else
			put_number(out, value);
		break;
	case PLACE:
		put(out, "%s", places[value]);
		break;
	case ACTOR:
		put(out, "a%u", (unsigned int)value);
		break;
	case SIGNAL:
		put(out, "%s", sigabbrev_np((int)value));
		break;
	case HOW:
		put(out, "%s", kinds[op->kind].how[value]);
		break;
	case NUMBER:
	case SLOT:
		if (arg == A_MODE && value <= 07777)
			put(out, "%#llo", (unsigned long long)value);
		else
			put_number(out, value);
		break;
	}
}

static void put_op(struct out *out, const struct op *op)
{
	const char *name;
	enum argument arg;

	put(out, "a%u%s ", op->actor, op->meet == GO_ON ? "&" : op->meet == TOGETHER ? "^" : "");
	for (name = kinds[op->kind].name; *name; name++)
		put(out, "%c", tolower(*name));
	for (arg = 0; arg < ARGS; arg++) {
		if (!takes(op, arg) || (!op->arg[arg] && arg != A_HOW))
			continue;
		put(out, " %s=", args[arg].name);
		put_value(out, op, arg);
	}
	if (op->expects == SUCCESS)
		put(out, " = ok");
	else if (op->expects == EXACTLY && op->expected < 0)
		put(out, " = %s", strerrorname_np(-op->expected));
	else if (op->expects == EXACTLY)
		put(out, " = %d", op->expected);
	put(out, "\n");
}

size_t print_program(const struct program *program, char *text)
{
	struct out out = { text, 0 };
	unsigned int i;

	text[0] = 0;
	for (i = 0; i < program->n; i++)
		put_op(&out, &program->ops[i]);
	return out.len;
}

/* Reading */

static bool get_number(const char *word, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(word, &end, 0);
	return *word && !*end && !errno;
}

static bool get_flags(const char *group, char *word, uint64_t *value)
{
	uint64_t number;
	char *rest;
	size_t i;

	*value = 0;
	for (word = strtok_r(word, "|", &rest); word; word = strtok_r(NULL, "|", &rest)) {
		for (i = 0; i < FLAGS_N; i++)
			if (!strcmp(flags[i].group, group) && !strcmp(flags[i].name, word))
				break;
		if (i < FLAGS_N)
			*value |= flags[i].bit;
		else if (get_number(word, &number))
			*value |= number;
		else
			return false;
	}
	return true;
}

static bool get_named(const char *const *names, unsigned int n, const char *word, uint64_t *value)
{
	for (*value = 0; *value < n; ++*value)
		if (!strcmp(names[*value], word))
			return true;
	return false;
}

static bool get_value(const struct op *op, enum argument arg, char *word, uint64_t *value)
{
	switch (value_of(arg)) {
	case ID:
	case TOKEN:
		if (*word != '@')
			return get_number(word, value);
		if (!get_number(word + 1, value) || *value >= SLOTS)
			return false;
		*value |= FROM_SLOT;
		return true;
	case FLAGS:
	case RIGHTS:
	case WHAT:
		return get_flags(group_of(op, value_of(arg)), word, value);
	case TIME:
		if (!strcmp(word, "forever")) {
			*value = KIPC_FOREVER;
			return true;
		}
		if (*word != '+')
			return get_number(word, value);
		if (!get_number(word + 1, value) || *value >> 48)
			return false;
		*value |= FROM_NOW;
		return true;
	case PLACE:
		return get_named(places, PLACES, word, value);
	case ACTOR:
		return *word == 'a' && get_number(word + 1, value) && *value < ACTORS;
	case SIGNAL:
		for (*value = 1; *value < 32; ++*value)
			if (!strcmp(sigabbrev_np((int)*value), word))
				return true;
		return false;
	case HOW:
		return get_named(kinds[op->kind].how, hows_of(&kinds[op->kind]), word, value);
	case SLOT:
		return get_number(word, value) && *value < SLOTS;
	case NUMBER:
		return get_number(word, value);
	}
	return false;
}

static bool get_expectation(struct op *op, const char *word)
{
	uint64_t number;
	int error;

	op->expects = EXACTLY;
	if (!strcmp(word, "ok")) {
		op->expects = SUCCESS;
		return true;
	}
	if (get_number(word, &number)) {
		op->expected = (int32_t)number;
		return true;
	}
	for (error = 1; error < 134; error++) {
		const char *name = strerrorname_np(error);

		if (name && !strcmp(name, word)) {
			op->expected = -error;
			return true;
		}
	}
	return false;
}

static bool get_assignment(struct op *op, char *word)
{
	char *value = strchr(word, '=');
	enum argument arg;

	if (!value)
		return false;
	*value++ = 0;
	for (arg = 0; arg < ARGS; arg++)
		if (!strcmp(args[arg].name, word))
			return takes(op, arg) && get_value(op, arg, value, &op->arg[arg]);
	return false;
}

/* The word of @line that makes no sense, or NULL */
static const char *get_op(struct op *op, char *line)
{
	char *rest, *word = strtok_r(line, " \t", &rest);

	memset(op, 0, sizeof(*op));
	op->actor = (uint8_t)(word[1] - '0');
	if (word[0] != 'a' || op->actor >= ACTORS)
		return word;
	op->meet = word[2] == '&' ? GO_ON : word[2] == '^' ? TOGETHER : WAIT;
	if (word[op->meet == WAIT ? 2 : 3])
		return word;
	word = strtok_r(NULL, " \t", &rest);
	for (op->kind = 0; word && op->kind < KINDS; op->kind++)
		if (!strcasecmp(kinds[op->kind].name, word))
			break;
	if (!word || op->kind == KINDS)
		return word ? word : "the line, which names no operation";
	while ((word = strtok_r(NULL, " \t", &rest))) {
		if (!strcmp(word, "=")) {
			word = strtok_r(NULL, " \t", &rest);
			if (!word || !get_expectation(op, word))
				return word ? word : "the end after =";
		} else if (!get_assignment(op, word)) {
			return word;
		}
	}
	return NULL;
}

bool parse_program(const char **text, struct program *program, const char *where)
{
	const char *wrong;
	char line[512];
	size_t len;

	program->n = 0;
	for (; **text; *text += len + ((*text)[len] == '\n')) {
		len = strcspn(*text, "\n");
		if (!strncmp(*text, "program", 7)) {
			if (program->n)
				break;
			continue;
		}
		if (len >= sizeof(line) || program->n == OPS_MAX) {
			printf("%s: a line or the program is too long\n", where);
			return false;
		}
		memcpy(line, *text, len);
		line[len] = 0;
		line[strcspn(line, "#")] = 0;
		if (strspn(line, " \t") == strlen(line))
			continue;
		wrong = get_op(&program->ops[program->n++], line);
		if (wrong) {
			printf("%s: operation %u: cannot make sense of %s\n", where, program->n,
			       wrong);
			return false;
		}
	}
	return true;
}
