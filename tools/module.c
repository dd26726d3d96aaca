// SPDX-License-Identifier: GPL-2.0-or-later
/* The module as libkmod and /sys know it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <libkmod.h>

#include "module.h"
#include "tool.h"

bool read_line(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return false;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return true;
}

const char *module_state(void)
{
	static char state[32];

	if (read_line("/sys/module/" MODULE "/initstate", state, sizeof(state)))
		return state;
	return NULL;
}

const char *module_version(void)
{
	static char version[32];

	if (read_line("/sys/module/" MODULE "/version", version, sizeof(version)))
		return version;
	return NULL;
}

long module_references(void)
{
	char text[32];

	if (!read_line("/sys/module/" MODULE "/refcnt", text, sizeof(text)))
		return -1;
	return strtol(text, NULL, 10);
}

struct kmod_ctx *kmod_context(void)
{
	struct kmod_ctx *ctx = need(kmod_new(NULL, NULL));

	/* What goes wrong is told by us */
	kmod_set_log_priority(ctx, 0);
	return ctx;
}

const char *running_kernel(void)
{
	static struct utsname name;

	return uname(&name) ? "?" : name.release;
}

struct kmod_module *find_module(struct kmod_ctx *ctx, const char *file)
{
	struct kmod_module *module = NULL;
	struct kmod_list *list = NULL;

	if (file) {
		if (kmod_module_new_from_path(ctx, file, &module) < 0)
			return NULL;
		return module;
	}
	if (kmod_module_new_from_lookup(ctx, MODULE, &list) < 0 || !list)
		return NULL;
	module = kmod_module_get_module(list);
	kmod_module_unref_list(list);
	if (!kmod_module_get_path(module)) {
		kmod_module_unref(module);
		return NULL;
	}
	return module;
}

char *module_info(struct kmod_module *module, const char *key, const char *prefix)
{
	struct kmod_list *list = NULL, *at;
	char *found = NULL;

	if (kmod_module_get_info(module, &list) < 0)
		return NULL;
	kmod_list_foreach(at, list) {
		const char *value = kmod_module_info_get_value(at);

		if (!found && !strcmp(kmod_module_info_get_key(at), key) &&
		    (!prefix || !strncmp(value, prefix, strlen(prefix))))
			found = need(strdup(value));
	}
	kmod_module_info_free_list(list);
	return found;
}

bool is_built_for(struct kmod_module *module, char **kernel)
{
	*kernel = module_info(module, "vermagic", NULL);
	if (!*kernel)
		return false;
	(*kernel)[strcspn(*kernel, " ")] = 0;
	return !strcmp(*kernel, running_kernel());
}
