// SPDX-License-Identifier: GPL-2.0-or-later
/* How values are shown, to people and as JSON. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include <json-c/json.h>

#include "tool.h"

bool colours(FILE *file)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(file)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

/* Bytes of the UTF-8 sequence there, 0 if there is none */
static size_t utf8_length(const unsigned char *s, size_t size)
{
	static const unsigned int least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int value;
	size_t length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (length > size)
		return 0;
	value = s[0] & (0x7fU >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3fU);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0;
	return length;
}

bool is_utf8(const char *bytes, size_t size)
{
	for (size_t at = 0, length; at < size; at += length) {
		length = utf8_length((const unsigned char *)bytes + at, size - at);
		if (!length)
			return false;
	}
	return true;
}

/* Whether the terminal would show it as a character, and nothing else happens */
static bool is_shown(const char *bytes, size_t length)
{
	mbstate_t state = { 0 };
	wchar_t wide;

	if (length == 1)
		return bytes[0] >= ' ' && bytes[0] < 0x7f;
	return mbrtowc(&wide, bytes, length, &state) == length && iswprint((wint_t)wide);
}

char *printable(const char *bytes, size_t size)
{
	char *text = need(malloc(size * 4 + 1)), *to = text;
	size_t length;

	for (size_t at = 0; at < size; at += length) {
		length = utf8_length((const unsigned char *)bytes + at, size - at);
		if (length && is_shown(bytes + at, length) && bytes[at] != '\\') {
			memcpy(to, bytes + at, length);
			to += length;
			continue;
		}
		if (!length)
			length = 1;
		for (size_t i = 0; i < length; i++)
			to += sprintf(to, "\\x%02x", (unsigned char)bytes[at + i]);
	}
	*to = 0;
	return text;
}

const char *flags_text(unsigned int flags)
{
	static const struct {
		unsigned int flag;
		const char *name;
	} names[] = {
		{ KIPC_ENDPOINT_PERSIST, "persist" },
		{ KIPC_ENDPOINT_KEEP_BY_ANY, "keep-by-any" },
		{ KIPC_ENDPOINT_RENDEZVOUS, "rendezvous" },
		{ KIPC_ENDPOINT_ONEWAY, "oneway" },
		{ KIPC_ENDPOINT_FILES, "files" },
		{ KIPC_ENDPOINT_FIRST_COME, "first-come" },
		{ KIPC_ENDPOINT_MQUEUE, "mqueue" },
		{ KIPC_ENDPOINT_SYSV, "sysv" },
	};
	static char text[128];
	char *end = text;

	for (size_t i = 0; i < COUNT(names); i++) {
		if (flags & names[i].flag)
			end += sprintf(end, "%s%s", end == text ? "" : ",", names[i].name);
	}
	return end == text ? "-" : text;
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

/* A time of day, 0: never */
static void add_time(struct json_object *object, const char *key, int64_t when)
{
	char text[64];
	time_t seconds = (time_t)when;
	struct tm tm;

	if (!when || !localtime_r(&seconds, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm))
		json_object_object_add(object, key, NULL);
	else
		add_text(object, key, text);
}

/* A process, 0: none, or none that can be seen from here */
static void add_process(struct json_object *object, const char *key, int32_t pid)
{
	json_object_object_add(object, key, pid ? json_object_new_int(pid) : NULL);
}

struct json_object *endpoint_json(const struct kipc_endpoint *info)
{
	struct json_object *object = need(json_object_new_object());
	char text[24];

	add_number(object, "id", info->id);
	/* Not a number: readers of JSON have no 64 bits for one */
	snprintf(text, sizeof(text), "%#llx", (unsigned long long)info->key);
	json_object_object_add(object, "key", info->key ? json_object_new_string(text) : NULL);
	/* Any bytes; who prints them makes them fit to be shown */
	json_object_object_add(object, "name",
			       info->name[0] ? json_object_new_string(info->name) : NULL);
	snprintf(text, sizeof(text), "%04o", info->mode);
	add_text(object, "mode", text);
	add_text(object, "owner", user_name(info->uid));
	add_text(object, "group", group_name(info->gid));
	add_text(object, "creator", user_name(info->cuid));
	add_text(object, "creator_group", group_name(info->cgid));
	add_number(object, "uid", info->uid);
	add_number(object, "gid", info->gid);
	add_number(object, "cuid", info->cuid);
	add_number(object, "cgid", info->cgid);
	add_text(object, "flags", flags_text(info->flags));
	add_number(object, "msgs", info->msgs);
	add_number(object, "bytes", info->bytes);
	add_number(object, "calls", info->calls);
	add_number(object, "refused", info->refused);
	add_number(object, "receivers", info->receivers);
	add_number(object, "handles", info->handles);
	add_number(object, "waiters", info->waiters);
	add_number(object, "max_size", info->attr.max_size);
	add_number(object, "max_msgs", info->attr.max_msgs);
	add_number(object, "max_bytes", info->attr.max_bytes);
	add_time(object, "changed", info->changed);
	add_time(object, "sent", info->sent);
	add_time(object, "received", info->received);
	add_process(object, "sender", info->sender);
	add_process(object, "receiver", info->receiver);
	return object;
}

void print_json(struct json_object *object, FILE *file)
{
	fprintf(file, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void print_json_line(struct json_object *object)
{
	printf("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}
