/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the demo's processes say to each other, and where.
 *
 * Three endpoints, all created by root, which is what makes them trustworthy:
 * kipc_open() refuses an endpoint that some other user put under a name.
 */
#ifndef DEMO_WIRE_H
#define DEMO_WIRE_H

#include <stdint.h>

/* Owner: everything; group kipc: send only */
#define DEMO_MODE	0620

/*
 * The index: calls. A question is answered by a struct answer followed by
 * answer.length bytes of text, or refused with an errno as the call's status:
 * ENOENT, no such file; ERANGE, no such line; EINVAL, not a question.
 */
#define INDEX_ADDRESS	"demo.index"

/* Types of questions: slow ones are served by threads of their own. */
#define QUESTION_QUICK	0	/* what kipc_rpc() sends */
#define QUESTION_SLOW	1

enum question_kind {
	ASK_COUNT,	/* how many lines of the file have the word? */
	ASK_FIRST,	/* number of the first such line, 0: none */
	ASK_LINE,	/* number and text of the nth such line, from 0 */
	ASK_FILES,	/* how many files have the word, and which? */
	ASK_KINDS
};

#define WORD_SIZE	32
#define NAME_SIZE	64

struct question {
	uint64_t number;	/* the client's, comes back in the answer */
	uint32_t client;	/* enum client_kind, comes back in the answer */
	uint32_t kind;		/* enum question_kind */
	uint32_t nth;
	uint32_t slow_ms;	/* pretend that the answer takes that long */
	uint32_t fickle;	/* 1: the caller may give up before the answer */
	uint32_t pad;
	char word[WORD_SIZE];	/* letters, digits and _; NUL-terminated */
	char file[NAME_SIZE];	/* NUL-terminated */
};

#define ANSWER_TEXT_MAX	6000

struct answer {
	uint64_t number;
	uint32_t client;
	uint32_t value;		/* the number asked for */
	uint32_t full_length;	/* of the line; the text may be cut */
	uint32_t length;	/* bytes of text that follow */
};

/* A whole answer, as a client receives it */
struct answer_message {
	struct answer answer;
	char text[ANSWER_TEXT_MAX];
};

/*
 * The log: one-way messages. The message's type is its level, so that a
 * receiver can ask for "this bad or worse" with KIPC_TYPE_LE.
 */
#define LOG_ADDRESS	"demo.log"

enum log_level {
	LOG_ERROR = 1,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_DEBUG,
	LOG_LEVELS
};

#define LOG_TEXT_MAX	120

struct log_message {
	uint32_t source;	/* which thread of which process */
	uint32_t length;	/* bytes of text */
	uint64_t sequence;	/* counts per source and level, from 0 */
	char text[LOG_TEXT_MAX];
};

/*
 * Control: calls to the demo's main process. Each is answered with nothing
 * when it is time to go on, so a caller waits for the others here.
 */
#define CONTROL_ADDRESS	"demo.control"

enum control_kind {
	CONTROL_CLIENT_DONE,	/* this client has asked all its questions */
	CONTROL_LOG_QUIET,	/* the logger has stopped taking messages */
};

struct control {
	uint32_t kind;		/* enum control_kind */
	uint32_t client;	/* enum client_kind */
};

#endif /* DEMO_WIRE_H */
