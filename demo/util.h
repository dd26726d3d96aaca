/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things that every program of the demo uses. */
#ifndef DEMO_UTIL_H
#define DEMO_UTIL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Ends the program; error is a negative errno or 0. */
#define die(error, ...)							\
	do {								\
		int die_error = (int)(error);				\
									\
		fprintf(stderr, __VA_ARGS__);				\
		if (die_error)						\
			fprintf(stderr, ": %s", strerror(-die_error));	\
		fputc('\n', stderr);					\
		exit(EXIT_FAILURE);					\
	} while (0)

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline void sleep_ms(unsigned int ms)
{
	struct timespec time = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	nanosleep(&time, NULL);
}

/* The same numbers in every run (splitmix64) */
static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	z ^= z >> 31;
	return limit ? (uint32_t)((z >> 32) * limit >> 32) : 0;
}

static inline void *allocate(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (!memory)
		die(0, "out of memory");
	return memory;
}

#endif /* DEMO_UTIL_H */
