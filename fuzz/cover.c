// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which code of the module ran: KCOV gives each watched thread the addresses of
 * the basic blocks it went through. What counts as new is a step from one block
 * to another (an edge, by a hash).
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fuzz.h"

#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0
#define TRACE		(1UL << 14)	/* addresses of one operation */

struct cover *cover;

static struct {
	int fd;
	uint64_t *trace;	/* how many, then the addresses */
	bool on;
} traces[ACTORS];

void cover_open(void)
{
	FILE *file = fopen("/sys/module/kipc/sections/.text", "r");
	unsigned int i;

	cover = share(sizeof(*cover));
	if (!file || fscanf(file, "%lx", &cover->base) != 1)
		die("where is the module's code? Is it loaded?");
	fclose(file);
	for (i = 0; i < ACTORS; i++) {
		traces[i].fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
		if (traces[i].fd < 0 || ioctl(traces[i].fd, KCOV_INIT_TRACE, TRACE))
			die("KCOV: is this the kernel of scripts/debug-kernel debug?");
		traces[i].trace = mmap(NULL, TRACE * sizeof(uint64_t), PROT_READ | PROT_WRITE,
				       MAP_SHARED, traces[i].fd, 0);
		if (traces[i].trace == MAP_FAILED)
			die("mmap of KCOV");
	}
}

void cover_thread(unsigned int actor)
{
	/* Its former user may not have quite gone */
	traces[actor].on = !ioctl(traces[actor].fd, KCOV_ENABLE, KCOV_TRACE_PC);
}

void cover_start(unsigned int actor)
{
	__atomic_store_n(&traces[actor].trace[0], 0, __ATOMIC_RELAXED);
}

static void cover_edge(uint32_t edge, int op)
{
	uint32_t i;

	cover->now[edge] = 1;
	if (cover->ever[edge])
		return;
	cover->ever[edge] = 1;
	i = __atomic_fetch_add(&cover->fresh, 1, __ATOMIC_RELAXED);
	if (i < sizeof(cover->fresh_edges) / sizeof(cover->fresh_edges[0]))
		cover->fresh_edges[i] = edge;
	if (cover->last_fresh < op)
		cover->last_fresh = op;
}

void cover_stop(unsigned int actor, int op)
{
	const uint64_t *trace = traces[actor].trace;
	uint64_t n = __atomic_load_n(&trace[0], __ATOMIC_RELAXED), i;
	uint32_t last = 0;

	for (i = 1; traces[actor].on && i <= n && i < TRACE; i++) {
		uint64_t pc = trace[i] - cover->base;

		if (pc >= PCS)
			continue;
		__atomic_fetch_or(&cover->pcs[pc / 8], (uint8_t)(1 << pc % 8), __ATOMIC_RELAXED);
		cover_edge((((uint32_t)pc * 2654435761U) >> 8 ^ last) % EDGES, op);
		last = ((uint32_t)pc * 2246822519U) >> 9;
	}
}

unsigned int cover_blocks(void)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < sizeof(cover->pcs); i++)
		n += (unsigned int)__builtin_popcount(cover->pcs[i]);
	return n;
}
