// SPDX-License-Identifier: GPL-2.0-or-later
/* The index of the demo's server: see index.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index.h"
#include "util.h"

/* ASCII only, whatever the locale */
static bool is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_';
}

static struct index_word *find_slot(struct index_word *words, uint32_t size,
				    const char *text, uint32_t length)
{
	uint32_t hash = 2166136261;	/* FNV-1a */

	for (uint32_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619;

	for (;; hash++) {
		struct index_word *word = &words[hash & (size - 1)];

		if (!word->text || (word->length == length &&
				    !memcmp(word->text, text, length)))
			return word;
	}
}

static void grow_table(struct index *index)
{
	uint32_t size = index->table_size ? index->table_size * 2 : 4096;
	struct index_word *words = allocate(size * sizeof(*words));

	for (uint32_t i = 0; i < index->table_size; i++) {
		struct index_word *word = &index->words[i];

		if (word->text)
			*find_slot(words, size, word->text, word->length) = *word;
	}
	free(index->words);
	index->words = words;
	index->table_size = size;
}

static void add_word(struct index *index, const char *text, uint32_t length)
{
	uint32_t line = index->nr_lines;
	struct index_word *word;

	if (index->nr_words >= index->table_size / 2)
		grow_table(index);

	word = find_slot(index->words, index->table_size, text, length);
	if (!word->text) {
		word->text = text;
		word->length = length;
		index->nr_words++;
	}
	if (word->hits && word->lines[word->hits - 1] == line)
		return;
	if (word->hits == word->room) {
		word->room = word->room ? word->room * 2 : 2;
		word->lines = realloc(word->lines, word->room * sizeof(*word->lines));
		if (!word->lines)
			die(0, "out of memory");
	}
	word->lines[word->hits++] = line;
}

static void add_line(struct index *index, const char *text, uint32_t length)
{
	for (uint32_t end, start = 0; start < length; start = end + 1) {
		for (end = start; end < length && is_word_byte(text[end]);)
			end++;
		if (end > start)
			add_word(index, text + start, end - start);
	}

	if (index->nr_lines % 4096 == 0) {
		index->lines = realloc(index->lines, (index->nr_lines + 4096) *
				       sizeof(*index->lines));
		if (!index->lines)
			die(0, "out of memory");
	}
	index->lines[index->nr_lines].text = text;
	index->lines[index->nr_lines++].length = length;
}

/* The mapping stays for as long as the index, which points into it. */
static void add_file(struct index *index, struct index_file *file,
		     const char *directory)
{
	const char *text, *end;
	struct stat status;
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status))
		die(-errno, "%s", path);

	file->first_line = index->nr_lines;
	if (status.st_size) {
		text = mmap(NULL, (size_t)status.st_size, PROT_READ,
			    MAP_PRIVATE | MAP_POPULATE, fd, 0);
		if (text == MAP_FAILED)
			die(-errno, "%s", path);
		end = text + status.st_size;
		while (text < end) {
			const char *stop = memchr(text, '\n', (size_t)(end - text));

			if (!stop)
				stop = end;
			add_line(index, text, (uint32_t)(stop - text));
			text = stop + 1;
		}
	}
	file->lines = index->nr_lines - file->first_line;
	index->bytes += (size_t)status.st_size;
	close(fd);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void index_load(struct index *index, const char *directory)
{
	struct dirent **entries;
	int count;

	memset(index, 0, sizeof(*index));
	count = scandir(directory, &entries, is_visible, compare_names);
	if (count < 0)
		die(-errno, "%s", directory);

	index->nr_files = (uint32_t)count;
	index->files = allocate(index->nr_files * sizeof(*index->files));
	for (uint32_t i = 0; i < index->nr_files; i++) {
		struct index_file *file = &index->files[i];

		if (strlen(entries[i]->d_name) >= sizeof(file->name))
			die(0, "%s: the name is too long", entries[i]->d_name);
		strcpy(file->name, entries[i]->d_name);
		free(entries[i]);
		add_file(index, file, directory);
	}
	free(entries);
	if (!index->nr_words)
		die(0, "%s: no text", directory);
}

/* How many of the word's lines come before this one? */
static uint32_t hits_before(const struct index_word *word, uint32_t line)
{
	uint32_t low = 0, high = word->hits;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (word->lines[middle] < line)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct index_file *find_file(const struct index *index,
					  const char *name)
{
	for (uint32_t i = 0; i < index->nr_files; i++)
		if (!strcmp(index->files[i].name, name))
			return &index->files[i];
	return NULL;
}

static void list_files(const struct index *index, const struct index_word *word,
		       struct answer *answer, char *buffer)
{
	for (uint32_t i = 0; i < index->nr_files; i++) {
		const struct index_file *file = &index->files[i];
		size_t length = strlen(file->name);

		if (hits_before(word, file->first_line) ==
		    hits_before(word, file->first_line + file->lines))
			continue;
		answer->value++;
		answer->full_length += (uint32_t)length + 1;
		if (answer->full_length > ANSWER_TEXT_MAX)
			continue;
		memcpy(buffer + answer->length, file->name, length);
		buffer[answer->length + length] = '\n';
		answer->length = answer->full_length;
	}
}

int index_answer(const struct index *index, const struct question *question,
		 struct answer *answer, const char **text, char *buffer)
{
	const struct index_word *word;
	const struct index_file *file;
	uint32_t first, hits, line;

	memset(answer, 0, sizeof(*answer));
	answer->number = question->number;
	answer->client = question->client;
	*text = buffer;

	/* The question came from somebody else: trust nothing in it. */
	if (!memchr(question->word, 0, sizeof(question->word)) ||
	    !memchr(question->file, 0, sizeof(question->file)))
		return -EINVAL;
	word = find_slot(index->words, index->table_size, question->word,
			 (uint32_t)strlen(question->word));

	if (question->kind == ASK_FILES) {
		list_files(index, word, answer, buffer);
		return 0;
	}

	file = find_file(index, question->file);
	if (!file)
		return -ENOENT;
	first = hits_before(word, file->first_line);
	hits = hits_before(word, file->first_line + file->lines) - first;

	switch (question->kind) {
	case ASK_COUNT:
		answer->value = hits;
		return 0;
	case ASK_FIRST:
		if (hits)
			answer->value = word->lines[first] - file->first_line + 1;
		return 0;
	case ASK_LINE:
		if (question->nth >= hits)
			return -ERANGE;
		line = word->lines[first + question->nth];
		answer->value = line - file->first_line + 1;
		answer->full_length = index->lines[line].length;
		answer->length = answer->full_length;
		if (answer->length > ANSWER_TEXT_MAX)
			answer->length = ANSWER_TEXT_MAX;
		*text = index->lines[line].text;
		return 0;
	default:
		return -EINVAL;
	}
}
