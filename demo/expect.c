// SPDX-License-Identifier: GPL-2.0-or-later
/* The right answers: see expect.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expect.h"
#include "util.h"

#define NO_SUCH_FILE	"no-such-file"

/* The lines of a file that stays mapped */
struct lines {
	const char *next;
	const char *end;
};

static struct lines map_lines(const char *path)
{
	struct stat status;
	struct lines lines;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status))
		die(-errno, "%s", path);
	lines.next = mmap(NULL, (size_t)status.st_size, PROT_READ,
			  MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (lines.next == MAP_FAILED)
		die(-errno, "%s", path);
	lines.end = lines.next + status.st_size;
	close(fd);
	return lines;
}

static const char *next_line(struct lines *lines, uint32_t *length)
{
	const char *line = lines->next;
	const char *stop;

	if (line >= lines->end)
		return NULL;
	stop = memchr(line, '\n', (size_t)(lines->end - line));
	if (!stop)
		stop = lines->end;
	*length = (uint32_t)(stop - line);
	lines->next = stop + 1;
	return line;
}

static uint32_t file_number(const struct expect *expect, const char *name,
			    size_t length, uint32_t guess)
{
	/* grep goes through the files in the order of the list. */
	for (uint32_t i = guess; i < expect->nr_files; i++)
		if (strlen(expect->files[i]) == length &&
		    !memcmp(expect->files[i], name, length))
			return i;
	die(0, "expected answers: unknown file %.*s", (int)length, name);
}

/* A line of grep -nH: file:number:text */
static void parse_match(struct expect *expect, struct expect_match *match,
			const char *line, uint32_t length, uint32_t guess)
{
	const char *colon = memchr(line, ':', length);
	char *after;

	if (!colon)
		die(0, "expected answers: %.*s", (int)length, line);
	match->file = file_number(expect, line, (size_t)(colon - line), guess);
	match->line = (uint32_t)strtoul(colon + 1, &after, 10);
	if (*after != ':')
		die(0, "expected answers: %.*s", (int)length, line);
	match->text = after + 1;
	match->length = length - (uint32_t)(after + 1 - line);
}

/*
 * The table: "<file" for each file, then for each word "=word" and what grep
 * printed.
 */
void expect_load(struct expect *expect, const char *path)
{
	struct lines lines = map_lines(path);
	struct lines again = lines;
	struct expect_word *word = NULL;
	uint32_t length, all = 0;
	const char *line;

	memset(expect, 0, sizeof(*expect));
	while (next_line(&again, &length))
		all++;
	expect->files = allocate(all * sizeof(*expect->files));
	expect->words = allocate(all * sizeof(*expect->words));
	expect->matches = allocate(all * sizeof(*expect->matches));

	while ((line = next_line(&lines, &length))) {
		struct expect_match *match = &expect->matches[expect->nr_matches];

		if (*line == '<') {
			expect->files[expect->nr_files++] = strndup(line + 1, length - 1);
		} else if (*line == '=') {
			word = &expect->words[expect->nr_words++];
			word->text = line + 1;
			word->length = length - 1;
			word->matches = match;
			if (word->length >= WORD_SIZE)
				die(0, "expected answers: the word is too long: %.*s",
				    (int)word->length, word->text);
		} else if (word) {
			parse_match(expect, match, line, length,
				    word->nr_matches ? match[-1].file : 0);
			word->nr_matches++;
			expect->nr_matches++;
		}
	}
	if (!expect->nr_files || !expect->nr_words || !expect->nr_matches)
		die(0, "%s: no expected answers", path);
}

static const struct expect_word *find_word(const struct expect *expect,
					   const char *text)
{
	for (uint32_t i = 0; i < expect->nr_words; i++) {
		const struct expect_word *word = &expect->words[i];

		if (strlen(text) == word->length &&
		    !memcmp(text, word->text, word->length))
			return word;
	}
	return NULL;
}

/* The word's matches in one file */
static const struct expect_match *matches_in(const struct expect *expect,
					     const struct expect_word *word,
					     const char *file, uint32_t *count)
{
	const struct expect_match *first = NULL;

	*count = 0;
	for (uint32_t i = 0; i < word->nr_matches; i++) {
		if (strcmp(expect->files[word->matches[i].file], file))
			continue;
		if (!first)
			first = &word->matches[i];
		++*count;
	}
	return first;
}

void expect_question(const struct expect *expect, uint32_t client,
		     uint64_t number, struct question *question)
{
	uint64_t random = number * 8 + client;
	const struct expect_match *match = NULL, *first;
	const struct expect_word *word;
	const char *file;
	uint32_t dice, count;

	memset(question, 0, sizeof(*question));
	question->client = client;
	question->number = number;

	word = &expect->words[random_below(&random, expect->nr_words)];
	memcpy(question->word, word->text, word->length);
	if (word->nr_matches)
		match = &word->matches[random_below(&random, word->nr_matches)];

	/* Half of the questions go to a file that has the word. */
	file = expect->files[random_below(&random, expect->nr_files)];
	if (match && random_below(&random, 2))
		file = expect->files[match->file];

	dice = random_below(&random, 100);
	if (dice < 5) {
		question->kind = ASK_COUNT;
		file = NO_SUCH_FILE;
	} else if (dice < 15) {
		question->kind = ASK_FILES;
	} else if (dice < 50 && match) {
		question->kind = ASK_LINE;
		file = expect->files[match->file];
		first = matches_in(expect, word, file, &count);
		question->nth = (uint32_t)(match - first);
	} else if (dice < 70) {
		question->kind = ASK_FIRST;
	} else {
		question->kind = ASK_COUNT;
	}
	strcpy(question->file, file);
}

static bool __attribute__((format(printf, 3, 4)))
wrong(char *why, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, size, format, arguments);
	va_end(arguments);
	return false;
}

static bool right_text(const struct expect_match *match,
		       const struct answer_message *message,
		       char *why, size_t why_size)
{
	const struct answer *answer = &message->answer;
	uint32_t length = match->length;

	if (length > ANSWER_TEXT_MAX)
		length = ANSWER_TEXT_MAX;
	if (answer->value == match->line && answer->full_length == match->length &&
	    answer->length == length && !memcmp(message->text, match->text, length))
		return true;
	return wrong(why, why_size, "expected line %u \"%.*s\", got line %u \"%.*s\"",
		     match->line, (int)length, match->text, answer->value,
		     (int)answer->length, message->text);
}

/* The answer lists each file that has the word once, in order. */
static bool right_files(const struct expect *expect,
			const struct expect_word *word,
			const struct answer_message *message,
			char *why, size_t why_size)
{
	const char *text = message->text, *end = text + message->answer.length;
	uint32_t count = 0;

	for (uint32_t i = 0; i < word->nr_matches; i++) {
		const char *name = expect->files[word->matches[i].file];
		size_t length = strlen(name);

		if (i && word->matches[i].file == word->matches[i - 1].file)
			continue;
		count++;
		if ((size_t)(end - text) < length + 1 ||
		    memcmp(text, name, length) || text[length] != '\n')
			return wrong(why, why_size, "expected %s as file %u, got \"%.*s\"",
				     name, count, (int)(end - text), text);
		text += length + 1;
	}
	if (message->answer.value == count && text == end)
		return true;
	return wrong(why, why_size, "expected %u files, got %u and after them \"%.*s\"",
		     count, message->answer.value, (int)(end - text), text);
}

bool expect_right(const struct expect *expect, const struct question *question,
		  int status, const struct answer_message *message, size_t size,
		  char *why, size_t why_size)
{
	const struct answer *answer = &message->answer;
	const struct expect_word *word = find_word(expect, question->word);
	bool refuse = !strcmp(question->file, NO_SUCH_FILE);
	const struct expect_match *match;
	uint32_t count, value;

	if (status != (refuse ? ENOENT : 0))
		return wrong(why, why_size, "expected %s, got %s",
			     refuse ? "a refusal (ENOENT)" : "an answer",
			     status ? strerror(status) : "an answer");
	if (refuse)
		return true;
	if (!word)
		return wrong(why, why_size, "nobody would ask for \"%s\"", question->word);
	if (size < sizeof(*answer) || size != sizeof(*answer) + answer->length)
		return wrong(why, why_size, "the answer has %zu bytes", size);
	if (answer->client != question->client || answer->number != question->number)
		return wrong(why, why_size, "got the answer to question %llu of client %u",
			     (unsigned long long)answer->number, answer->client);

	if (question->kind == ASK_FILES)
		return right_files(expect, word, message, why, why_size);

	match = matches_in(expect, word, question->file, &count);
	if (question->kind == ASK_LINE)
		return right_text(match + question->nth, message, why, why_size);

	value = count;
	if (question->kind == ASK_FIRST)
		value = match ? match->line : 0;
	if (answer->value == value && !answer->length)
		return true;
	return wrong(why, why_size, "expected %u, got %u", value, answer->value);
}

const char *question_text(const struct question *question, char *buffer,
			  size_t size)
{
	const char *word = question->word, *file = question->file;
	char what[128];

	switch (question->kind) {
	case ASK_COUNT:
		snprintf(what, sizeof(what), "lines with %s in %s", word, file);
		break;
	case ASK_FIRST:
		snprintf(what, sizeof(what), "first line with %s in %s", word, file);
		break;
	case ASK_LINE:
		snprintf(what, sizeof(what), "line %u of those with %s in %s",
			 question->nth, word, file);
		break;
	default:
		snprintf(what, sizeof(what), "files with %s", word);
	}
	snprintf(buffer, size, "question %llu (%s)",
		 (unsigned long long)question->number, what);
	return buffer;
}
