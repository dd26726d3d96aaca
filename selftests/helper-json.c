// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * helper-json POINTER: reads one JSON document from standard input, strictly, and prints what
 * POINTER (RFC 6901) finds in it; "#" and a pointer: how many elements there are. Status 1: it
 * is no JSON, 3: there is nothing there.
 */
#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

int main(int argc, char **argv)
{
	static char text[1 << 20];
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *root, *found;
	const char *pointer = argc > 1 ? argv[1] : "";
	int length = (int)fread(text, 1, sizeof(text) - 1, stdin);

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* With the NUL, so that it knows that the document is over */
	root = json_tokener_parse_ex(tokener, text, length + 1);
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		fprintf(stderr, "no JSON: %s\n",
			json_tokener_error_desc(json_tokener_get_error(tokener)));
		return 1;
	}
	if (json_pointer_get(root, *pointer == '#' ? pointer + 1 : pointer, &found))
		return 3;
	if (*pointer == '#')
		printf("%zu\n", json_object_array_length(found));
	else
		printf("%s\n", found ? json_object_get_string(found) : "null");
	return 0;
}
