/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: files in messages
 *
 * Up to KIPC_FILES_MAX files travel with a message or a reply. They are taken in the
 * context of who sends, before anything else can see the message, and are held by a
 * struct kipc_files, which belongs to the message until a receiver has it or its
 * outcome is known (kipc_after_files(), under ep->lock), or to the reply until that is
 * freed. The files are constant. Who has claimed the message, or collects the reply, reads it
 * without a lock; who peeks knows the number only, from the message.
 *
 * Files in flight are charged to the user who sent them (parameter user_files_max); those
 * of a reply, once it is made, to its caller, who asked for them: how long it lets them
 * wait must not be at the expense of the server, and so of its other callers.
 *
 * Only kinds of files travel that hold no other files, so that nothing in flight can
 * keep itself alive: docs/security.md has the argument. A handle does hold something,
 * the calls made through it with their replies; what travels instead is a new handle of
 * the same rights, badge and opener, which the sender makes and is counted for, and through
 * which nothing was called yet.
 *
 * Receiving is done in two steps, kipc_fds: numbers for the descriptors are reserved
 * and told to the caller before the commit, while that may fail and nobody can use
 * them; the files appear there after it.
 *
 * Files are let go without any lock held: the end of one may sleep.
 */
#ifndef _KIPC_FILES_H
#define _KIPC_FILES_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/kipc.h>

struct file;
struct kipc_account;
struct kipc_file;

/**
 * struct kipc_files - files in flight; constant, but for @account
 * @free_node: on a kipc_after's list at its end
 * @account: who is charged for them, held
 * @nr: how many
 * @file: those, held
 */
struct kipc_files {
	struct hlist_node free_node;
	struct kipc_account *account;
	unsigned int nr;
	struct file *file[];
};

/* The files of which @payload has descriptors, to be sent through @file; or ERR_PTR() */
struct kipc_files *kipc_files_new(struct kipc_file *file, const struct kipc_payload *payload);
/*
 * From now on *@account is charged for them, beyond its limit if need be; with the
 * reference to who was, which *@account then is. Any context.
 */
void kipc_files_recharge(struct kipc_files *files, struct kipc_account **account);
/* May sleep */
void kipc_files_free(struct kipc_files *files);

/**
 * struct kipc_fds - descriptors for files that are received
 * @nr: how many
 * @fd: their numbers, reserved
 * @file: what they will be of, held
 */
struct kipc_fds {
	unsigned int nr;
	int fd[KIPC_FILES_MAX];
	struct file *file[KIPC_FILES_MAX];
};

/*
 * Reserve descriptors for the first @nr of @files, and store their numbers at @address:
 * -EMFILE, -EFAULT. To be ended.
 */
int kipc_fds_reserve(struct kipc_fds *fds, const struct kipc_files *files, unsigned int nr,
		     u64 address);
void kipc_fds_install(struct kipc_fds *fds);
void kipc_fds_undo(struct kipc_fds *fds);

/* Files appear if they were @received, or the numbers are free again */
static inline void kipc_fds_end(struct kipc_fds *fds, bool received)
{
	if (likely(!fds->nr))
		return;
	if (received)
		kipc_fds_install(fds);
	else
		kipc_fds_undo(fds);
}

#endif /* _KIPC_FILES_H */
