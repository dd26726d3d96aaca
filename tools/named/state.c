// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memory that outlives the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "named.h"

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct state *state;
int state_fd = -1;

/* MAP_FAILED, or the state */
static struct state *state_map(int fd)
{
	return mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/* Sparse: what is never used takes no memory */
void state_create(void)
{
	state_fd = memfd_create("kipc-named", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (state_fd < 0 || ftruncate(state_fd, sizeof(*state)) ||
	    fcntl(state_fd, F_ADD_SEALS, SEALS))
		fail("memory for the names: %s", strerror(errno));
	state = state_map(state_fd);
	if (state == MAP_FAILED)
		fail("memory for the names: %s", strerror(errno));
	state->magic = STATE_MAGIC;
	state->layout = STATE_LAYOUT;
	state->size = sizeof(*state);
	/* Generations too, as bundles may be left from a state that was lost. */
	if (getrandom(&state->key, sizeof(state->key), 0) != sizeof(state->key) ||
	    getrandom(&state->generations, sizeof(state->generations), 0) !=
	    sizeof(state->generations))
		fail("random numbers: %s", strerror(errno));
}

/* Sealed, so that nobody can take pages away that are looked at later */
bool state_adopt(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat file;
	struct state *map;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &file) ||
	    file.st_size != (off_t)sizeof(*map))
		return false;
	map = state_map(fd);
	if (map == MAP_FAILED)
		return false;
	if (map->magic != STATE_MAGIC || map->layout != STATE_LAYOUT ||
	    map->size != sizeof(*map)) {
		munmap(map, sizeof(*map));
		return false;
	}
	state = map;
	state_fd = fd;
	return true;
}
