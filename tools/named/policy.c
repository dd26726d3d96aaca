// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who may own which names and who may look them up: kipc-named.conf(5).
 *
 * Rules are sorted by access and pattern; what an exact name or each of its prefixes
 * says is found by bisection, the longest first. Users and groups are looked up when
 * the files are read, members of groups with them, by a thread of its own: nobody
 * waits for a directory service while serving.
 */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "named.h"

#define WORDS		3
#define BLANK		" \t\r\n"

enum who {
	WHO_ANY,
	WHO_NOBODY,
	WHO_USER,
	WHO_GROUP,
};

struct rule {
	enum access access;
	enum who who;
	uint32_t id;
	char *pattern;		/* a name; with its last dot: all below; "": all names */
	uint32_t *members;	/* users in the group, by the database of groups */
	uint32_t nmembers;
};

struct policy {
	struct rule *rule;
	size_t count;
};

static struct policy policy;

/* Where in the files we are, for what is said of errors */
struct place {
	const char *file;
	unsigned int line;
};

static bool refuse(const struct place *place, const char *why, const char *what)
{
	complain("%s:%u: %s: %s; the policy stays as it was", place->file, place->line, what, why);
	return false;
}

static void policy_free(struct policy *old)
{
	for (size_t i = 0; i < old->count; i++) {
		free(old->rule[i].pattern);
		free(old->rule[i].members);
	}
	free(old->rule);
	*old = (struct policy){ 0 };
}

/* A decimal number; the highest is no id */
static bool number(const char *text, uint32_t *value)
{
	unsigned long long sum;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	sum = strtoull(text, &end, 10);
	*value = (uint32_t)sum;
	return !errno && !*end && sum < UINT32_MAX;
}

static bool add_member(struct rule *rule, uint32_t uid)
{
	uint32_t *grown = realloc(rule->members, (rule->nmembers + 1) * sizeof(*grown));

	if (!grown)
		return false;
	rule->members = grown;
	rule->members[rule->nmembers++] = uid;
	return true;
}

static bool parse_group(const struct place *place, const char *text, struct rule *rule)
{
	const struct group *group;

	rule->who = WHO_GROUP;
	if (number(text, &rule->id)) {
		group = getgrgid(rule->id);
	} else {
		group = getgrnam(text);
		if (!group)
			return refuse(place, "no such group", text);
		rule->id = group->gr_gid;
	}
	for (char **name = group ? group->gr_mem : NULL; name && *name; name++) {
		const struct passwd *user = getpwnam(*name);

		if (user && !add_member(rule, user->pw_uid))
			return refuse(place, strerror(ENOMEM), text);
	}
	return true;
}

static bool parse_who(const struct place *place, const char *text, struct rule *rule)
{
	if (!strcmp(text, "any")) {
		rule->who = WHO_ANY;
		return true;
	}
	if (!strcmp(text, "nobody")) {
		rule->who = WHO_NOBODY;
		return true;
	}
	if (!strncmp(text, "user:", 5)) {
		const struct passwd *user;

		rule->who = WHO_USER;
		if (number(text + 5, &rule->id))
			return true;
		user = getpwnam(text + 5);
		if (!user)
			return refuse(place, "no such user", text + 5);
		rule->id = user->pw_uid;
		return true;
	}
	if (!strncmp(text, "group:", 6))
		return parse_group(place, text + 6, rule);
	return refuse(place, "neither any, nobody, user:NAME nor group:NAME", text);
}

static bool parse_pattern(const struct place *place, const char *text, struct rule *rule)
{
	size_t size = strlen(text);
	bool good;

	rule->pattern = strdup(text);
	if (!rule->pattern)
		return refuse(place, strerror(ENOMEM), text);
	if (!strcmp(text, "*")) {
		rule->pattern[0] = '\0';
		return true;
	}
	if (size >= NAMED_NAME_ROOM)
		return refuse(place, "longer than a name can be", text);
	if (size > 2 && !strcmp(text + size - 2, ".*")) {
		rule->pattern[size - 2] = '\0';
		good = name_valid(rule->pattern);
		rule->pattern[size - 2] = '.';
		rule->pattern[size - 1] = '\0';
	} else {
		good = name_valid(text);
	}
	return good || refuse(place, "neither a name, NAME.* nor *", text);
}

static bool parse_line(const struct place *place, char *line, struct policy *to)
{
	struct rule *grown, *rule;
	char *word[WORDS + 1] = { 0 }, *rest = line;
	unsigned int words = 0;

	line[strcspn(line, "#")] = '\0';
	while (words <= WORDS) {
		word[words] = strtok_r(NULL, BLANK, &rest);
		if (!word[words])
			break;
		words++;
	}
	if (!words)
		return true;
	if (words != WORDS)
		return refuse(place, "not three words: own or look-up, a name, who", word[0]);

	grown = realloc(to->rule, (to->count + 1) * sizeof(*grown));
	if (!grown)
		return refuse(place, strerror(ENOMEM), word[0]);
	to->rule = grown;
	rule = &to->rule[to->count++];
	*rule = (struct rule){ 0 };
	if (!strcmp(word[0], "own"))
		rule->access = ACCESS_OWN;
	else if (!strcmp(word[0], "look-up"))
		rule->access = ACCESS_LOOK_UP;
	else
		return refuse(place, "neither own nor look-up", word[0]);
	return parse_pattern(place, word[1], rule) && parse_who(place, word[2], rule);
}

static bool parse_file(const char *path, struct policy *to)
{
	struct place place = { .file = path };
	FILE *file = fopen(path, "re");
	bool good = true;
	char *line = NULL;
	size_t room = 0;
	ssize_t size;

	if (!file)
		return refuse(&place, strerror(errno), "cannot be opened");
	while (good && (size = getline(&line, &room, file)) >= 0) {
		place.line++;
		if (memchr(line, '\0', (size_t)size))
			good = refuse(&place, "no text", "a NUL");
		else
			good = parse_line(&place, line, to);
	}
	if (good && ferror(file))
		good = refuse(&place, strerror(errno), "cannot be read");
	free(line);
	fclose(file);
	return good;
}

static int rule_order(const void *left, const void *right)
{
	const struct rule *a = left, *b = right;

	if (a->access != b->access)
		return a->access < b->access ? -1 : 1;
	return strcmp(a->pattern, b->pattern);
}

static int is_policy(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name);

	return entry->d_name[0] != '.' && size > 5 && !strcmp(entry->d_name + size - 5, ".conf");
}

static bool policy_read(const char *directory, struct policy *to)
{
	struct dirent **entry;
	int count = scandir(directory, &entry, is_policy, alphasort);
	bool good = true;

	/* Without a directory nobody but root may do anything: no error. */
	if (count < 0 && errno != ENOENT) {
		complain("%s: %s; the policy stays as it was", directory, strerror(errno));
		return false;
	}
	for (int i = 0; i < count; i++) {
		char *path = NULL;

		if (good) {
			good = asprintf(&path, "%s/%s", directory, entry[i]->d_name) >= 0 &&
			       parse_file(path, to);
			free(path);
		}
		free(entry[i]);
	}
	if (count >= 0)
		free(entry);
	if (!good) {
		policy_free(to);
		return false;
	}
	if (to->count)
		qsort(to->rule, to->count, sizeof(*to->rule), rule_order);
	return true;
}

static void policy_replace(const struct policy *by)
{
	policy_free(&policy);
	policy = *by;
}

bool policy_load(const char *directory)
{
	struct policy loaded = { 0 };

	if (!policy_read(directory, &loaded))
		return false;
	policy_replace(&loaded);
	return true;
}

/* Of the thread that reads, until it has written to @done */
static struct {
	pthread_t thread;
	const char *directory;
	struct policy loaded;
	bool good;
	int done;
} reading = { .done = -1 };

static void *policy_read_all(void *unused)
{
	const uint64_t one = 1;

	reading.good = policy_read(reading.directory, &reading.loaded);
	if (write(reading.done, &one, sizeof(one)) != sizeof(one))
		fail("the policy was read, which cannot be told: %s", strerror(errno));
	return unused;
}

int policy_begin(const char *directory)
{
	int error;

	if (reading.done < 0)
		reading.done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (reading.done < 0) {
		complain("%s; the policy stays as it was", strerror(errno));
		return -1;
	}
	reading.directory = directory;
	reading.loaded = (struct policy){ 0 };
	error = pthread_create(&reading.thread, NULL, policy_read_all, NULL);
	if (error) {
		complain("%s; the policy stays as it was", strerror(error));
		return -1;
	}
	return reading.done;
}

bool policy_end(void)
{
	uint64_t count;

	if (read(reading.done, &count, sizeof(count)) != sizeof(count))
		return false;
	pthread_join(reading.thread, NULL);
	if (reading.good)
		policy_replace(&reading.loaded);
	return reading.good;
}

static bool rule_is_about(const struct rule *rule, uint32_t uid, uint32_t gid)
{
	switch (rule->who) {
	case WHO_ANY:
		return true;
	case WHO_NOBODY:
		return false;
	case WHO_USER:
		return rule->id == uid;
	case WHO_GROUP:
		break;
	}
	if (rule->id == gid)
		return true;
	for (uint32_t i = 0; i < rule->nmembers; i++)
		if (rule->members[i] == uid)
			return true;
	return false;
}

/* What the rules of this very pattern say: 1 yes, 0 no, -1 there are none */
static int ask(enum access access, char *pattern, uint32_t uid, uint32_t gid)
{
	const struct rule wanted = { .access = access, .pattern = pattern };
	size_t low = 0, high = policy.count;
	int answer = -1;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rule_order(&policy.rule[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < policy.count && !rule_order(&policy.rule[low], &wanted); low++) {
		answer = rule_is_about(&policy.rule[low], uid, gid);
		if (answer)
			break;
	}
	return answer;
}

bool policy_allows(enum access access, const char *name, uint32_t uid, uint32_t gid)
{
	char pattern[NAMED_NAME_ROOM];
	size_t size = strlen(name);
	int answer;

	/* A user that has no id here is nobody, whatever the rules say of any. */
	if (uid == KIPC_ID_UNMAPPED)
		return false;
	if (!uid)
		return true;
	memcpy(pattern, name, size + 1);
	answer = ask(access, pattern, uid, gid);
	while (answer < 0 && size) {
		/* The prefix before, with its dot */
		size--;
		while (size && pattern[size - 1] != '.')
			size--;
		pattern[size] = '\0';
		answer = ask(access, pattern, uid, gid);
	}
	return answer > 0;
}
