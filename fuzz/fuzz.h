/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fuzzer of /dev/kipc, which runs in the test VM.
 *
 * A program is a list of operations. Each is done by one of a few actors, which
 * are threads of three processes under three users. What an operation yields (a
 * descriptor, the id of an endpoint, a token) goes into a slot, from which later
 * ones take it. README.md tells more.
 */
#ifndef KIPC_FUZZ_H
#define KIPC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <linux/kipc.h>

#define OPS_MAX		40	/* in one program */
#define SLOTS		16
#define PROCESSES	3	/* root, user a, user b */
#define ACTORS		(2 * PROCESSES)	/* a main thread and another one in each */
#define TEXT_MAX	16384	/* bytes of a program in its written form */

static inline unsigned int process_of(unsigned int actor)
{
	return actor / 2;
}

/* What an operation can be told. The first ones make sense for any. */
enum argument {
	A_DELAY,	/* microseconds to spin before */
	A_NTH,		/* the how manieth thing that can fail fails */
	A_GROW,		/* bytes added to the struct's size in the ioctl number */
	A_POKE,		/* 1 + offset of four bytes of the struct to overwrite */
	A_WITH,		/* with these */
	A_AT,		/* where the struct lies */
	A_FD,		/* slot of a descriptor; 0 is the process's device file */
	A_ID,
	A_FLAGS,
	A_RIGHTS,
	A_BADGE,
	A_KEY,
	A_NAME,
	A_MODE,
	A_UID,
	A_GID,
	A_MAX_SIZE,
	A_MAX_MSGS,
	A_MAX_BYTES,
	A_WHAT,
	A_TYPE,
	A_TYPE2,
	A_PRIO,
	A_COOKIE,
	A_TOKEN,
	A_AFTER,
	A_STATUS,
	A_MEM,		/* where the payload to send lies */
	A_LEN,
	A_IOV,
	A_MEM2,		/* ... and the room for one to receive */
	A_LEN2,
	A_IOV2,
	A_FILES,	/* files to send: how many, and above those 5 bits which */
	A_FILES2,	/* ... and room for so many */
	A_RESULT,	/* where the result shall go */
	A_ROOM,
	A_TIME,		/* the deadline */
	A_WHO,		/* an actor */
	A_SIG,
	A_US,		/* microseconds */
	A_HOW,
	A_N,
	A_TO,		/* slot for what the operation yields */
	ARGS
};

/* A value that is taken from a slot: of ids or of tokens, as the argument says */
#define FROM_SLOT	0x5107000000000000ULL
/* A deadline so many microseconds from now */
#define FROM_NOW	0x7137000000000000ULL

enum meet {
	WAIT,		/* the next operation starts when this one is done */
	GO_ON,		/* ... does not wait for it */
	TOGETHER,	/* ... starts at the same moment */
};

struct op {
	uint8_t kind;
	uint8_t actor;
	uint8_t meet;		/* enum meet */
	uint8_t expects;	/* enum expect: what a seed says of its outcome */
	int32_t expected;
	uint64_t arg[ARGS];
};

enum expect { ANYTHING, SUCCESS, EXACTLY };

struct program {
	unsigned int n;
	struct op ops[OPS_MAX];
};

/* ops.c: what operations there are, and how they are written */

enum kind {
#define OP(name, ...) OP_##name,
#include "ops.h"
#undef OP
	KINDS
};

enum value {
	NUMBER, SLOT, ID, TOKEN, FLAGS, RIGHTS, WHAT, TIME, PLACE, ACTOR, SIGNAL, HOW,
};

struct kind_info {
	const char *name;
	unsigned int cmd;	/* the ioctl, or 0 */
	unsigned int weight;	/* how often it is generated */
	const char *flags;	/* group of its flags */
	const char *const *how;	/* names of the values of A_HOW */
	unsigned char args[ARGS];	/* what it takes, up to the first 0 */
};

/* Where memory can lie that is told to an ioctl */
enum place { GOOD, NONE, KERNEL, HOLE, TAIL, READONLY, TRAP, OVERFLOW, PLACES };

extern const struct kind_info kinds[KINDS];

enum value value_of(enum argument arg);
bool by_boss(const struct op *op);	/* done by who runs the program, not by an actor */
bool takes(const struct op *op, enum argument arg);
unsigned int flags_of(const char *group, uint64_t *bits);	/* how many; bits[] may be NULL */
unsigned int hows_of(const struct kind_info *kind);
/* Into TEXT_MAX bytes at text; the length */
size_t print_program(const struct program *program, char *text);
/*
 * Reads one program up to a line "program ..." or the end and moves *text behind
 * it. False, with a message that names where, if it cannot be read.
 */
bool parse_program(const char **text, struct program *program, const char *where);

/* make.c: making programs up */

void make_seed(uint64_t seed);
uint64_t below(uint64_t n);
void make_program(struct program *program);
void mutate_program(struct program *program, const struct program *other);
void spare_processes(struct program *program);
void jitter_program(struct program *program);
void drop_op(struct program *program, unsigned int i);

/* cover.c: which code of the module ran */

#define EDGES	(1U << 16)
#define PCS	(1U << 19)	/* bytes of code, at most */

struct cover {
	uint64_t base;			/* of the module's code */
	uint8_t ever[EDGES];		/* what any program reached */
	uint8_t now[EDGES];		/* what this one did */
	uint32_t fresh;			/* reached for the first time by this one */
	uint32_t fresh_edges[512];
	int32_t last_fresh;		/* the last operation that did, or -1 */
	uint8_t pcs[PCS / 8];
};

extern struct cover *cover;

void cover_open(void);
void cover_thread(unsigned int actor);	/* from here on this thread is watched */
void cover_start(unsigned int actor);
void cover_stop(unsigned int actor, int op);
unsigned int cover_blocks(void);

/* calls.c: the ioctls */

#define PAGE	4096UL

void calls_open(void);	/* memory for all actors */
char *trap_of(unsigned int process);
long do_ioctl(unsigned int actor, const struct op *op);
long do_rw(unsigned int actor, const struct op *op);	/* READ, WRITE */

/* actor.c: doing an operation */

long do_op(unsigned int actor, const struct op *op);
int slot_fd(const struct op *op);	/* the descriptor that it names */
int fd_in(uint64_t slot);
long keep_fd(const struct op *op, long fd);	/* into the slot for what it yields; or -errno */
void actor_thread(unsigned int actor);	/* before the first do_op() of a thread */
void actor_process(void);	/* ... of a process */
void actor_clean_up(unsigned int process);	/* undo what a program left in it */

/* run.c: running a program */

struct mailbox {
	int32_t next;		/* operation to do; a futex */
	int32_t running;
	int32_t gone;		/* will do nothing any more */
	pid_t tid;
};

/* What all processes share */
struct shared {
	struct mailbox box[ACTORS];
	/* From here on, all is set to 0 before each program */
	int32_t turn;		/* the operation to start, or being waited for */
	int32_t boss;		/* a futex: the boss shall look */
	int32_t go;		/* those together before this one start */
	int32_t ending;		/* the boss waits for all */
	int32_t careful;	/* enum care */
	uint32_t ids[SLOTS];
	uint64_t tokens[SLOTS];
	int32_t done[OPS_MAX];	/* operation i ended */
	int64_t results[OPS_MAX];
	uint64_t from[OPS_MAX], to[OPS_MAX];	/* microseconds */
	struct program program;
};

extern struct shared *shared;
extern int sockets[PROCESSES][2];	/* descriptors are passed through these */

/* Does it end the life of its process, which is costly to make? */
bool cannot_be_undone(const struct op *op);

/* What to wait for: nothing for long, or for each outcome (seeds) */
enum care { QUICKLY, CAREFULLY };

void run_open(void);
/* NULL, or what is wrong with the kernel */
const char *run_program(const struct program *program, enum care care);
/* Is all back to nothing, when no program runs? NULL, or what is left */
const char *look_for_leftovers(void);

/* machine.c: what is set and asked not through kipc */

uint64_t now_us(void);
void *share(size_t size);	/* memory that all processes share */
void write_file(const char *path, const char *text);
void faults_open(void);		/* let failures be injected */
/* In the module's slab caches; those that a CPU keeps are given back first. One is named. */
unsigned long slab_objects(char *name, size_t room);
void read_params(void);
void set_param(unsigned int which, uint64_t value);
void reset_params(void);

/* main.c */

void die(const char *what) __attribute__((noreturn));

#endif
