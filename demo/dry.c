// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dry DIRECTORY TABLE COUNT: asks the index itself, without kipc between, and
 * checks what it says. For finding out which side is wrong.
 */
#include "expect.h"
#include "index.h"
#include "util.h"

int main(int argc, char **argv)
{
	char buffer[ANSWER_TEXT_MAX], asked[256], why[512];
	struct answer_message message;
	uint32_t failures = 0, count;
	struct expect expect;
	struct index index;

	if (argc != 4)
		die(0, "usage: dry DIRECTORY TABLE COUNT");
	index_load(&index, argv[1]);
	expect_load(&expect, argv[2]);
	count = (uint32_t)strtoul(argv[3], NULL, 10);

	for (uint32_t i = 0; i < count; i++) {
		struct question question;
		const char *text;
		int status;

		expect_question(&expect, 0, i, &question);
		status = -index_answer(&index, &question, &message.answer, &text, buffer);
		memcpy(message.text, text, message.answer.length);
		if (expect_right(&expect, &question, status, &message,
				 sizeof(message.answer) + message.answer.length,
				 why, sizeof(why)))
			continue;
		failures++;
		printf("WRONG: %s: %s\n",
		       question_text(&question, asked, sizeof(asked)), why);
	}
	printf("%u files, %u lines, %u words; of grep's %u words, %u lines\n",
	       index.nr_files, index.nr_lines, index.nr_words, expect.nr_words,
	       expect.nr_matches);
	printf("%u questions, %u wrong answers\n", count, failures);
	return failures != 0;
}
