/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The works that the mechanisms do.
 */
#ifndef BENCH_WORKS_H
#define BENCH_WORKS_H

#include "bench.h"

/*
 * prepare: makes what the case needs, and says with what a round is done; NULL
 * if the mechanism cannot do the work. A round does count operations and returns
 * how long they took.
 */
typedef uint64_t round_fn(uint64_t count);

struct work {
	const char *name;
	round_fn *(*prepare)(const struct mechanism *with, unsigned int parameter);
	const unsigned int *parameters;		/* 0 ends them, but may be the first */
	bool alone;	/* in one process: nothing for two CPUs */
};

extern const struct work works[];
extern const unsigned int work_count;

/*
 * Where an operation begins, for who watches the program from outside; and where
 * the other kind of operation does, of works with two kinds, else NULL. Set by prepare.
 */
extern void (*works_begin)(void), (*works_other)(void);

/* What the machine itself costs, to compare with: a name and a round */
struct reference {
	const char *name;
	round_fn *round;
};

extern const struct reference references[];
extern const unsigned int reference_count;

#endif /* BENCH_WORKS_H */
