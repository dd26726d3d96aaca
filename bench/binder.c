// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Binder, by its ioctls. The server is the context manager. A round trip is one
 * ioctl of the client and two of the server, which the kernel tells in one that
 * the reply is on its way, and in the next of a request. What is received is read
 * where it lies, in a mapping of the receiver's.
 *
 * One-way transactions have no bound but the mapping's space, beyond which they
 * fail: the sender keeps to a window, of what the receiver has told to be free.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/android/binder.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"

#define MAPPING		(4UL << 20)	/* the largest */
/* One-way transactions get half of it, and need a little more than their bytes. */
#define ONEWAY_SPACE	(MAPPING / 2 - (256UL << 10))

static struct {
	char bytes[256];
	size_t used;
} commands;

static struct window {
	struct bell room;
	struct counter freed;	/* ever */
} *window;

static unsigned int width, sent;
static int device = -1;
static void *mapping;
static struct shape shape;
static binder_uintptr_t held;	/* buffer to be freed with the next commands */

static void command(uint32_t number, const void *data, size_t size)
{
	memcpy(commands.bytes + commands.used, &number, sizeof(number));
	memcpy(commands.bytes + commands.used + sizeof(number), data, size);
	commands.used += sizeof(number) + size;
}

static void transaction(uint32_t number, const char *bytes, uint32_t flags)
{
	struct binder_transaction_data data = {
		.flags = flags,
		.data_size = shape.size,
		.data.ptr.buffer = (uintptr_t)bytes,
	};

	command(number, &data, sizeof(data));
}

/* What was received before is needed no longer. */
static void free_held(void)
{
	if (held)
		command(BC_FREE_BUFFER, &held, sizeof(held));
	held = 0;
}

static void submit(void *answers, size_t room, size_t *got)
{
	struct binder_write_read both = {
		.write_size = commands.used,
		.write_buffer = (uintptr_t)commands.bytes,
		.read_size = room,
		.read_buffer = (uintptr_t)answers,
	};

	check(ioctl(device, BINDER_WRITE_READ, &both), "BINDER_WRITE_READ");
	commands.used = 0;
	*got = both.read_consumed;
}

/* Submits the commands, and reads on until @wanted comes; in is what it brings. */
static void submit_until(uint32_t wanted)
{
	for (;;) {
		char answers[256];
		bool found = false;
		size_t got;

		submit(answers, sizeof(answers), &got);
		for (char *next = answers; next < answers + got;) {
			struct binder_transaction_data data;
			uint32_t answer;

			memcpy(&answer, next, sizeof(answer));
			next += sizeof(answer);
			if (answer == BR_TRANSACTION || answer == BR_REPLY) {
				memcpy(&data, next, sizeof(data));
				if (data.data_size != shape.size)
					die("binder: wrong size");
				held = data.data.ptr.buffer;
				in = (char *)(uintptr_t)held;
			} else if (answer != BR_NOOP && answer != BR_TRANSACTION_COMPLETE) {
				errno = EPROTO;
				die("binder");
			}
			next += _IOC_SIZE(answer);
			found |= answer == wanted;
		}
		if (found)
			return;
	}
}

static bool can(const struct shape *wanted)
{
	return wanted->size <= ONEWAY_SPACE;
}

static void open_rpc(const struct shape *wanted)
{
	shape = *wanted;
}

/* Each process has its own device file and mapping. */
static void enter(int client)
{
	device = check(open("/dev/binder", O_RDWR | O_CLOEXEC), "/dev/binder");
	mapping = mmap(NULL, MAPPING, PROT_READ, MAP_PRIVATE, device, 0);
	if (mapping == MAP_FAILED)
		die("mmap of /dev/binder");
	if (client != SERVER)
		return;
	/* The manager of the case before may not be quite gone. */
	while (ioctl(device, BINDER_SET_CONTEXT_MGR, 0) < 0) {
		if (errno != EBUSY)
			die("BINDER_SET_CONTEXT_MGR");
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	command(BC_ENTER_LOOPER, "", 0);
	submit(NULL, 0, &(size_t){ 0 });
}

static void call(void)
{
	free_held();
	transaction(BC_TRANSACTION, out, 0);
	submit_until(BR_REPLY);
}

static void serve(void)
{
	for (;;) {
		submit_until(BR_TRANSACTION);
		transaction(BC_REPLY, in, 0);
		free_held();
		submit_until(BR_TRANSACTION_COMPLETE);
	}
}

static void open_oneway(const struct shape *wanted)
{
	shape = *wanted;
	width = shape.depth;
	if (width > ONEWAY_SPACE / shape.size)
		width = (unsigned int)(ONEWAY_SPACE / shape.size);
	window = shared(sizeof(*window));
	bell_init(&window->room, false);
}

static void send_one(void)
{
	while (sent - atomic_load(&window->freed.value) == width) {
		bell_arm(&window->room);
		if (sent - atomic_load(&window->freed.value) == width)
			bell_sleep(&window->room);
	}
	sent++;
	transaction(BC_TRANSACTION, out, TF_ONE_WAY);
	submit_until(BR_TRANSACTION_COMPLETE);
}

static void receive_one(void)
{
	bool freed = held;

	free_held();
	if (width == 1 && freed) {
		/* The read waits, and the sender would for it. */
		submit(NULL, 0, &(size_t){ 0 });
		atomic_fetch_add(&window->freed.value, 1);
		bell_ring(&window->room);
		freed = false;
	}
	submit_until(BR_TRANSACTION);
	if (freed) {
		atomic_fetch_add(&window->freed.value, 1);
		bell_ring(&window->room);
	}
}

const struct mechanism binder = {
	.name = "Binder",
	.can = can,
	.enter = enter,
	.open_rpc = open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = open_oneway,
	.send = send_one,
	.receive = receive_one,
};
