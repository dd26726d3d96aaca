// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * words DIRECTORY COUNT: chooses words to ask about, the same ones in every
 * run, from rare to frequent. Some are cut or made up, to ask for what is not
 * there or only as a part of longer words.
 */
#include "index.h"
#include "util.h"

#define MOST_HITS	250	/* a word on more lines makes the table long */

static int compare_words(const void *a, const void *b)
{
	const struct index_word *const *first = a, *const *second = b;
	uint32_t shorter;
	int order;

	if ((*first)->hits != (*second)->hits)
		return (*first)->hits < (*second)->hits ? -1 : 1;
	/* Not by place in memory or in the table: the texts decide. */
	shorter = (*first)->length < (*second)->length ?
		  (*first)->length : (*second)->length;
	order = memcmp((*first)->text, (*second)->text, shorter);
	return order ? order : (int)(*first)->length - (int)(*second)->length;
}

int main(int argc, char **argv)
{
	const struct index_word **words;
	struct index index;
	uint32_t usable = 0, wanted;

	if (argc != 3)
		die(0, "usage: words DIRECTORY COUNT");
	index_load(&index, argv[1]);
	wanted = (uint32_t)strtoul(argv[2], NULL, 10);

	words = allocate(index.nr_words * sizeof(*words));
	for (uint32_t i = 0; i < index.table_size; i++) {
		const struct index_word *word = &index.words[i];

		if (word->hits && word->hits <= MOST_HITS && word->length > 2 &&
		    word->length < WORD_SIZE)
			words[usable++] = word;
	}
	qsort(words, usable, sizeof(*words), compare_words);

	/* Most words are rare: go up faster than evenly. */
	for (uint32_t i = 0; i < wanted; i++) {
		double part = 1 - (double)i / wanted;
		uint32_t choice = (uint32_t)((1 - part * part) * usable);
		const struct index_word *word = words[choice];
		uint32_t cut = i % 10 == 9 ? 2 : 0;

		printf("%.*s\n", (int)(word->length - cut), word->text);
	}
	printf("kipc_is_not_in_here\n");
	return 0;
}
