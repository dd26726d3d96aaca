// SPDX-License-Identifier: GPL-2.0-or-later
/* What the fuzzer sets and asks of the machine, not through kipc. */
#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "fuzz.h"

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		die(path);
}

/* Everything may fail, and silently: what is injected prints a call trace otherwise */
void faults_open(void)
{
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

/* Objects in the slab caches of the module; those that a CPU keeps are given back first */
unsigned long slab_objects(char *names, size_t room)
{
	struct dirent *entry;
	unsigned long sum = 0, n;
	DIR *dir = opendir("/sys/kernel/slab");
	char path[300];
	FILE *file;

	*names = 0;
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "kipc_", 5))
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", entry->d_name);
		file = fopen(path, "w");
		if (file) {
			fputs("1", file);
			fclose(file);
		}
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", entry->d_name);
		file = fopen(path, "r");
		if (!file || fscanf(file, "%lu", &n) != 1)
			die("/sys/kernel/slab");
		fclose(file);
		sum += n;
		if (n)
			snprintf(names, room, "%.100s: %lu", entry->d_name, n);
	}
	if (!dir)
		die("/sys/kernel/slab");
	closedir(dir);
	return sum;
}

/* Module parameters */

static uint64_t defaults[32];
static bool changed;

static FILE *param(unsigned int which, const char *mode)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/module/kipc/parameters/%s", kinds[OP_PARAM].how[which]);
	return fopen(path, mode);
}

void read_params(void)
{
	unsigned int i;

	for (i = 0; i < hows_of(&kinds[OP_PARAM]); i++) {
		FILE *file = param(i, "r");

		if (!file || fscanf(file, "%lu", &defaults[i]) != 1)
			die("a parameter of the module cannot be read");
		fclose(file);
	}
}

void set_param(unsigned int which, uint64_t to)
{
	FILE *file = param(which, "w");

	changed = true;
	if (!file)
		die("a parameter of the module cannot be set");
	fprintf(file, "%lu", to);
	fclose(file);	/* it may be refused */
}

void reset_params(void)
{
	unsigned int i;

	for (i = 0; changed && i < hows_of(&kinds[OP_PARAM]); i++)
		set_param(i, defaults[i]);
	changed = false;
}
