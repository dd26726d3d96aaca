// SPDX-License-Identifier: GPL-2.0-or-later
/* Sending to the log endpoint: see log.h. */
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <kipc.h>

#include "log.h"
#include "util.h"

void log_open(struct log *log, struct ledger *ledger, const char *name)
{
	log->fd = kipc_open(LOG_ADDRESS, KIPC_RIGHT_SEND, 20000);
	if (log->fd < 0)
		die(log->fd, "%s: kipc_open(%s)", name, LOG_ADDRESS);

	log->number = atomic_fetch_add(&ledger->nr_sources, 1);
	if (log->number >= LOG_SOURCES)
		die(0, "%s: too many sources of log messages", name);
	log->source = &ledger->sources[log->number];
	snprintf(log->source->name, sizeof(log->source->name), "%s", name);
	log->source->uid = geteuid();
}

static void send_text(struct log *log, enum log_level level, uint32_t prio,
		      const char *format, va_list arguments)
{
	struct log_message message = { .source = log->number };
	struct iovec part = { .iov_base = &message };
	struct kipc_msg msg = {
		.type = level,
		.prio = prio,
		.iov = &part,
		.iovcnt = 1,
	};
	int length, ret;

	length = vsnprintf(message.text, sizeof(message.text), format, arguments);
	if (length >= (int)sizeof(message.text))
		length = sizeof(message.text) - 1;
	message.length = (uint32_t)length;
	part.iov_len = offsetof(struct log_message, text) + message.length;

	/* cppcheck-suppress unreadVariable ; the kernel reads it, through part */
	message.sequence = atomic_fetch_add(&log->source->begun[level], 1);
	ret = kipc_sendmsg(log->fd, &msg, -1);
	if (ret < 0)
		die(ret, "%s: kipc_sendmsg(%s)", log->source->name, LOG_ADDRESS);
	atomic_fetch_add(&log->source->sent[level], 1);
}

void log_say(struct log *log, enum log_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	/* Worse levels overtake the others in the queue. */
	send_text(log, level, (LOG_LEVELS - level) * 100, format, arguments);
	va_end(arguments);
}

static void say_with_prio(struct log *log, enum log_level level, uint32_t prio,
			  const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	send_text(log, level, prio, format, arguments);
	va_end(arguments);
}

void log_last_words(struct log *log)
{
	uint64_t random = log->number;

	for (int i = 0; i < 16; i++) {
		enum log_level level = LOG_ERROR + random_below(&random, LOG_LEVELS - LOG_ERROR);
		uint32_t prio = random_below(&random, 4) * 10;

		say_with_prio(log, level, prio, "last word %d", i);
	}
}
