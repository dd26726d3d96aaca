/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the drop-in libraries share: the device file, and the way to the C library
 * where there is none.
 *
 * A process that touches a queue for the first time tries to open the device. With
 * that it is settled for the process, and for what it forks, whose queues it
 * uses: kipc's, or, without a device, the kernel's own as before. There is no lock:
 * a fork, a signal or a thread may come at any moment.
 */
#ifndef KIPC_DROPIN_H
#define KIPC_DROPIN_H

#include "../internal.h"

#include <stdatomic.h>
#include <sys/stat.h>

/* The original functions are exported, and nothing else: see the version scripts. */
#define DROPIN_PUBLIC KIPC_PUBLIC

/* What the library calls itself in its messages; each defines it */
extern const char dropin_library[];

/* Whose queues this process uses */
enum { DROPIN_UNSETTLED, DROPIN_KIPC, DROPIN_NATIVE };
extern atomic_int dropin_settled;

/* What dropin_native() does the first time */
bool dropin_settle(void);

/**
 * dropin_native() - are the queues those of the C library?
 *
 * Opens the device if nobody has done so yet. Leaves errno alone.
 *
 * Return: true if this process could not, and the calls are the C library's.
 */
static inline bool dropin_native(void)
{
	return atomic_load(&dropin_settled) != DROPIN_KIPC && dropin_settle();
}

/**
 * dropin_ioctl() - an operation on the device file of this process
 * @request: KIPC_IOC_*
 * @op: its struct
 *
 * The device file stays open for the next one. It is opened again if the program
 * has closed it or put another file in its place. Leaves errno alone.
 *
 * Return: what the operation returned, >= 0 or a negative errno; or the error of
 * opening the device.
 */
int dropin_ioctl(unsigned long request, void *op);

/**
 * dropin_ioctl_cancel() - the same, and a cancellation point
 * @request: KIPC_IOC_*
 * @op: its struct
 *
 * For what a thread may wait in: pthread_cancel(3) ends the wait, as pthreads(7) says
 * of the original functions.
 *
 * Return: as dropin_ioctl().
 */
int dropin_ioctl_cancel(unsigned long request, void *op);

/* An ioctl on any file that is a cancellation point; a negative errno on errors */
int dropin_cancel(int fd, unsigned long request, void *op);

/*
 * An error that is found before the system call, or 0: the original would have been a
 * cancellation point with such arguments, too. Returns @error.
 */
int dropin_refuse(int error);

/**
 * dropin_fetch() - read what the program points at
 * @to: where to
 * @from: the program's address
 * @size: bytes, at most a page
 *
 * An address that cannot be read is an error, as of the system calls that the originals
 * make, and no signal.
 *
 * Return: 0 or -EFAULT.
 */
int dropin_fetch(void *to, const void *from, size_t size);

/**
 * dropin_legible() - can the program's memory be read, all of it?
 * @at: where
 * @size: bytes
 *
 * One system call for each page; leaves errno alone.
 *
 * Return: 0 or -EFAULT.
 */
int dropin_legible(const void *at, size_t size);

/* The other way: store @size bytes, at most a page, where the program points to. 0 or -EFAULT */
int dropin_store(void *to, const void *from, size_t size);

/**
 * dropin_open() - a device file for the caller alone, close-on-exec
 *
 * For who needs it for a moment only, and closes it by libkipc_close(). Leaves errno
 * alone.
 *
 * Return: a descriptor or a negative errno.
 */
int dropin_open(void);

/*
 * What the kernel says of a file and of the caller, and leaves errno alone. The C library's
 * functions may be those of another preloaded library, such as fakeroot(1)'s: it tells what it
 * likes, and asks a queue what that is.
 */

/* The file at @path, of @fd if that is "". 0 or a negative errno */
int dropin_stat(int fd, const char *path, struct statx *status);

uid_t dropin_euid(void);
gid_t dropin_fsgid(void);

/* Has the calling thread this CAP_*? */
bool dropin_capable(unsigned int capability);

/* ... CAP_SYS_RESOURCE where that exempts from limits, in the initial user namespace? */
bool dropin_exempt(void);

/**
 * dropin_next() - a function of the C library, behind ours
 * @name: its name
 * @version: its version, or NULL for that which programs are linked with today
 *
 * Return: its address; the C library has all that we replace.
 */
void *dropin_next(const char *name, const char *version);

/* Sets errno as the original functions do; returns what they return */
static inline int dropin_return(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

#endif /* KIPC_DROPIN_H */
