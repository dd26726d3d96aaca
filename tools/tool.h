/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kipc(1): what its subcommands share.
 *
 * A subcommand is a function of one file. What goes wrong ends the program at the place
 * where it is found, by die() or one of its kin; what must be undone then is registered
 * with atexit(3).
 */
#ifndef TOOL_H
#define TOOL_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <kipc.h>

#define DEVICE		"/dev/kipc"
#define MODULE		"kipc"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* The exit status, as in kipc(1) */
enum {
	EXIT_GOOD,
	EXIT_FAILED,		/* anything without a status of its own */
	EXIT_USAGE,		/* the command line is wrong */
	EXIT_MISSING,		/* no such endpoint, or it ended */
	EXIT_DENIED,
	EXIT_TIME,		/* time is up, or waiting was forbidden */
	EXIT_EXISTS,
	EXIT_LIMIT,		/* a limit or a quota */
	EXIT_REMOTE,		/* the server answered with an error */
	EXIT_UNANSWERED,	/* a server took the call and did not answer */
	EXIT_MODULE,		/* the module is not there, or cannot come or go */
	EXIT_UNUSED,		/* run --check: it uses no queues that one could see */
	EXIT_UNSERVED,		/* run --check: it cannot be given kipc's */
};

/* Options without a letter */
enum {
	OPTION_MAX_SIZE = 0x100,
	OPTION_MAX_MSGS,
	OPTION_MAX_BYTES,
	OPTION_NO_KEY,
	OPTION_NO_NAME,
	OPTION_MAX_TYPE,
	OPTION_NOT_TYPE,
	OPTION_RENDEZVOUS,
	OPTION_ONEWAY,
	OPTION_FILES,
	OPTION_FIRST_COME,
};

/* The subcommands: each gets its own name as argv[0] and returns the exit status */
int command_ls(int argc, char **argv);
int command_mk(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_set(int argc, char **argv);
int command_send(int argc, char **argv);
int command_recv(int argc, char **argv);
int command_call(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_run(int argc, char **argv);
int command_names(int argc, char **argv);
int command_monitor(int argc, char **argv);
int command_top(int argc, char **argv);
int command_load(int argc, char **argv);
int command_unload(int argc, char **argv);
int command_status(int argc, char **argv);

/* error.c */

/* What was being done when an error came: it decides what to advise */
enum doing { FINDING, OPENING, CREATING, CHANGING, SENDING, RECEIVING, CALLING, NAMING };

/* "ls": stands before each message from then on */
void set_command(const char *name);
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* The exit status for an errno of the library, of either sign */
int status_of(int err);
/* The same as a message with advice; returns the exit status */
int warn_of(int err, enum doing doing, const char *address);
void die_of(int err, enum doing doing, const char *address) __attribute__((noreturn));
/* Of several exit statuses the first that is an error's */
int first_error(int status, int next);
const char *error_name(int err);
/* argp_parse(), after which a wrong command line has ended the program */
void parse_arguments(const struct argp *argp, int argc, char **argv, unsigned int flags,
		     void *input);
/* Wrong arguments, found by a parser */
void die_usage(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Ends the output; returns @status, or EXIT_FAILED with a message if it went nowhere */
int finish_output(int status);
void *need(void *memory);	/* not NULL */

/* parse.c: arguments; what is malformed is a wrong command line */

uint64_t parse_number(const char *what, const char *text, uint64_t max);
uint64_t parse_size(const char *what, const char *text, uint64_t max);	/* 64K, 1M */
int parse_duration(const char *what, const char *text);		/* milliseconds */
unsigned int parse_mode(const char *text);
uid_t parse_user(const char *text);
gid_t parse_group(const char *text);
void check_address(const char *text);
/* The name of a user or group, or the number if it has none; valid until the next call */
const char *user_name(uid_t uid);
const char *group_name(gid_t gid);

/* Until when something may take: forever, or a time on CLOCK_MONOTONIC */
struct deadline {
	bool set;
	bool never_wait;
	int64_t end;
};

void parse_deadline(const char *text, struct deadline *deadline);
/* What the library takes */
int milliseconds_left(const struct deadline *deadline);
int64_t monotonic_ns(void);
void pause_ms(int ms);

/* creation.c */

struct capacity {
	bool has_max_size;
	bool has_max_msgs;
	bool has_max_bytes;
	struct kipc_attr attr;
};

extern const struct argp capacity_argp;	/* input: struct capacity */

bool capacity_is_set(const struct capacity *capacity);
/* What was not given stays what it is */
void capacity_complete(struct capacity *capacity, const struct kipc_attr *old);

struct creation {
	unsigned int mode;
	unsigned int flags;		/* KIPC_OPEN_* */
	struct capacity capacity;
};

/* Input: struct creation. The second has also what only who receives there can ask for */
extern const struct argp creation_argp;
extern const struct argp receiver_argp;

/* endpoint.c: which endpoint is meant, and whom to trust */

struct access {
	bool any_owner;
	bool has_owner;
	uid_t owner;
	bool wait;			/* until it appears */
	struct deadline deadline;
};

/* Input: struct access. The first has only what says whom to trust */
extern const struct argp trust_argp;
extern const struct argp access_argp;

int open_device(void);
/* A handle; told about in @info. For @wait, as long as the deadline says */
int open_endpoint(const char *address, unsigned int rights, const struct access *access,
		  struct kipc_endpoint *info);
/* The same for a receiver, which makes it if it does not exist */
int open_or_create(const char *address, const struct creation *creation,
		   const struct access *access, struct kipc_endpoint *info);
/* On a device file, among those the caller may see: 0 or a negative errno */
int find_endpoint(int dev, const char *address, struct kipc_endpoint *info);

/* show.c: how values are shown */

struct json_object;

/* "persist,oneway", "-" if there are none; valid until the next call */
const char *flags_text(unsigned int flags);
struct json_object *endpoint_json(const struct kipc_endpoint *info);
/* Of bytes that anybody may have chosen, what can be shown: the rest as \xNN */
char *printable(const char *bytes, size_t size);
bool is_utf8(const char *bytes, size_t size);
/* Whether to write colours there */
bool colours(FILE *file);

/* table.c: rows are JSON objects, one member for each column */

struct column {
	const char *title;
	const char *key;	/* of the JSON member */
	bool number;		/* stands on the right */
	bool usual;		/* shown unless the user chooses */
};

struct table;

struct table *table_new(const struct column *columns, size_t count);
/* "ID,NAME"; +LIST adds to the usual ones, NULL: only those */
void table_choose(struct table *table, const char *list);
/* "NAME", "-MSGS": descending */
void table_sort(struct table *table, const char *column);
void table_add(struct table *table, struct json_object *row);	/* takes the reference */
void table_clear(struct table *table);
void table_print(struct table *table, FILE *file, bool heading);
void table_print_json(struct table *table, FILE *file);

/* What the options of a list say */
struct listing {
	struct table *table;
	bool json;
	bool no_headings;
};

extern const struct argp listing_argp;	/* input: struct listing */
void print_listing(const struct listing *listing);

/* For other ways to show it: sorts, then a line of text; -1: the heading */
size_t table_rows(struct table *table);
char *table_line(struct table *table, long row);
/* These drop the reference */
void print_json(struct json_object *object, FILE *file);
void print_json_line(struct json_object *object);	/* on standard output */

/* message.c: what is sent, and what was received */

struct outgoing {
	const char *address;
	uint64_t type;
	uint32_t prio;
	const char *text;	/* of the command line */
	const char *file;
	int fds[KIPC_FILES_MAX];
	uint32_t nfds;
};

/* Input: struct outgoing. Takes the operands, too: where to, and the text */
extern const struct argp outgoing_argp;

/* The payload of one message: of the command line, the file, or standard input */
char *read_payload(const struct outgoing *outgoing, size_t max, size_t *size);

/* Where a message is received */
struct room {
	char *bytes;
	size_t size;
	bool files;		/* the endpoint takes some */
	int fds[KIPC_FILES_MAX];
};

void room_init(struct room *room, const struct kipc_endpoint *info);
/* kipc_recvmsg(), with as much room as it takes */
ssize_t receive(int fd, struct room *room, const struct kipc_msg *selector,
		struct kipc_result *result, int timeout_ms);

struct shown {
	enum { SHOW_AUTO, SHOW_RAW, SHOW_PRETTY, SHOW_JSON } how;
	bool newline;		/* raw: behind each */
};

extern const struct argp shown_argp;	/* input: struct shown */

/* Prints a message; @fds are the files that came with it, and are closed */
void show_message(const struct shown *shown, const struct kipc_result *result,
		  const char *bytes, size_t size, const int *fds);
/* A time of CLOCK_MONOTONIC as one of the day */
void print_time(FILE *file, int64_t monotonic);

/* trace.c: the module's tracepoints, in a trace instance of our own */

struct trace_event {
	const char *name;	/* without "kipc_" */
	int64_t time;		/* CLOCK_MONOTONIC, nanoseconds */
	pid_t pid;
	const char *comm;
	uint32_t endpoint;	/* 0: the event has none */
	uint32_t prio;
	uint64_t type;
	uint64_t place;
	uint64_t size;
	uid_t uid;		/* the sender's */
	bool call;
	int error;
	uint32_t msgs;		/* remove: what was left */
	uint32_t calls;
	uint32_t waiters;
	pid_t woken;
};

extern const char *const trace_events[];	/* their names, ends with NULL */

struct trace;

/* Events whose bit (by index into trace_events) is in @which. NULL: why says what is missing,
 * and *status the exit status
 */
struct trace *trace_open(unsigned int which, char **why, int *status);
int trace_fd(const struct trace *trace);
/* What is there now */
void trace_read(struct trace *trace,
		void (*take)(void *context, const struct trace_event *event), void *context);
/* Events the kernel had no room for, so far */
uint64_t trace_lost(const struct trace *trace);

/* holders.c: which processes have the device or an endpoint open */

struct holder {
	pid_t pid;
	uid_t uid;
	char comm[32];
	unsigned int devices;
	unsigned int handles;
};

/* *@hidden: there are processes that the caller may not look at */
size_t find_holders(struct holder **holders, bool *hidden);
/* Lines for people: who keeps the module from leaving */
void print_holders(FILE *file, const char *indent);

/* Set by SIGINT and SIGTERM once stop_on_signals() was called */
extern volatile int stopped;
void stop_on_signals(void);
/* As this program was called with; it ignores SIGPIPE itself */
extern void (*sigpipe_before)(int number);

#endif /* TOOL_H */
