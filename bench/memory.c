// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shared memory, with a futex or an eventfd to sleep on. Messages are copied in
 * and out, as with all the others: what is received belongs to the receiver.
 *
 * Round trips: each client has a slot, with a state. The server looks at all of
 * them, and sleeps if nobody wants anything. One way: a ring of slots. Nobody
 * makes a system call to wake one who is awake.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"

enum { IDLE, REQUEST, REPLY };

struct slot {
	struct bell client;
	struct counter state;
	char bytes[];
};

static struct ring {
	struct bell data, room;
	struct counter head;	/* slots filled, ever */
	struct counter tail;	/* slots emptied, ever */
	char bytes[];
} *ring;

static struct bell *server;	/* one for each server */
static char *slots;
static size_t stride;
static unsigned int self;
static struct shape shape;
static int *many;

static struct slot *slot_of(unsigned int number)
{
	return (struct slot *)(void *)(slots + number * stride);
}

static void make_slots(unsigned int count, unsigned int servers, bool with_eventfd)
{
	stride = (sizeof(struct slot) + shape.size + 63) & ~(size_t)63;
	slots = shared(count * stride);
	server = shared(servers * sizeof(*server));
	for (unsigned int i = 0; i < count; i++)
		bell_init(&slot_of(i)->client, with_eventfd);
	for (unsigned int i = 0; i < servers; i++)
		bell_init(&server[i], with_eventfd);
}

static void open_rpc(const struct shape *wanted, bool with_eventfd)
{
	shape = *wanted;
	make_slots(shape.clients, 1, with_eventfd);
}

static void enter(int client)
{
	if (client != SERVER)
		self = (unsigned int)client;
}

static void call_by(struct slot *slot, struct bell *whom)
{
	memcpy(slot->bytes, out, shape.size);
	atomic_store(&slot->state.value, REQUEST);
	bell_ring(whom);
	while (atomic_load(&slot->state.value) != REPLY) {
		bell_arm(&slot->client);
		if (atomic_load(&slot->state.value) != REPLY)
			bell_sleep(&slot->client);
	}
	memcpy(in, slot->bytes, shape.size);
}

static void call(void)
{
	call_by(slot_of(self), &server[0]);
}

static bool answer(struct slot *slot)
{
	if (atomic_load(&slot->state.value) != REQUEST)
		return false;
	memcpy(in, slot->bytes, shape.size);
	memcpy(slot->bytes, in, shape.size);
	atomic_store(&slot->state.value, REPLY);
	bell_ring(&slot->client);
	return true;
}

static bool answer_all(void)
{
	bool any = false;

	for (unsigned int i = 0; i < shape.clients; i++)
		any |= answer(slot_of(i));
	return any;
}

static void serve(void)
{
	for (;;) {
		if (answer_all())
			continue;
		bell_arm(&server[0]);
		if (!answer_all())
			bell_sleep(&server[0]);
	}
}

static void open_oneway(const struct shape *wanted, bool with_eventfd)
{
	shape = *wanted;
	ring = shared(sizeof(*ring) + shape.depth * shape.size);
	bell_init(&ring->data, with_eventfd);
	bell_init(&ring->room, with_eventfd);
}

static void send_one(void)
{
	unsigned int head = atomic_load_explicit(&ring->head.value, memory_order_relaxed);

	while (atomic_load(&ring->tail.value) + shape.depth == head) {
		bell_arm(&ring->room);
		if (atomic_load(&ring->tail.value) + shape.depth == head)
			bell_sleep(&ring->room);
	}
	memcpy(ring->bytes + head % shape.depth * shape.size, out, shape.size);
	atomic_store(&ring->head.value, head + 1);
	bell_ring(&ring->data);
}

static void receive_one(void)
{
	unsigned int tail = atomic_load_explicit(&ring->tail.value, memory_order_relaxed);

	while (atomic_load(&ring->head.value) == tail) {
		bell_arm(&ring->data);
		if (atomic_load(&ring->head.value) == tail)
			bell_sleep(&ring->data);
	}
	memcpy(in, ring->bytes + tail % shape.depth * shape.size, shape.size);
	atomic_store(&ring->tail.value, tail + 1);
	bell_ring(&ring->room);
}

/* Type n's slot is number n - 1, and so is the bell of who waits for it. */
static void serve_type(unsigned int type)
{
	struct slot *slot = slot_of(type - 1);
	struct bell *bell = &server[type - 1];

	for (;;) {
		if (answer(slot))
			continue;
		bell_arm(bell);
		if (!answer(slot))
			bell_sleep(bell);
	}
}

static void call_type(unsigned int type)
{
	call_by(slot_of(type - 1), &server[type - 1]);
}

static void futex_open_rpc(const struct shape *wanted)
{
	open_rpc(wanted, false);
}

static void futex_open_oneway(const struct shape *wanted)
{
	open_oneway(wanted, false);
}

static void futex_open_waiters(unsigned int count)
{
	shape = (struct shape){ .size = BENCH_SMALL, .clients = count };
	make_slots(count, count, false);
}

const struct mechanism futex_shm = {
	.name = "futex + shm",
	.enter = enter,
	.open_rpc = futex_open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = futex_open_oneway,
	.send = send_one,
	.receive = receive_one,
	.open_waiters = futex_open_waiters,
	.serve_type = serve_type,
	.call_type = call_type,
};

static void eventfd_open_rpc(const struct shape *wanted)
{
	open_rpc(wanted, true);
}

static void eventfd_open_oneway(const struct shape *wanted)
{
	open_oneway(wanted, true);
}

/* The eventfds alone: where the bytes lie makes no difference here. */
static void eventfd_open_many(unsigned int count)
{
	many = calloc(count, sizeof(*many));
	for (unsigned int i = 0; i < count; i++)
		many[i] = check(eventfd(0, EFD_CLOEXEC), "eventfd");
}

static void eventfd_send_to(unsigned int number)
{
	const uint64_t one = 1;

	write_all(many[number], &one, sizeof(one));
}

static void eventfd_receive_from(unsigned int number)
{
	uint64_t count;

	read_all(many[number], &count, sizeof(count));
}

static int eventfd_fd_of(unsigned int number)
{
	return many[number];
}

const struct mechanism eventfd_shm = {
	.name = "eventfd + shm",
	.enter = enter,
	.open_rpc = eventfd_open_rpc,
	.call = call,
	.serve = serve,
	.open_oneway = eventfd_open_oneway,
	.send = send_one,
	.receive = receive_one,
	.open_many = eventfd_open_many,
	.send_to = eventfd_send_to,
	.receive_from = eventfd_receive_from,
	.fd_of = eventfd_fd_of,
};
