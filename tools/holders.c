// SPDX-License-Identifier: GPL-2.0-or-later
/* Which processes have the device or an endpoint open. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

/*
 * Is it a handle? Its link in /proc says so of most, but those with MQUEUE have the names of
 * queues; what is told of its state does of all.
 */
static bool is_handle(int infos, const char *fd)
{
	static const char endpoint[] = "kipc-endpoint:";
	int info = openat(infos, fd, O_RDONLY | O_CLOEXEC);
	FILE *lines = info < 0 ? NULL : fdopen(info, "r");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	if (!lines) {
		if (info >= 0)
			close(info);
		return false;
	}
	while (!found && getline(&line, &room, lines) > 0)
		found = !strncmp(line, endpoint, sizeof(endpoint) - 1);
	free(line);
	fclose(lines);
	return found;
}

/* What its descriptors are; returns false if that is not told */
static bool count_files(const char *pid, struct holder *holder)
{
	const struct dirent *entry;
	char path[64], target[64];
	DIR *directory;
	int infos;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	directory = opendir(path);
	if (!directory)
		return errno != EACCES && errno != EPERM;
	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo", pid);
	infos = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while ((entry = readdir(directory))) {
		ssize_t length = readlinkat(dirfd(directory), entry->d_name, target,
					    sizeof(target) - 1);

		if (length < 0)
			continue;
		target[length] = 0;
		if (!strcmp(target, DEVICE))
			holder->devices++;
		else if (infos >= 0 && is_handle(infos, entry->d_name))
			holder->handles++;
	}
	if (infos >= 0)
		close(infos);
	closedir(directory);
	return true;
}

static void describe(const char *pid, struct holder *holder)
{
	struct stat st;
	char path[64];
	ssize_t n = 0;
	int fd;

	holder->pid = (pid_t)strtol(pid, NULL, 10);
	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		holder->uid = fstat(fd, &st) ? KIPC_ID_UNMAPPED : st.st_uid;
		n = read(fd, holder->comm, sizeof(holder->comm) - 1);
		close(fd);
	}
	if (n > 0 && holder->comm[n - 1] == '\n')
		n--;
	holder->comm[n < 0 ? 0 : n] = 0;
}

size_t find_holders(struct holder **holders, bool *hidden)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	size_t count = 0;

	*holders = NULL;
	*hidden = !directory;
	while (directory && (entry = readdir(directory))) {
		struct holder holder = { 0 };

		/* Not this program itself */
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    strtol(entry->d_name, NULL, 10) == getpid())
			continue;
		if (!count_files(entry->d_name, &holder))
			*hidden = true;
		if (!holder.devices && !holder.handles)
			continue;
		describe(entry->d_name, &holder);
		*holders = need(reallocarray(*holders, count + 1, sizeof(holder)));
		(*holders)[count++] = holder;
	}
	if (directory)
		closedir(directory);
	return count;
}

static void print_persistent(FILE *file, const char *indent)
{
	int dev = kipc_open_device();
	struct kipc_endpoint info;
	unsigned int count = 0;
	uint32_t id = 0;

	if (dev < 0)
		return;
	while (!kipc_next(dev, id, &id))
		count += !kipc_stat(dev, id, &info) && info.flags & KIPC_ENDPOINT_PERSIST;
	close(dev);
	if (count)
		fprintf(file, "%s%u endpoint%s that live%s until removed: see 'kipc ls', 'kipc "
			      "rm'\n",
			indent, count, count == 1 ? "" : "s", count == 1 ? "s" : "");
}

void print_holders(FILE *file, const char *indent)
{
	struct holder *holders;
	bool hidden;
	size_t count = find_holders(&holders, &hidden);

	for (size_t i = 0; i < count; i++) {
		const struct holder *holder = &holders[i];
		char *comm = printable(holder->comm, strlen(holder->comm));

		fprintf(file, "%sprocess %d (%s) of %s: %u device file%s, %u handle%s\n", indent,
			holder->pid, comm, user_name(holder->uid), holder->devices,
			holder->devices == 1 ? "" : "s", holder->handles,
			holder->handles == 1 ? "" : "s");
		free(comm);
	}
	free(holders);
	print_persistent(file, indent);
	if (hidden)
		fprintf(file, "%sthere may be more: root sees the files of all "
			      "processes\n", indent);
}
