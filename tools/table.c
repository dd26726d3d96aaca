// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables: which columns, in which order of rows, as text or as JSON. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>

#include <json-c/json.h>

#include "tool.h"

struct table {
	const struct column *columns;
	size_t count;
	const struct column **chosen;
	size_t chosen_count;
	const struct column *sort;
	bool descending;
	struct json_object **rows;
	size_t row_count;
	size_t room;
	int *widths;		/* of the chosen columns, once lines are made */
};

/* qsort(3) passes no context */
static const struct table *sorted;

struct table *table_new(const struct column *columns, size_t count)
{
	struct table *table = need(calloc(1, sizeof(*table)));

	table->columns = columns;
	table->count = count;
	table_choose(table, NULL);
	return table;
}

static const struct column *find_column(const struct table *table, const char *title, size_t length)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct column *column = &table->columns[i];

		if (strlen(column->title) == length && !strncasecmp(column->title, title, length))
			return column;
	}
	fprintf(stderr, "The columns are:");
	for (size_t i = 0; i < table->count; i++)
		fprintf(stderr, " %s", table->columns[i].title);
	fputc('\n', stderr);
	die_usage("there is no column '%.*s'", (int)length, title);
}

static void choose(struct table *table, const struct column *column)
{
	table->chosen = need(reallocarray(table->chosen, table->chosen_count + 1,
					  sizeof(const struct column *)));
	table->chosen[table->chosen_count++] = column;
	free(table->widths);
	table->widths = NULL;
}

void table_choose(struct table *table, const char *list)
{
	table->chosen_count = 0;
	if (!list || *list == '+') {
		for (size_t i = 0; i < table->count; i++) {
			if (table->columns[i].usual)
				choose(table, &table->columns[i]);
		}
		list = list ? list + 1 : "";
	}
	while (*list) {
		size_t length = strcspn(list, ",");

		choose(table, find_column(table, list, length));
		list += length;
		if (*list)
			list++;
	}
}

void table_sort(struct table *table, const char *column)
{
	table->descending = *column == '-';
	column += table->descending;
	table->sort = find_column(table, column, strlen(column));
}

void table_add(struct table *table, struct json_object *row)
{
	if (table->row_count == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->rows = need(reallocarray(table->rows, table->room,
						sizeof(struct json_object *)));
	}
	table->rows[table->row_count++] = row;
}

void table_clear(struct table *table)
{
	while (table->row_count)
		json_object_put(table->rows[--table->row_count]);
	free(table->widths);
	table->widths = NULL;
}

static int compare(const void *a, const void *b)
{
	struct json_object *const *left = a, *const *right = b;
	struct json_object *x = json_object_object_get(*left, sorted->sort->key);
	struct json_object *y = json_object_object_get(*right, sorted->sort->key);
	int order;

	if (!x || !y) {
		/* What has no value comes last, either way */
		return !x - !y;
	}
	if (sorted->sort->number && !json_object_is_type(x, json_type_string)) {
		double p = json_object_get_double(x), q = json_object_get_double(y);

		order = (p > q) - (p < q);
	} else if (sorted->sort->number) {
		uint64_t p = strtoull(json_object_get_string(x), NULL, 0);
		uint64_t q = strtoull(json_object_get_string(y), NULL, 0);

		order = (p > q) - (p < q);
	} else {
		order = strcmp(json_object_get_string(x), json_object_get_string(y));
	}
	return sorted->descending ? -order : order;
}

static void sort(struct table *table)
{
	sorted = table;
	if (table->sort && table->row_count)
		qsort(table->rows, table->row_count, sizeof(struct json_object *), compare);
}

static char *cell(const struct table *table, long row, const struct column *column)
{
	struct json_object *value;
	char number[32];

	if (row < 0)
		return need(strdup(column->title));
	value = json_object_object_get(table->rows[row], column->key);
	if (!value)
		return need(strdup("-"));
	if (json_object_is_type(value, json_type_double)) {
		snprintf(number, sizeof(number), "%.1f", json_object_get_double(value));
		return need(strdup(number));
	}
	if (json_object_is_type(value, json_type_string))
		return printable(json_object_get_string(value),
				 (size_t)json_object_get_string_len(value));
	return need(strdup(json_object_get_string(value)));
}

static int width_of(const char *text)
{
	wchar_t wide[1100];
	int width;

	if (mbstowcs(wide, text, COUNT(wide)) == (size_t)-1)
		return (int)strlen(text);
	width = wcswidth(wide, COUNT(wide));
	return width < 0 ? (int)strlen(text) : width;
}

static void find_widths(struct table *table)
{
	table->widths = need(calloc(table->chosen_count + 1, sizeof(int)));
	for (size_t i = 0; i < table->chosen_count; i++) {
		for (long row = -1; row < (long)table->row_count; row++) {
			char *text = cell(table, row, table->chosen[i]);
			int width = width_of(text);

			if (width > table->widths[i])
				table->widths[i] = width;
			free(text);
		}
	}
}

size_t table_rows(struct table *table)
{
	sort(table);
	return table->row_count;
}

char *table_line(struct table *table, long row)
{
	size_t size = 0;
	char *line = NULL;
	FILE *out = need(open_memstream(&line, &size));

	if (!table->widths)
		find_widths(table);
	for (size_t i = 0; i < table->chosen_count; i++) {
		const struct column *column = table->chosen[i];
		char *text = cell(table, row, column);
		int pad = table->widths[i] - width_of(text);
		bool last = i + 1 == table->chosen_count;

		if (column->number)
			fprintf(out, "%*s%s", pad, "", text);
		else
			fprintf(out, "%s%*s", text, last ? 0 : pad, "");
		if (!last)
			fputs("  ", out);
		free(text);
	}
	if (fclose(out))
		die(EXIT_LIMIT, "out of memory");
	return line;
}

void table_print(struct table *table, FILE *file, bool heading)
{
	long rows = (long)table_rows(table);

	for (long row = heading ? -1 : 0; row < rows; row++) {
		bool bold = row < 0 && colours(file);
		char *line = table_line(table, row);

		fprintf(file, "%s%s%s\n", bold ? "\033[1m" : "", line, bold ? "\033[0m" : "");
		free(line);
	}
}

/* JSON is UTF-8: where it is not, bytes that cannot be shown are written out */
static struct json_object *json_value(struct json_object *value)
{
	struct json_object *fit;
	size_t size;
	char *text;

	if (!json_object_is_type(value, json_type_string))
		return json_object_get(value);
	size = (size_t)json_object_get_string_len(value);
	if (is_utf8(json_object_get_string(value), size))
		return json_object_get(value);
	text = printable(json_object_get_string(value), size);
	fit = json_object_new_string(text);
	free(text);
	return fit;
}

void table_print_json(struct table *table, FILE *file)
{
	struct json_object *array = need(json_object_new_array());
	size_t rows = table_rows(table);

	for (size_t row = 0; row < rows; row++) {
		struct json_object *object = need(json_object_new_object());

		for (size_t i = 0; i < table->chosen_count; i++) {
			const char *key = table->chosen[i]->key;
			struct json_object *value = json_object_object_get(table->rows[row], key);

			json_object_object_add(object, key, json_value(value));
		}
		json_object_array_add(array, object);
	}
	print_json(array, file);
}

static const struct argp_option listing_options[] = {
	{ "output", 'O', "LIST", 0,
	  "Show these columns: NAME,OWNER; with + before, besides the usual ones", 0 },
	{ "sort", 's', "COLUMN", 0, "Sort by a column; with - before, descending", 0 },
	{ "json", 'J', NULL, 0, "Print JSON", 0 },
	{ "noheadings", 'n', NULL, 0, "Print no heading", 0 },
	{ 0 }
};

static error_t parse_listing(int key, char *arg, struct argp_state *state)
{
	struct listing *listing = state->input;

	switch (key) {
	case 'O':
		table_choose(listing->table, arg);
		return 0;
	case 's':
		table_sort(listing->table, arg);
		return 0;
	case 'J':
		listing->json = true;
		return 0;
	case 'n':
		listing->no_headings = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp listing_argp = { .options = listing_options, .parser = parse_listing };

void print_listing(const struct listing *listing)
{
	if (listing->json)
		table_print_json(listing->table, stdout);
	else
		table_print(listing->table, stdout, !listing->no_headings);
}
