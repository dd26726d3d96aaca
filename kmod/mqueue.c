// SPDX-License-Identifier: GPL-2.0-only
/* See mqueue.h. */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/string.h>

#include "compat.h"
#include "endpoint.h"
#include "file.h"
#include "mqueue.h"
#include "ns.h"
#include "rw.h"

/* What statfs(2) calls MQUEUE_MAGIC; no header of the kernel does */
#define KIPC_MQUEUE_MAGIC	0x19800202

static struct vfsmount *kipc_mqueue_mount;	/* by simple_pin_fs() */
static int kipc_mqueue_pins;

/*
 * Its name with a slash, and " (deleted)" if it is not called so any more. Other slashes are shown
 * as '!': it is in no directory.
 */
static char *kipc_mqueue_dname(struct dentry *dentry, char *buffer, int size)
{
	static const char deleted[] = " (deleted)";
	char bound[KIPC_NAME_MAX + 1];
	const struct kipc_ep *ep = d_inode(dentry)->i_private;
	const char *name = bound;
	size_t slash, len, tail = 0;

	if (!ep || !kipc_ep_name(ep, bound)) {
		name = dentry->d_name.name;
		tail = sizeof(deleted) - 1;
	}
	slash = name[0] != '/';
	len = strlen(name);
	if (size < 0 || slash + len + tail + 1 > size)
		return ERR_PTR(-ENAMETOOLONG);
	buffer += size - (slash + len + tail + 1);
	memcpy(buffer, "/", slash);
	memcpy(buffer + slash, name, len);
	memcpy(buffer + slash + len, deleted, tail);
	buffer[slash + len + tail] = 0;
	strreplace(buffer + 1, '/', '!');
	return buffer;
}

static const struct dentry_operations kipc_mqueue_dentry_operations = {
	.d_dname = kipc_mqueue_dname,
};

static void kipc_mqueue_evict(struct inode *inode)
{
	struct kipc_ep *ep = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (ep)
		kipc_ep_put(ep);
}

static const struct super_operations kipc_mqueue_super_operations = {
	.statfs = simple_statfs,
	.evict_inode = kipc_mqueue_evict,
};

static int kipc_mqueue_init_fs(struct fs_context *fc)
{
	struct pseudo_fs_context *context = init_pseudo(fc, KIPC_MQUEUE_MAGIC);

	if (!context)
		return -ENOMEM;
	context->ops = &kipc_mqueue_super_operations;
	context->dops = &kipc_mqueue_dentry_operations;
	fc->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	return 0;
}

static struct file_system_type kipc_mqueue_fs = {
	.owner = THIS_MODULE,
	.name = "kipc_mqueue",
	.init_fs_context = kipc_mqueue_init_fs,
	.kill_sb = kill_anon_super,
};

static int kipc_mqueue_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	return kipc_ep_check(inode->i_private, (mask & MAY_READ ? KIPC_MAY_RECV : 0) |
					       (mask & MAY_WRITE ? KIPC_MAY_SEND : 0));
}

static int kipc_mqueue_getattr(struct mnt_idmap *idmap, const struct path *path,
			       struct kstat *stat, u32 mask, unsigned int flags)
{
	const struct inode *inode = d_inode(path->dentry);
	struct kipc_ep *ep = inode->i_private;

	stat->dev = inode->i_sb->s_dev;
	stat->ino = inode->i_ino;
	stat->nlink = rcu_access_pointer(ep->name) ? 1 : 0;
	stat->blksize = i_blocksize(inode);
	spin_lock(&ep->lock);
	kipc_ep_settle(ep);
	stat->size = i_size_read(inode);
	stat->mode = (inode->i_mode & ~0777) | ep->mode;
	stat->uid = ep->uid;
	stat->gid = ep->gid;
	stat->atime.tv_sec = ep->times.access;
	stat->mtime.tv_sec = ep->times.modify;
	stat->ctime.tv_sec = ep->times.change;
	spin_unlock(&ep->lock);
	return 0;
}

/*
 * What the kernel asks the inode itself, and without ep->lock: it may be of some time ago. Of a
 * mode an endpoint keeps only the bits of rights.
 */
static void kipc_mqueue_refresh(struct inode *inode, const struct kipc_ep *ep)
{
	lockdep_assert_held(&ep->lock);
	data_race(inode->i_mode = (inode->i_mode & ~0777) | ep->mode);	/* see above */
	data_race(inode->i_uid = ep->uid);	/* likewise */
	data_race(inode->i_gid = ep->gid);	/* likewise */
}

void kipc_mqueue_changed(struct kipc_ep *ep)
{
	kipc_ep_settle(ep);
	ep->times.change = ep->changed;
	if (ep->inode)
		kipc_mqueue_refresh(ep->inode, ep);
}

/* By the rules of KIPC_IOC_SET, which for a queue with MQUEUE are those of chmod(2) and chown(2) */
static int kipc_mqueue_set(struct kipc_ep *ep, const struct iattr *attr, unsigned int valid)
{
	struct kipc_op_stat *op;
	int err;

	if (!(valid & (ATTR_MODE | ATTR_UID | ATTR_GID)))
		return 0;
	op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT);
	if (!op)
		return -ENOMEM;
	if (valid & ATTR_MODE) {
		op->what |= KIPC_SET_MODE;
		op->info.mode = attr->ia_mode & 0777;
	}
	if (valid & ATTR_UID) {
		op->what |= KIPC_SET_UID;
		op->info.uid = from_kuid(current_user_ns(), attr->ia_uid);
	}
	if (valid & ATTR_GID) {
		op->what |= KIPC_SET_GID;
		op->info.gid = from_kgid(current_user_ns(), attr->ia_gid);
	}
	err = kipc_ep_set(ep, op, true);
	kfree(op);
	return err;
}

static int kipc_mqueue_size(const struct inode *inode, loff_t size)
{
	/* The largest in a file system of mqueue(7), whose s_maxbytes is no other */
	return inode_newsize_ok(inode, size) ?: size > MAX_NON_LFS ? -EFBIG : 0;
}

/* What of a mode is no right, as chmod(2) has it */
static umode_t kipc_mqueue_special(struct mnt_idmap *idmap, const struct inode *inode, umode_t mode)
{
	struct kipc_ep *ep = inode->i_private;
	kgid_t gid;

	spin_lock(&ep->lock);
	gid = ep->gid;
	spin_unlock(&ep->lock);
	mode &= S_ISUID | S_ISGID | S_ISVTX;
	if (mode & S_ISGID && !in_group_p(gid) &&
	    !capable_wrt_inode_uidgid(idmap, inode, CAP_FSETID))
		mode &= ~S_ISGID;
	return mode;
}

static int kipc_mqueue_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	/* What ia_mode says of rights is then no wish, but what the caller has seen a while ago */
	bool kill = attr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID);
	unsigned int valid = attr->ia_valid, owners = ATTR_TIMES_SET | (kill ? ATTR_MODE : 0);
	struct inode *inode = d_inode(dentry);
	struct kipc_ep *ep = inode->i_private;
	umode_t special;
	int err = 0;

	if (valid & ATTR_SIZE)
		err = kipc_mqueue_size(inode, attr->ia_size);
	if (!err && valid & owners && !(valid & ATTR_FORCE))
		err = kipc_ep_check(ep, KIPC_MAY_CONTROL);
	err = err ?: kipc_mqueue_set(ep, attr, kill ? valid & ~ATTR_MODE : valid);
	if (err)
		return err;
	special = valid & ATTR_MODE ? kipc_mqueue_special(idmap, inode, attr->ia_mode) : 0;
	spin_lock(&ep->lock);
	/* As in kipc_mqueue_refresh(); there are no pages */
	if (valid & ATTR_MODE)
		data_race(inode->i_mode = S_IFREG | special | ep->mode); /* see above */
	if (valid & ATTR_SIZE)
		data_race(({ i_size_write(inode, attr->ia_size); 0; })); /* see above */
	kipc_ep_settle(ep);
	if (valid & ATTR_ATIME)
		ep->times.access = attr->ia_atime.tv_sec;
	if (valid & ATTR_MTIME)
		ep->times.modify = attr->ia_mtime.tv_sec;
	if (valid & ATTR_CTIME)
		ep->times.change = attr->ia_ctime.tv_sec;
	spin_unlock(&ep->lock);
	return 0;
}

static const struct inode_operations kipc_mqueue_inode_operations = {
	.permission = kipc_mqueue_permission,
	.getattr = kipc_mqueue_getattr,
	.setattr = kipc_mqueue_setattr,
};

int kipc_mqueue_pin(void)
{
	return simple_pin_fs(&kipc_mqueue_fs, &kipc_mqueue_mount, &kipc_mqueue_pins);
}

void kipc_mqueue_unpin(void)
{
	simple_release_fs(&kipc_mqueue_mount, &kipc_mqueue_pins);
}

static struct inode *kipc_mqueue_inode(struct kipc_ep *ep)
{
	struct inode *inode = new_inode(kipc_mqueue_mount->mnt_sb);

	if (!inode)
		return NULL;
	inode->i_private = kipc_ep_get(ep);
	inode->i_ino = ep->ino;
	inode->i_mode = S_IFREG;
	inode->i_size = KIPC_STATE_SIZE;
	inode->i_flags |= S_PRIVATE;
	inode->i_op = &kipc_mqueue_inode_operations;
	inode->i_fop = &kipc_handle_fops;
	return inode;
}

int kipc_mqueue_begin(struct kipc_ep *ep, struct kipc_file *file)
{
	struct inode *inode = ep->inode;

	lockdep_assert_held(&ep->ns->mutex);
	if (!inode) {
		inode = kipc_mqueue_inode(ep);
		if (!inode)
			return -ENOMEM;
		WARN_ON_ONCE(kipc_mqueue_pin());	/* one more */
		spin_lock(&ep->lock);
		kipc_mqueue_refresh(inode, ep);
		ep->inode = inode;
		spin_unlock(&ep->lock);
	}
	/* That of one that was found dead, perhaps */
	if (file->inode)
		iput(file->inode);
	ihold(inode);
	file->inode = inode;
	return 0;
}

void kipc_mqueue_end(struct kipc_ep *ep)
{
	struct inode *inode;

	spin_lock(&ep->lock);
	inode = ep->inode;
	ep->inode = NULL;
	spin_unlock(&ep->lock);
	if (inode) {
		iput(inode);
		kipc_mqueue_unpin();
	}
}

/* @file, if @dentry was made by the calling task, for @file to open; else NULL */
static struct kipc_file *kipc_mqueue_take(struct dentry *dentry)
{
	struct kipc_file *file;

	if (READ_ONCE(dentry->d_time) != (unsigned long)current)
		return NULL;
	file = dentry->d_fsdata;
	dentry->d_fsdata = NULL;
	WRITE_ONCE(dentry->d_time, 0);
	return file;
}

struct file *kipc_mqueue_file(struct kipc_file *file, const char *name, unsigned int flags)
{
	const struct qstr called = QSTR_INIT(name, strlen(name));
	struct path path = {
		.mnt = kipc_mqueue_mount,
		.dentry = d_alloc(kipc_mqueue_mount->mnt_root, &called),
	};
	struct file *filp;

	if (!path.dentry)
		return ERR_PTR(-ENOMEM);
	path.dentry->d_fsdata = file;
	path.dentry->d_time = (unsigned long)current;
	d_instantiate(path.dentry, file->inode);
	file->inode = NULL;
	filp = dentry_open(&path, flags, current_cred());
	/* Without a file: what others have of it by now is theirs */
	kipc_mqueue_take(path.dentry);
	dput(path.dentry);
	return filp;
}

struct kipc_file *kipc_mqueue_opens(const struct file *filp)
{
	return kipc_mqueue_take(filp->f_path.dentry);
}
