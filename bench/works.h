/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The works that the mechanisms do.
 */
#ifndef BENCH_WORKS_H
#define BENCH_WORKS_H

#include "bench.h"

/* Does count operations and returns how long they took, in nanoseconds */
typedef uint64_t round_fn(uint64_t count);

/*
 * How a case is done. For who watches the program from outside: the function by
 * which an operation begins, and that of the other kind in works with two kinds.
 */
struct plan {
	round_fn *round;	/* NULL: the mechanism cannot do the work */
	void (*begin)(void);
	void (*other)(void);
};

struct work {
	const char *name;
	/* Makes what the case needs */
	struct plan (*prepare)(const struct mechanism *with, unsigned int parameter);
	const unsigned int *parameters;		/* 0 ends them, but may be the first */
	bool alone;	/* in one process: nothing for two CPUs */
	const struct mechanism *only;	/* no other is to do it */
};

extern const struct work works[];
extern const unsigned int work_count;

/*
 * What is done twice by the same functions of the C library: with the kernel's own queues,
 * and, a drop-in library standing before the C library, with kipc's
 */
extern const struct work dropin_works[];
extern const unsigned int dropin_work_count;

/* What the machine itself costs, to compare with: a name and a round */
struct reference {
	const char *name;
	round_fn *round;
};

extern const struct reference references[];
extern const unsigned int reference_count;

#endif /* BENCH_WORKS_H */
