// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of the tables and the policy of kipc-named, without the module: a hundred
 * thousand names, the share of a user, badges, and rules.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../named.h"

#define MANY 100000
#define DIRECTORY_ROOM 64

static int failures;

#define CHECK(condition) do {							\
	if (!(condition)) {							\
		printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);	\
		failures++;							\
	}									\
} while (0)

static int done(const char *name, int before)
{
	printf("%s named: %s\n", failures == before ? "ok" : "not ok", name);
	return failures;
}

/* What the rest of the program does with handles; here there are none. */
bool watch_handle(uint32_t slot)
{
	(void)slot;
	return true;
}

void unwatch_handle(uint32_t slot)
{
	(void)slot;
}

void keep_handle(uint32_t slot)
{
	(void)slot;
}

void keep_drop(uint32_t slot)
{
	(void)slot;
}

bool suspect_is_handle(int fd)
{
	(void)fd;
	return true;
}

static void test_names(void)
{
	char name[NAMED_NAME_ROOM];
	int refused = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "org.example.%u", i);
		CHECK(names_find(name) == NONE);
		CHECK(names_add(name, -1, 1, 0, 0) >= 0);
	}
	CHECK(names_count() == MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t slot;

		snprintf(name, sizeof(name), "org.example.%u", i);
		slot = names_find(name);
		CHECK(slot != NONE && !strcmp(state->names[slot].name, name));
		if (slot != NONE && i % 2)
			names_drop(slot);
	}
	CHECK(names_count() == MANY / 2);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "org.example.%u", i);
		CHECK((names_find(name) == NONE) == (i % 2));
	}
	/* A user has half of what is free; another one half of the rest. */
	for (uint32_t i = 0; i < NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "user.%u", i);
		if (names_add(name, -1, 1, 1000, 0) < 0) {
			refused++;
			break;
		}
	}
	CHECK(refused && names_count() == MANY / 2 + (NAMES_MAX - MANY / 2) / 2);
	CHECK(names_add("user.other", -1, 1, 1001, 0) >= 0);
	CHECK(names_add("user.root", -1, 1, 0, 0) >= 0);
}

static void test_badges(void)
{
	const struct registration *name = &state->names[names_find("user.root")];
	struct kipc_result who = { .uid = 7, .gid = 8, .pid = 9 };
	uint64_t first = clients_add(name, &who), last = 0;

	CHECK(first >> 32 == 7 && (uint32_t)first);
	CHECK(clients_find(first) && clients_find(first)->gid == 8);
	CHECK(!clients_find(first + 1) && !clients_find(0));
	for (uint32_t i = 1; i < GROUP_CLIENTS; i++)
		last = clients_add(name, &who);
	CHECK(clients_find(first) && clients_find(last));
	last = clients_add(name, &who);
	CHECK(!clients_find(first) && clients_find(last));
}

static void write_rules(const char *directory, const char *text)
{
	char path[DIRECTORY_ROOM + 16];
	FILE *file;

	snprintf(path, sizeof(path), "%s/a.conf", directory);
	file = fopen(path, "we");
	if (!file || fputs(text, file) < 0 || fclose(file))
		fail("%s", path);
}

static void test_policy(void)
{
	char directory[DIRECTORY_ROOM] = "/tmp/named-unit-XXXXXX", path[DIRECTORY_ROOM + 16];

	if (!mkdtemp(directory))
		fail("%s", directory);
	CHECK(!policy_allows(ACCESS_OWN, "a.b", 5, 5) && policy_allows(ACCESS_OWN, "a.b", 0, 0));
	write_rules(directory,
		    "own a.* user:5\nown a.b.* group:6\nown a.b.c nobody\nlook-up * any");
	CHECK(policy_load(directory));
	CHECK(policy_allows(ACCESS_OWN, "a.x", 5, 5) && !policy_allows(ACCESS_OWN, "a.x", 6, 5));
	CHECK(!policy_allows(ACCESS_OWN, "a", 5, 5) && !policy_allows(ACCESS_OWN, "ab.x", 5, 5));
	CHECK(policy_allows(ACCESS_OWN, "a.b", 5, 5) && !policy_allows(ACCESS_OWN, "a.b.x", 5, 5));
	CHECK(policy_allows(ACCESS_OWN, "a.b.x", 9, 6));
	CHECK(!policy_allows(ACCESS_OWN, "a.b.c", 9, 6));
	CHECK(policy_allows(ACCESS_OWN, "a.b.c.d", 9, 6));
	CHECK(policy_allows(ACCESS_OWN, "a.b.c", 0, 0));
	CHECK(policy_allows(ACCESS_LOOK_UP, "x", 9, 9));
	CHECK(!policy_allows(ACCESS_LOOK_UP, "x", KIPC_ID_UNMAPPED, 9));
	write_rules(directory, "own * any\nown a..b any\n");
	CHECK(!policy_load(directory) && !policy_allows(ACCESS_OWN, "x", 9, 9));
	CHECK(policy_allows(ACCESS_OWN, "a.x", 5, 5));
	snprintf(path, sizeof(path), "%s/a.conf", directory);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	int before = 0;

	state_create();
	names_init(NAMES_MAX);
	test_names();
	before = done("a hundred thousand names, and the share of a user", before);
	test_badges();
	before = done("the last badges of a user are known", before);
	test_policy();
	done("the longest prefix wins, and a bad file changes nothing", before);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
