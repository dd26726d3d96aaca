// SPDX-License-Identifier: GPL-2.0-only
/* See files.h. */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/minmax.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <net/sock.h>

#include "compat.h"
#include "endpoint.h"
#include "file.h"
#include "files.h"
#include "user.h"

/*
 * A file or directory that a file system keeps, or a memfd. Files without a name may
 * look like regular ones, and those of nsfs are namespaces.
 */
static bool kipc_is_stored(const struct inode *inode)
{
	return (S_ISREG(inode->i_mode) || S_ISDIR(inode->i_mode)) && !IS_ANON_FILE(inode) &&
	       !IS_PRIVATE(inode) && inode->i_sb->s_magic != NSFS_MAGIC;
}

/*
 * Only its name tells what an anonymous file is: their operations are not exported.
 * The names of that file system are literals in the kernel's own code. Nobody can mount
 * it, or give a name there.
 */
static bool kipc_is_counter(const struct file *filp)
{
	static const char * const kinds[] = { "[eventfd]", "[timerfd]", "[pidfd]" };
	unsigned long magic = file_inode(filp)->i_sb->s_magic;

	if (magic == PID_FS_MAGIC)
		return true;
	return magic == ANON_INODE_FS_MAGIC &&
	       match_string(kinds, ARRAY_SIZE(kinds), filp->f_path.dentry->d_name.name) >= 0;
}

static bool kipc_is_inet(struct file *filp)
{
	struct socket *sock = sock_from_file(filp);
	int family;

	if (!sock || !sock->sk)
		return false;
	family = READ_ONCE(sock->sk->sk_family);
	return family == AF_INET || family == AF_INET6;
}

static bool kipc_may_travel(struct file *filp)
{
	/* Who can only name a file cannot hand out more */
	if (filp->f_mode & FMODE_PATH)
		return false;
	return kipc_is_stored(file_inode(filp)) || S_ISFIFO(file_inode(filp)->i_mode) ||
	       kipc_is_counter(filp) || kipc_is_inet(filp);
}

/* What is sent for a descriptor of the calling process: held; or ERR_PTR() */
static struct file *kipc_file_to_send(int fd)
{
	struct file *filp = fget_raw(fd), *sent = ERR_PTR(-EOPNOTSUPP);

	if (!filp)
		return ERR_PTR(-EBADF);
	/* First: with MQUEUE it looks like a regular file */
	if (filp->f_op == &kipc_handle_fops)
		sent = kipc_ep_clone(filp);
	else if (kipc_may_travel(filp))
		return filp;
	fput(filp);
	return sent;
}

/*
 * Who lets go of a socket of others shall not wait for its peer, as SO_LINGER says:
 * the last one is nobody who could have asked for that. Nor may somebody who closes it
 * just then make us the last one.
 */
static void kipc_file_let_go(struct file *filp)
{
	struct socket *sock = sock_from_file(filp);

	if (sock && sock->sk) {
		if (kipc_file_put_others(filp))
			return;
		lock_sock(sock->sk);
		sock_reset_flag(sock->sk, SOCK_LINGER);
		release_sock(sock->sk);
	}
	fput(filp);
}

static void kipc_files_let_go(struct kipc_files *files, unsigned int nr)
{
	while (nr--)
		kipc_file_let_go(files->file[nr]);
}

static int kipc_files_take(struct kipc_files *files, const s32 *fds)
{
	unsigned int i;

	for (i = 0; i < files->nr; i++) {
		files->file[i] = kipc_file_to_send(fds[i]);
		if (IS_ERR(files->file[i])) {
			int err = PTR_ERR(files->file[i]);

			kipc_files_let_go(files, i);
			return err;
		}
	}
	return 0;
}

static int kipc_files_charge(struct kipc_files *files, struct kipc_file *file)
{
	int err;

	files->account = kipc_account_current_cached(file->account);
	if (IS_ERR(files->account))
		return PTR_ERR(files->account);
	err = kipc_account_charge(files->account, KIPC_CHARGE_FILES, files->nr);
	if (err)
		kipc_account_put(files->account);
	return err;
}

static void kipc_files_uncharge(struct kipc_files *files)
{
	kipc_account_uncharge(files->account, KIPC_CHARGE_FILES, files->nr);
	kipc_account_put(files->account);
}

noinline struct kipc_files *kipc_files_new(struct kipc_file *file,
					   const struct kipc_payload *payload)
{
	struct kipc_files *files;
	s32 fds[KIPC_FILES_MAX] = { 0 };
	int err;

	if (copy_from_user(fds, u64_to_user_ptr(payload->fds), payload->nfds * sizeof(*fds)))
		return ERR_PTR(-EFAULT);
	files = kmalloc(struct_size(files, file, payload->nfds), GFP_KERNEL_ACCOUNT);
	if (!files)
		return ERR_PTR(-ENOMEM);
	files->nr = payload->nfds;
	err = kipc_files_charge(files, file);
	if (err)
		goto free;
	err = kipc_files_take(files, fds);
	if (!err)
		return files;
	kipc_files_uncharge(files);
free:
	kfree(files);
	return ERR_PTR(err);
}

noinline void kipc_files_recharge(struct kipc_files *files, struct kipc_account **account)
{
	kipc_account_force(*account, KIPC_CHARGE_FILES, files->nr);
	kipc_account_uncharge(files->account, KIPC_CHARGE_FILES, files->nr);
	swap(files->account, *account);
}

noinline void kipc_files_free(struct kipc_files *files)
{
	kipc_files_let_go(files, files->nr);
	kipc_files_uncharge(files);
	kfree(files);
}

noinline int kipc_fds_reserve(struct kipc_fds *fds, const struct kipc_files *files,
			      unsigned int nr, u64 address)
{
	int fd;

	while (fds->nr < nr) {
		fd = get_unused_fd_flags(O_CLOEXEC);
		if (fd < 0) {
			kipc_fds_undo(fds);
			return fd;
		}
		fds->fd[fds->nr] = fd;
		fds->file[fds->nr] = get_file(files->file[fds->nr]);
		fds->nr++;
	}
	if (copy_to_user(u64_to_user_ptr(address), fds->fd, nr * sizeof(*fds->fd))) {
		kipc_fds_undo(fds);
		return -EFAULT;
	}
	return 0;
}

noinline void kipc_fds_install(struct kipc_fds *fds)
{
	while (fds->nr) {
		fds->nr--;
		fd_install(fds->fd[fds->nr], fds->file[fds->nr]);
	}
}

noinline void kipc_fds_undo(struct kipc_fds *fds)
{
	while (fds->nr) {
		fds->nr--;
		put_unused_fd(fds->fd[fds->nr]);
		kipc_file_let_go(fds->file[fds->nr]);
	}
}
