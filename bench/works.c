// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "works.h"

typedef void entry_fn(void);

static const struct plan impossible;

static const struct mechanism *with;
static unsigned int clients, places = 1;

static size_t expected;

/* The bytes must really have travelled. One look is enough, in the first round. */
static void check_bytes(void)
{
	if (memcmp(in, out, expected)) {
		errno = EBADMSG;
		die("other bytes than were sent");
	}
	expected = 0;
}

static void do_calls(uint64_t count)
{
	for (uint64_t i = 0; i < count; i += clients)
		with->call();
	check_bytes();
}

static void do_serve(unsigned int number)
{
	(void)number;
	with->serve();
}

static struct plan rpc(const struct mechanism *mechanism, const struct shape *shape)
{
	with = mechanism;
	clients = shape->clients;
	expected = shape->size;
	if (!with->call || (with->can && !with->can(shape)))
		return impossible;
	buffers(shape->size);
	with->open_rpc(shape);
	team_serve(with, do_serve, 0);
	for (unsigned int i = 0; i < clients; i++)
		team_join(with, do_calls, (int)i);
	return (struct plan){ .round = team_round, .begin = with->call };
}

static struct plan prepare_rpc(const struct mechanism *mechanism, unsigned int size)
{
	return rpc(mechanism, &(struct shape){ .size = size, .clients = 1 });
}

static struct plan prepare_clients(const struct mechanism *mechanism, unsigned int count)
{
	return rpc(mechanism, &(struct shape){
		.size = BENCH_SMALL,
		.clients = count,
		.crowd = true,
	});
}

static void do_sends(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		with->send();
}

static void do_receives(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		with->receive();
	check_bytes();
}

static void do_send_batches(uint64_t count)
{
	for (uint64_t done = 0; done < count;) {
		uint64_t left = count - done;

		done += with->send_batch(left < BENCH_BATCH ? (unsigned int)left : BENCH_BATCH);
	}
}

static void do_receive_batches(uint64_t count)
{
	for (uint64_t done = 0; done < count;) {
		uint64_t left = count - done;

		done += with->receive_batch(left < BENCH_BATCH ? (unsigned int)left : BENCH_BATCH);
	}
	check_bytes();
}

/* The queue holds 256 KiB, but not more than 64 and not less than 2 messages. */
static unsigned int depth_for(unsigned int size)
{
	unsigned int depth = (256U << 10) / size;

	if (depth > 64)
		return 64;
	return depth < 2 ? 2 : depth;
}

static struct plan oneway(const struct mechanism *mechanism, unsigned int size, role_fn *sender,
			  role_fn *receiver)
{
	const struct shape shape = { .size = size, .clients = 1, .depth = depth_for(size) };

	with = mechanism;
	expected = size;
	if (!with->send || (with->can && !with->can(&shape)))
		return impossible;
	buffers(size);
	with->open_oneway(&shape);
	team_join(with, receiver, SERVER);
	team_join(with, sender, 0);
	return (struct plan){
		.round = team_round,
		.begin = sender == do_sends ? with->send : (entry_fn *)with->send_batch,
		.other = receiver == do_receives ? with->receive : (entry_fn *)with->receive_batch,
	};
}

static struct plan prepare_oneway(const struct mechanism *mechanism, unsigned int size)
{
	return oneway(mechanism, size, do_sends, do_receives);
}

static struct plan prepare_receive_batch(const struct mechanism *mechanism, unsigned int size)
{
	if (!mechanism->receive_batch)
		return impossible;
	return oneway(mechanism, size, do_sends, do_receive_batches);
}

static struct plan prepare_batch(const struct mechanism *mechanism, unsigned int size)
{
	if (!mechanism->send_batch || !mechanism->receive_batch)
		return impossible;
	return oneway(mechanism, size, do_send_batches, do_receive_batches);
}

/* Of one process with many descriptors */
static void many_files(void)
{
	const struct rlimit limit = { 1 << 20, 1 << 20 };

	check(setrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
}

/* The same places in each run, far apart */
static unsigned int place(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005 + 1442695040888963407;
	return (unsigned int)((state >> 32) * places >> 32);
}

/* The wanted ones stand behind all others; only the receives count. */
static uint64_t typed_round(uint64_t count)
{
	uint64_t time = 0;

	for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
		uint64_t start;

		for (unsigned int i = 0; i < BENCH_BATCH; i++)
			with->send_type(2);
		start = now();
		for (unsigned int i = 0; i < BENCH_BATCH; i++)
			with->receive_type(2);
		time += now() - start;
	}
	return time;
}

static struct plan prepare_typed(const struct mechanism *mechanism, unsigned int depth)
{
	with = mechanism;
	if (!with->open_typed)
		return impossible;
	buffers(BENCH_SMALL);
	with->open_typed(depth);
	for (unsigned int i = 0; i < depth; i++)
		with->send_type(1);
	return (struct plan){
		.round = typed_round,
		.begin = (entry_fn *)with->receive_type,
		.other = (entry_fn *)with->send_type,
	};
}

/* Every one has another priority, above that of those who stand in the queue all the time. */
static uint64_t prio_round(uint64_t count)
{
	uint64_t start = now();

	for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
		for (unsigned int i = 0; i < BENCH_BATCH; i++)
			with->send_prio(2 + i * 7 % BENCH_BATCH);
		for (unsigned int i = BENCH_BATCH; i > 0; i--)
			with->receive_prio(1 + i);
	}
	return now() - start;
}

static struct plan prepare_prio(const struct mechanism *mechanism, unsigned int depth)
{
	with = mechanism;
	buffers(BENCH_SMALL);
	with->open_prio(depth);
	for (unsigned int i = 0; i < depth; i++)
		with->send_prio(1);
	return (struct plan){
		.round = prio_round,
		.begin = (entry_fn *)with->send_prio,
		.other = (entry_fn *)with->receive_prio,
	};
}

/* The queue is filled, then emptied. */
static uint64_t burst_round(uint64_t count)
{
	uint64_t start = now();

	for (uint64_t done = 0, burst; done < count; done += burst) {
		burst = count - done < places ? count - done : places;
		do_sends(burst);
		do_receives(burst);
	}
	return now() - start;
}

static struct plan prepare_burst(const struct mechanism *mechanism, unsigned int depth)
{
	with = mechanism;
	expected = BENCH_SMALL;
	places = depth;
	buffers(BENCH_SMALL);
	with->open_oneway(&(struct shape){ .size = BENCH_SMALL, .clients = 1, .depth = depth });
	return (struct plan){ .round = burst_round, .begin = with->send, .other = with->receive };
}

/* Only the sends count. */
static uint64_t endpoints_round(uint64_t count)
{
	uint64_t time = 0;

	for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
		unsigned int to[BENCH_BATCH];
		uint64_t start;

		for (unsigned int i = 0; i < BENCH_BATCH; i++)
			to[i] = place();
		start = now();
		for (unsigned int i = 0; i < BENCH_BATCH; i++)
			with->send_to(to[i]);
		time += now() - start;
		for (unsigned int i = 0; i < BENCH_BATCH; i++)
			with->receive_from(to[i]);
	}
	return time;
}

static bool open_many(const struct mechanism *mechanism, unsigned int count)
{
	const struct shape shape = { .size = BENCH_SMALL, .clients = count };

	with = mechanism;
	places = count;
	if (!with->open_many || (with->can && !with->can(&shape)))
		return false;
	many_files();
	buffers(BENCH_SMALL);
	with->open_many(count);
	return true;
}

/* With descriptors there is nothing to look up among the others. */
static struct plan prepare_endpoints(const struct mechanism *mechanism, unsigned int count)
{
	if (mechanism != &kipc && mechanism != &sysv)
		return impossible;
	if (!open_many(mechanism, count))
		return impossible;
	return (struct plan){
		.round = endpoints_round,
		.begin = (entry_fn *)with->send_to,
		.other = (entry_fn *)with->receive_from,
	};
}

static int epoll;

/* The waits and the receives count. */
static uint64_t epoll_round(uint64_t count)
{
	uint64_t time = 0;

	for (uint64_t done = 0; done < count; done += BENCH_BATCH) {
		uint64_t start;
		unsigned int first = place();

		/* Each another one: an eventfd would count what comes twice, and be ready once. */
		for (unsigned int i = 0; i < BENCH_BATCH; i++)
			with->send_to((first + i * 7) % places);
		start = now();
		for (unsigned int i = 0; i < BENCH_BATCH; i++) {
			struct epoll_event event;

			if (epoll_wait(epoll, &event, 1, -1) != 1)
				die("epoll_wait");
			with->receive_from(event.data.u32);
		}
		time += now() - start;
	}
	return time;
}

static struct plan prepare_epoll(const struct mechanism *mechanism, unsigned int count)
{
	if (!mechanism->fd_of || !open_many(mechanism, count))
		return impossible;
	epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	for (unsigned int i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		check(epoll_ctl(epoll, EPOLL_CTL_ADD, with->fd_of(i), &event), "epoll_ctl");
	}
	return (struct plan){
		.round = epoll_round,
		.begin = (entry_fn *)with->receive_from,
		.other = (entry_fn *)with->send_to,
	};
}

/* The first round warms up all waiters. */
static void do_calls_by_type(uint64_t count)
{
	static bool warm;

	for (unsigned int i = 0; i < places && !warm; i++)
		with->call_type(1 + i);
	warm = true;
	for (uint64_t i = 0; i < count; i++)
		with->call_type(1 + place());
}

static void do_serve_type(unsigned int number)
{
	with->serve_type(number + 1);
}

static struct plan prepare_waiters(const struct mechanism *mechanism, unsigned int count)
{
	with = mechanism;
	places = count;
	if (!with->open_waiters)
		return impossible;
	buffers(BENCH_SMALL);
	with->open_waiters(count);
	for (unsigned int i = 0; i < count; i++)
		team_serve(with, do_serve_type, i);
	team_join(with, do_calls_by_type, 0);
	return (struct plan){ .round = team_round, .begin = (entry_fn *)with->call_type };
}

static const unsigned int rpc_sizes[] = { 0, 64, 1024, 4096, 65536, 0 };
static const unsigned int oneway_sizes[] = { 64, 4096, 65536, 1 << 20, 0 };
static const unsigned int batch_sizes[] = { 64, 0 };
static const unsigned int client_counts[] = { 1, 4, 16, 0 };
static const unsigned int typed_depths[] = { 10, 100, 1000, 10000, 100000, 0 };
static const unsigned int endpoint_counts[] = { 10, 1000, 100000, 0 };
static const unsigned int waiter_counts[] = { 1, 1000, 0 };
static const unsigned int epoll_counts[] = { 10000, 0 };
static const unsigned int dropin_rpc_sizes[] = { 64, 4096, 0 };
/* Up to MSGMAX, as it is everywhere */
static const unsigned int dropin_oneway_sizes[] = { 64, 4096, 8192, 0 };
static const unsigned int dropin_typed_depths[] = { 10, 100, 1000, 10000, 0 };
static const unsigned int dropin_waiter_counts[] = { 10, 100, 1000, 0 };
static const unsigned int prio_depths[] = { 10, 1000, 0 };
static const unsigned int burst_depths[] = { 10, 1000, 0 };

const struct work works[] = {
	{ "rpc", prepare_rpc, rpc_sizes, false, NULL },
	{ "one-way", prepare_oneway, oneway_sizes, false, NULL },
	{ "one-way-recv16", prepare_receive_batch, batch_sizes, false, NULL },
	{ "one-way-both16", prepare_batch, batch_sizes, false, NULL },
	{ "clients", prepare_clients, client_counts, false, NULL },
	{ "typed", prepare_typed, typed_depths, true, NULL },
	{ "endpoints", prepare_endpoints, endpoint_counts, true, NULL },
	{ "waiters", prepare_waiters, waiter_counts, false, NULL },
	{ "epoll", prepare_epoll, epoll_counts, true, NULL },
};

const unsigned int work_count = sizeof(works) / sizeof(works[0]);

const struct work dropin_works[] = {
	{ "dropin/sysv/rpc", prepare_rpc, dropin_rpc_sizes, false, &sysv },
	{ "dropin/sysv/one-way", prepare_oneway, dropin_oneway_sizes, false, &sysv },
	{ "dropin/sysv/burst", prepare_burst, burst_depths, true, &sysv },
	{ "dropin/sysv/typed", prepare_typed, dropin_typed_depths, true, &sysv },
	{ "dropin/sysv/waiters", prepare_waiters, dropin_waiter_counts, false, &sysv },
	{ "dropin/mq/rpc", prepare_rpc, dropin_rpc_sizes, false, &mq },
	{ "dropin/mq/one-way", prepare_oneway, dropin_oneway_sizes, false, &mq },
	{ "dropin/mq/burst", prepare_burst, burst_depths, true, &mq },
	{ "dropin/mq/prio", prepare_prio, prio_depths, true, &mq },
};

const unsigned int dropin_work_count = sizeof(dropin_works) / sizeof(dropin_works[0]);

static uint64_t round_getppid(uint64_t count)
{
	uint64_t start = now();

	for (uint64_t i = 0; i < count; i++)
		syscall(SYS_getppid);
	return now() - start;
}

/* One that succeeds and does next to nothing */
static uint64_t round_ioctl(uint64_t count)
{
	int fd = check(open("/dev/null", O_RDONLY), "/dev/null");
	uint64_t start = now();

	for (uint64_t i = 0; i < count; i++)
		ioctl(fd, FIOCLEX);
	close(fd);
	return now() - start;
}

static uint64_t round_memcpy(uint64_t count)
{
	const size_t size = 65536;
	uint64_t start;

	if (!in)
		buffers(size);
	start = now();
	for (uint64_t i = 0; i < count; i++) {
		memcpy(in, out, size);
		/* The compiler is not to think that nobody looks at it. */
		__asm__ volatile("" : : "r"(in) : "memory");
	}
	return now() - start;
}

/* Real-time processes: under the others' policies a yield need not switch. */
static void do_yields(uint64_t count)
{
	const struct sched_param param = { .sched_priority = 1 };

	check(sched_setscheduler(0, SCHED_FIFO, &param), "SCHED_FIFO");
	for (uint64_t i = 0; i < count; i++)
		sched_yield();
}

/* Two processes that leave the CPU to each other: two system calls and two switches */
static uint64_t round_switches(uint64_t count)
{
	static const struct mechanism none;
	static bool started;

	if (!started) {
		team_join(&none, do_yields, 0);
		team_join(&none, do_yields, 1);
		started = true;
	}
	return team_round(count);
}

const struct reference references[] = {
	{ "getppid", round_getppid },
	{ "ioctl", round_ioctl },
	{ "memcpy 64 KiB", round_memcpy },
	{ "two switches", round_switches },
};

const unsigned int reference_count = sizeof(references) / sizeof(references[0]);
