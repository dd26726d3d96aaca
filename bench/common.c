// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

char *out, *in;

void die(const char *what)
{
	fprintf(stderr, "kipc-bench: %s: %s\n", what, strerror(errno));
	_exit(1);
}

int check(int ret, const char *what)
{
	if (ret < 0)
		die(what);
	return ret;
}

void set_limit(const char *path, unsigned long value)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%lu", value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, (size_t)length) != length)
		die(path);
	close(fd);
}

void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static char *map(size_t size, int flags)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/* In huge pages, as far as the kernel has some */
static char *map_large(size_t size)
{
	size_t room = (size + BENCH_HUGE - 1) / BENCH_HUGE * BENCH_HUGE;
	uintptr_t start = (uintptr_t)map(room + BENCH_HUGE, 0);
	char *memory = (char *)((start + BENCH_HUGE - 1) / BENCH_HUGE * BENCH_HUGE);

	madvise(memory, room, MADV_HUGEPAGE);
	memset(memory, 0, room);
	return memory;
}

static char *buffer(size_t size)
{
	char *memory = size < BENCH_LARGE ? map(size + BENCH_HEADROOM, MAP_POPULATE) :
					    map_large(size + BENCH_HEADROOM);

	return memory + BENCH_HEADROOM;
}

static size_t buffer_size;

void own_buffers(void)
{
	if (buffer_size >= BENCH_LARGE)
		buffers(buffer_size);
}

void buffers(size_t size)
{
	buffer_size = size;
	out = buffer(size);
	in = buffer(size);
	for (size_t i = 0; i < size; i++)
		out[i] = (char)(i * 7 + 3);
}

uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void write_all(int fd, const void *data, size_t size)
{
	const char *next = data;

	while (size) {
		ssize_t done = write(fd, next, size);

		if (done < 0)
			die("write");
		next += done;
		size -= (size_t)done;
	}
}

void read_all(int fd, void *data, size_t size)
{
	char *next = data;

	while (size) {
		ssize_t done = read(fd, next, size);

		if (done <= 0)
			die("read");
		next += done;
		size -= (size_t)done;
	}
}

void bell_init(struct bell *bell, bool with_eventfd)
{
	bell->fd = with_eventfd ? check(eventfd(0, EFD_CLOEXEC), "eventfd") : -1;
}

/* The exchange orders the look at the sleeper after what the caller has stored. */
void bell_ring(struct bell *bell)
{
	const uint64_t one = 1;

	if (!atomic_exchange(&bell->asleep, 0))
		return;
	if (bell->fd < 0)
		check((int)syscall(SYS_futex, &bell->asleep, FUTEX_WAKE, 1, NULL, NULL, 0),
		      "FUTEX_WAKE");
	else if (write(bell->fd, &one, sizeof(one)) != sizeof(one))
		die("write to an eventfd");
}

/* May return early, as an eventfd can have been rung for a sleep that did not take place. */
void bell_sleep(struct bell *bell)
{
	uint64_t count;

	if (bell->fd < 0) {
		if (syscall(SYS_futex, &bell->asleep, FUTEX_WAIT, 1, NULL, NULL, 0) < 0 &&
		    errno != EAGAIN && errno != EINTR)
			die("FUTEX_WAIT");
	} else if (read(bell->fd, &count, sizeof(count)) != sizeof(count)) {
		die("read from an eventfd");
	}
}
