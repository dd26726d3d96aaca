/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An index of all words in all files of a directory: which lines have the word?
 * A word is a longest run of ASCII letters, digits and _, as for grep -w in the
 * C locale. Read-only once loaded, so threads may share it.
 */
#ifndef DEMO_INDEX_H
#define DEMO_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct index_file {
	char name[NAME_SIZE];
	uint32_t first_line;	/* its lines are numbered through all files */
	uint32_t lines;
};

struct index_line {
	const char *text;
	uint32_t length;
};

struct index_word {
	const char *text;
	uint32_t length;
	uint32_t hits;
	uint32_t room;
	uint32_t *lines;	/* ascending, each line once */
};

struct index {
	struct index_file *files;	/* by name */
	uint32_t nr_files;
	struct index_line *lines;
	uint32_t nr_lines;
	struct index_word *words;	/* hash table, size a power of two */
	uint32_t nr_words;
	uint32_t table_size;
	size_t bytes;
};

void index_load(struct index *index, const char *directory);

/*
 * Answers a question: 0 or a negative errno. text is left pointing into the
 * index or into buffer, which has room for ANSWER_TEXT_MAX bytes.
 */
int index_answer(const struct index *index, const struct question *question,
		 struct answer *answer, const char **text, char *buffer);

#endif /* DEMO_INDEX_H */
