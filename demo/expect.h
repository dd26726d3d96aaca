/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The right answers, as GNU grep gave them (expect.sh): what to ask, and
 * whether an answer is right. Knows nothing of the index.
 */
#ifndef DEMO_EXPECT_H
#define DEMO_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* One line that grep found */
struct expect_match {
	uint32_t file;		/* index in expect.files */
	uint32_t line;		/* from 1 */
	const char *text;
	uint32_t length;
};

struct expect_word {
	const char *text;
	uint32_t length;
	uint32_t nr_matches;
	struct expect_match *matches;	/* by file, then line */
};

struct expect {
	const char **files;
	uint32_t nr_files;
	struct expect_word *words;
	uint32_t nr_words;
	struct expect_match *matches;
	uint32_t nr_matches;
};

void expect_load(struct expect *expect, const char *path);

/* Makes the question of that number; the same one whenever it is asked again. */
void expect_question(const struct expect *expect, uint32_t client,
		     uint64_t number, struct question *question);

/*
 * Checks the fate of a call: status is 0 or the errno it was refused with, size
 * that of the answer. If it is wrong, why says what was expected.
 */
bool expect_right(const struct expect *expect, const struct question *question,
		  int status, const struct answer_message *message, size_t size,
		  char *why, size_t why_size);

/* The question in words, for people */
const char *question_text(const struct question *question, char *buffer,
			  size_t size);

#endif /* DEMO_EXPECT_H */
