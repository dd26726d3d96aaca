/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending to the log endpoint: one struct log for each thread that has to say something. */
#ifndef DEMO_LOG_H
#define DEMO_LOG_H

#include <stdint.h>

#include "ledger.h"
#include "wire.h"

struct log {
	int fd;
	uint32_t number;
	struct log_source *source;
};

/* Waits for the logger to appear. */
void log_open(struct log *log, struct ledger *ledger, const char *name);
void log_say(struct log *log, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A burst of all levels and priorities */
void log_last_words(struct log *log);

#endif /* DEMO_LOG_H */
