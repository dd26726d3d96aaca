// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fuzzer: runs the seeds, then programs that it makes up, of which it keeps
 * those that reach code in a new way, and changes these. Or runs again what did
 * harm. scripts/fuzz starts it in the test VM.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define CORPUS_MAX	2048

/*
 * The journal is memory of the VM that is a file of the host: slots of TEXT_MAX
 * bytes, used in turn, each with a program as it was about to run. So it is known
 * what ran when the kernel fell, and to scripts/fuzz which code did.
 */
static struct {
	char *memory;
	size_t slots;
	uint8_t *cover;	/* the end of it: which code ran, a bit for each address */
	uint64_t last;	/* number of the last program */
} journal;

static struct program *corpus;
static unsigned int corpus_n;
static uint64_t started, blocks_all, ops_run, said;
static unsigned int leftovers_every = 1000;	/* programs; it takes a while */

void die(const char *what)
{
	printf("FINDING: the fuzzer cannot go on: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(2);
}

static void journal_open(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	char path[300], id[16];
	struct stat stat;
	size_t size;
	int fd;

	while (dir && (entry = readdir(dir))) {
		FILE *file;

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/device", entry->d_name);
		file = fopen(path, "r");
		*id = 0;
		if (file) {
			if (!fgets(id, sizeof(id), file))
				*id = 0;
			fclose(file);
		}
		if (strncmp(id, "0x1110", 6))	/* ivshmem */
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource2", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &stat))
			break;
		size = (size_t)stat.st_size;
		journal.slots = (size - PCS / 8) / TEXT_MAX;
		journal.memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		closedir(dir);
		if (journal.memory == MAP_FAILED)
			die("the journal");
		journal.cover = (uint8_t *)journal.memory + size - PCS / 8;
		return;
	}
	die("no journal: there is no ivshmem device (scripts/vm-run --share)");
}

static void journal_write(const struct program *program)
{
	static char text[TEXT_MAX];
	char *slot = journal.memory + journal.last % journal.slots * TEXT_MAX;
	int n;

	journal.last++;
	print_program(program, text);
	n = snprintf(slot, TEXT_MAX, "program %llu\n", (unsigned long long)journal.last);
	if ((size_t)n + strlen(text) >= TEXT_MAX)
		die("a program is too long for the journal");
	strcpy(slot + n, text);
}

static void finding(const char *what)
{
	printf("FINDING: program %llu: %s\n", (unsigned long long)journal.last, what);
	fflush(stdout);
	_exit(3);
}

static void progress(bool always)
{
	uint64_t now = now_us(), seconds = (now - started) / 1000000;

	if (!always && now < said + 5000000)
		return;
	said = now;
	memcpy(journal.cover, cover->pcs, sizeof(cover->pcs));
	printf("fuzz: %llu s: %llu programs, %llu operations, %llu/s, corpus %u, ",
	       (unsigned long long)seconds, (unsigned long long)journal.last,
	       (unsigned long long)ops_run,
	       (unsigned long long)(journal.last / (seconds ? seconds : 1)), corpus_n);
	printf("blocks %u of %llu\n", cover_blocks(), (unsigned long long)blocks_all);
	fflush(stdout);
}

static void run(const struct program *program, enum care care)
{
	const char *wrong;
	unsigned int i;

	journal_write(program);
	wrong = run_program(program, care);
	for (i = 0; i < program->n; i++)
		ops_run += shared->done[i] != 0;
	if (!wrong && journal.last % leftovers_every == 0)
		wrong = look_for_leftovers();
	if (wrong)
		finding(wrong);
	progress(false);
}

/* Does it still reach these? */
static bool reaches(const struct program *program, const uint32_t *edges, unsigned int n)
{
	unsigned int i;

	run(program, QUICKLY);
	for (i = 0; i < n; i++)
		if (!cover->now[edges[i]])
			return false;
	return true;
}

/* Without what it does not need for what it reached for the first time */
static void minimise(struct program *program)
{
	static uint32_t edges[512];
	struct program smaller = *program;
	unsigned int n = 0, tries, i, fresh = cover->fresh;

	if (fresh > 512)
		fresh = 512;
	memcpy(edges, cover->fresh_edges, fresh * sizeof(edges[0]));
	smaller.n = (unsigned int)cover->last_fresh + 1;
	run(&smaller, QUICKLY);
	/* Only what does not depend on luck can be asked for */
	for (i = 0; i < fresh; i++)
		if (cover->now[edges[i]])
			edges[n++] = edges[i];
	if (!n)
		return;
	*program = smaller;
	for (tries = 0; tries < 4 && program->n > 3; tries++) {
		smaller = *program;
		drop_op(&smaller, (unsigned int)below(smaller.n));
		if (reaches(&smaller, edges, n))
			*program = smaller;
	}
}

static void keep_if_new(struct program *program)
{
	if (!cover->fresh)
		return;
	minimise(program);
	/* When it is full, the newest replace any but the seeds */
	corpus[corpus_n < CORPUS_MAX ? corpus_n++ : CORPUS_MAX / 2 + below(CORPUS_MAX / 2)] =
		*program;
}

static void fuzz(uint64_t seconds)
{
	static struct program program;
	uint64_t end = now_us() + seconds * 1000000;

	while (now_us() < end) {
		if (below(5) == 0) {
			make_program(&program);
		} else {
			/* The newest half as often as all the others */
			program = corpus[below(2) ? below(corpus_n) :
					 corpus_n - 1 - below((corpus_n + 3) / 4)];
			mutate_program(&program, &corpus[below(corpus_n)]);
		}
		spare_processes(&program);
		run(&program, QUICKLY);
		keep_if_new(&program);
	}
}

/* Seeds and replays */

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	size_t room = 64U << 20, n;
	char *text = malloc(room);

	if (!file || !text)
		die(path);
	n = fread(text, 1, room - 1, file);
	text[n] = 0;
	fclose(file);
	return text;
}

static void show_results(const struct program *program)
{
	unsigned int i;

	for (i = 0; i < program->n; i++) {
		int64_t result = shared->results[i];
		const char *error = result < 0 ? strerrorname_np((int)-result) : NULL;

		printf("# %u: a%u %s: ", i + 1, program->ops[i].actor,
		       kinds[program->ops[i].kind].name);
		if (!shared->done[i])
			printf("not done\n");
		else if (by_boss(&program->ops[i]))
			printf("done\n");
		else
			printf("%s %lld, from %llu to %llu us\n", error ? error : "gave",
			       (long long)result,
			       (unsigned long long)(shared->from[i] - shared->from[0]),
			       (unsigned long long)(shared->to[i] - shared->from[0]));
	}
}

static bool as_expected(const char *path, const struct program *program)
{
	unsigned int i, checked = 0;

	for (i = 0; i < program->n; i++) {
		const struct op *op = &program->ops[i];
		int64_t result = shared->results[i];

		if (op->expects == ANYTHING)
			continue;
		checked++;
		if (shared->done[i] &&
		    (op->expects == SUCCESS ? result >= 0 : result == op->expected))
			continue;
		printf("not ok seed %s: operation %u did not give what is expected\n", path, i + 1);
		show_results(program);
		return false;
	}
	if (!checked)
		printf("not ok seed %s: it says nothing of what it expects\n", path);
	return checked;
}

/* Written and read again it must be the same */
static bool survives_text(const struct program *program)
{
	static struct program again;
	static char text[TEXT_MAX];
	const char *rest = text;

	memset(&again, 0, sizeof(again));
	print_program(program, text);
	return parse_program(&rest, &again, "text") && again.n == program->n &&
	       !memcmp(again.ops, program->ops, program->n * sizeof(program->ops[0]));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool run_seeds(const char *directory)
{
	static struct program program;
	struct dirent **entries;
	bool good = true;
	int n = scandir(directory, &entries, NULL, by_name), i;
	unsigned int op;

	for (i = 0; i < n; i++) {
		const char *name = entries[i]->d_name, *text;
		char path[512];

		if (*name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, name);
		text = read_file(path);
		memset(&program, 0, sizeof(program));
		if (!parse_program(&text, &program, name) || !program.n || *text) {
			printf("not ok seed %s: it cannot be read\n", name);
			good = false;
			continue;
		}
		run(&program, CAREFULLY);
		if (!survives_text(&program)) {
			printf("not ok seed %s: it is not the same when written and read\n", name);
			good = false;
		} else if (as_expected(name, &program)) {
			printf("ok seed %s\n", name);
		} else {
			good = false;
		}
		/* What becomes of it by and by shall expect nothing */
		for (op = 0; op < program.n; op++)
			program.ops[op].expects = ANYTHING;
		corpus[corpus_n++] = program;
	}
	return good && corpus_n;
}

static void replay(const char *path, uint64_t seconds)
{
	const char *rest = read_file(path);
	uint64_t end = now_us() + seconds * 1000000, round;
	static struct program program;
	unsigned int i;

	while (*rest) {
		memset(&program, 0, sizeof(program));
		if (corpus_n == CORPUS_MAX || !parse_program(&rest, &program, path)) {
			printf("FINDING: %s cannot be read\n", path);
			exit(2);
		}
		if (program.n)
			corpus[corpus_n++] = program;
	}
	if (!corpus_n)
		die("there is no program in the file");
	for (round = 0; now_us() < end; round++) {
		for (i = 0; i < corpus_n && now_us() < end; i++) {
			program = corpus[i];
			if (round & 1)
				jitter_program(&program);
			run(&program, round % 8 == 7 ? CAREFULLY : QUICKLY);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 's' },
		{ "time", required_argument, NULL, 't' },
		{ "random", required_argument, NULL, 'r' },
		{ "blocks", required_argument, NULL, 'b' },
		{ "replay", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	const char *seeds = NULL, *again = NULL, *wrong;
	uint64_t seconds = 60, random = 1;
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			seeds = optarg;
			break;
		case 't':
			seconds = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			random = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			blocks_all = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			again = optarg;
			break;
		default:
			return 2;
		}
	}

	make_seed(random);
	journal_open();
	run_open();
	cover_open();
	faults_open();
	calls_open();
	read_params();
	corpus = share(CORPUS_MAX * sizeof(*corpus));
	started = now_us();
	if (again) {
		leftovers_every = 16;
		replay(again, seconds);
	} else {
		good = seeds && run_seeds(seeds);
		printf("%s seeds: %u\n", good ? "ok" : "not ok", corpus_n);
		fuzz(corpus_n ? seconds : 0);
	}
	wrong = look_for_leftovers();
	if (wrong)
		finding(wrong);
	progress(true);
	printf("fuzz: came to its end\n");
	return good ? 0 : 1;
}
