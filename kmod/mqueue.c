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
	time64_t used;

	stat->dev = inode->i_sb->s_dev;
	stat->ino = inode->i_ino;
	stat->nlink = rcu_access_pointer(ep->name) ? 1 : 0;
	stat->size = KIPC_STATE_SIZE;
	stat->blksize = i_blocksize(inode);
	spin_lock(&ep->lock);
	stat->mode = S_IFREG | ep->mode;
	stat->uid = ep->uid;
	stat->gid = ep->gid;
	used = max(ep->sent.time, ep->received.time) ?: ep->changed;
	stat->atime.tv_sec = used;
	stat->mtime.tv_sec = used;
	stat->ctime.tv_sec = max(used, ep->changed);
	spin_unlock(&ep->lock);
	return 0;
}

/* What the kernel asks the inode itself, which decides nothing here; it may be of some time ago */
static void kipc_mqueue_refresh(struct inode *inode)
{
	struct kipc_ep *ep = inode->i_private;

	spin_lock(&ep->lock);
	inode->i_mode = S_IFREG | ep->mode;
	inode->i_uid = ep->uid;
	inode->i_gid = ep->gid;
	spin_unlock(&ep->lock);
}

/* By the rules of KIPC_IOC_SET, which for a queue with MQUEUE are those of chmod(2) and chown(2) */
static int kipc_mqueue_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct kipc_op_stat *op;
	int err = 0;

	/* open(2) with O_TRUNC */
	if (attr->ia_valid & ATTR_OPEN)
		return 0;
	if (attr->ia_valid & (ATTR_SIZE | ATTR_ATIME | ATTR_MTIME))
		return -EPERM;
	op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT);
	if (!op)
		return -ENOMEM;
	if (attr->ia_valid & ATTR_MODE) {
		op->what |= KIPC_SET_MODE;
		op->info.mode = attr->ia_mode & 0777;
	}
	if (attr->ia_valid & ATTR_UID) {
		op->what |= KIPC_SET_UID;
		op->info.uid = from_kuid(current_user_ns(), attr->ia_uid);
	}
	if (attr->ia_valid & ATTR_GID) {
		op->what |= KIPC_SET_GID;
		op->info.gid = from_kgid(current_user_ns(), attr->ia_gid);
	}
	if (op->what)
		err = kipc_ep_set(inode->i_private, op, true);
	kipc_mqueue_refresh(inode);
	kfree(op);
	return err;
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

void kipc_mqueue_pin_again(void)
{
	WARN_ON_ONCE(kipc_mqueue_pin());
}

void kipc_mqueue_unpin(void)
{
	simple_release_fs(&kipc_mqueue_mount, &kipc_mqueue_pins);
}

struct file *kipc_mqueue_file(struct kipc_file *file, const char *name, unsigned int flags)
{
	struct inode *inode;
	struct file *filp;
	int err;

	err = kipc_mqueue_pin();
	if (err)
		return ERR_PTR(err);
	inode = new_inode(kipc_mqueue_mount->mnt_sb);
	if (!inode) {
		filp = ERR_PTR(-ENOMEM);
		goto unpin;
	}
	inode->i_mode = S_IFREG;
	inode->i_size = KIPC_STATE_SIZE;
	inode->i_flags |= S_PRIVATE;
	__module_get(THIS_MODULE);	/* of the file, whose end puts it */
	filp = alloc_file_pseudo(inode, kipc_mqueue_mount, name, flags, &kipc_handle_fops);
	if (IS_ERR(filp)) {
		module_put(THIS_MODULE);
		iput(inode);
		goto unpin;
	}
	filp->private_data = file;
	/* What open(2) gives a file with a position */
	filp->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	return filp;

unpin:
	kipc_mqueue_unpin();
	return filp;
}

void kipc_mqueue_attach(struct file *filp, struct kipc_ep *ep)
{
	struct inode *inode = file_inode(filp);

	inode->i_private = kipc_ep_get(ep);
	inode->i_ino = ep->ino;
	inode->i_op = &kipc_mqueue_inode_operations;
	inode->i_fop = &kipc_handle_fops;
	kipc_mqueue_refresh(inode);
}
