// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Payloads that are handed over instead of copied: sealed memory.
 */
#include "internal.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U	/* Linux 6.3 */
#endif

/* What makes of a file what its reader sees now and for ever */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

#define NAME "kipc"
#define BLOCK 512	/* bytes that st_blocks counts by, everywhere */

/* A hole is no memory yet: whoever reads it first pays for it, if there is some. */
static bool has_holes(const struct stat *file)
{
	return (uint64_t)file->st_blocks * BLOCK < (uint64_t)file->st_size;
}

static int memory_create(const char *name, size_t size)
{
	off_t length = (off_t)size;
	int fd;

	if (!size)
		return -EINVAL;
	if (length < 0)
		return -EFBIG;
	/* Newer kernels want to be told that nothing there is meant to be run. */
	fd = memfd_create(name ? name : NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name ? name : NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, length)) {
		int error = errno;

		libkipc_close(fd);
		return -error;
	}
	return fd;
}

static int memory_seal(int fd)
{
	struct stat file;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return -errno;
	if ((seals & SEALS) == SEALS)
		return 0;
	/* Not when it will be refused: that leaves everything as it was. */
	if (seals & F_SEAL_SEAL)
		return -EPERM;
	if (fstat(fd, &file))
		return -errno;
	if (has_holes(&file) && !(seals & F_SEAL_WRITE) && fallocate(fd, 0, 0, file.st_size))
		return -errno;
	return fcntl(fd, F_ADD_SEALS, SEALS) ? -errno : 0;
}

static int memory_map(int fd, const void **data, size_t *size)
{
	struct stat file;
	void *at;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return errno == EINVAL ? -EPERM : -errno;	/* a file without seals */
	if ((seals & SEALS) != SEALS)
		return -EPERM;
	/* From here on what is found cannot change any more. */
	if (fstat(fd, &file))
		return -errno;
	if (has_holes(&file))
		return -EPERM;
	if ((uint64_t)file.st_size > SIZE_MAX)
		return -EFBIG;
	/*
	 * (Of an empty one: EINVAL.) Before Linux 6.7 a shared mapping counts as one that
	 * could become writable.
	 */
	at = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*data = at;
	*size = (size_t)file.st_size;
	return 0;
}

KIPC_PUBLIC int kipc_memfd(const char *name, size_t size)
{
	int saved = errno;
	int ret = memory_create(name, size);

	errno = saved;
	return ret;
}

KIPC_PUBLIC int kipc_seal(int fd)
{
	int saved = errno;
	int ret = memory_seal(fd);

	errno = saved;
	return ret;
}

KIPC_PUBLIC int kipc_map(int fd, const void **data, size_t *size)
{
	int saved = errno;
	int ret;

	*data = NULL;
	*size = 0;
	ret = memory_map(fd, data, size);
	errno = saved;
	return ret;
}

KIPC_PUBLIC int kipc_unmap(const void *data, size_t size)
{
	int saved = errno;
	int ret = munmap((void *)(uintptr_t)data, size) ? -errno : 0;

	errno = saved;
	return ret;
}
