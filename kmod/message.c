// SPDX-License-Identifier: GPL-2.0-only
/* See message.h. */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "call.h"
#include "message.h"

static struct kmem_cache *kipc_msg_cache;
static struct kmem_cache *kipc_call_cache;

static int kipc_segs_check(struct kipc_segs *segs)
{
	unsigned int i;

	segs->total = 0;
	for (i = 0; i < segs->nr; i++)
		if (check_add_overflow(segs->total, segs->seg[i].len, &segs->total) ||
		    segs->total > S64_MAX)
			return -EINVAL;
	return 0;
}

int kipc_segs_import(struct kipc_segs *segs, const struct kipc_payload *payload)
{
	size_t bytes = payload->iovcnt * sizeof(*segs->seg);
	int err;

	segs->seg = segs->fast;
	if (payload->nfds)
		return -EOPNOTSUPP;
	if (payload->fds)
		return -EINVAL;
	if (!payload->iovcnt) {
		segs->nr = 1;
		segs->fast[0].base = payload->base;
		segs->fast[0].len = payload->len;
		return kipc_segs_check(segs);
	}
	if (payload->iovcnt > KIPC_IOV_MAX || payload->len)
		return -EINVAL;
	segs->nr = payload->iovcnt;
	if (segs->nr > KIPC_FAST_SEGS) {
		segs->seg = kmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!segs->seg) {
			segs->seg = segs->fast;
			return -ENOMEM;
		}
	}
	err = -EFAULT;
	if (!copy_from_user(segs->seg, u64_to_user_ptr(payload->base), bytes))
		err = kipc_segs_check(segs);
	if (err)
		kipc_segs_free(segs);
	return err;
}

void kipc_segs_free(struct kipc_segs *segs)
{
	if (segs->seg != segs->fast)
		kfree(segs->seg);
	segs->seg = segs->fast;
}

int kipc_segs_read(const struct kipc_segs *segs, void *to)
{
	unsigned int i;

	for (i = 0; i < segs->nr; i++) {
		const struct kipc_iovec *seg = &segs->seg[i];

		if (copy_from_user(to, u64_to_user_ptr(seg->base), seg->len))
			return -EFAULT;
		to += seg->len;
	}
	return 0;
}

int kipc_segs_write(const struct kipc_segs *segs, const void *from, size_t size)
{
	unsigned int i;

	for (i = 0; i < segs->nr && size; i++) {
		const struct kipc_iovec *seg = &segs->seg[i];
		size_t part = min_t(u64, seg->len, size);

		if (copy_to_user(u64_to_user_ptr(seg->base), from, part))
			return -EFAULT;
		from += part;
		size -= part;
	}
	return 0;
}

void kipc_creds_current(struct kipc_creds *creds)
{
	creds->uid = current_euid();
	creds->gid = current_egid();
	creds->pid = get_pid(task_tgid(current));
}

void kipc_creds_put(struct kipc_creds *creds)
{
	put_pid(creds->pid);
	creds->pid = NULL;
}

void kipc_creds_tell(const struct kipc_creds *creds, struct kipc_result *result)
{
	result->uid = from_kuid(current_user_ns(), creds->uid);
	result->gid = from_kgid(current_user_ns(), creds->gid);
	result->pid = pid_vnr(creds->pid);
}

void *kipc_payload_alloc(size_t size)
{
	return kvmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

static struct kipc_msg *kipc_msg_alloc(bool call)
{
	if (call) {
		struct kipc_call *new = kmem_cache_zalloc(kipc_call_cache, GFP_KERNEL);

		return new ? &new->msg : NULL;
	}
	return kmem_cache_zalloc(kipc_msg_cache, GFP_KERNEL);
}

struct kipc_msg *kipc_msg_new(const struct kipc_segs *segs, u64 type, u32 prio, bool call)
{
	struct kipc_msg *msg = kipc_msg_alloc(call);
	int err;

	if (!msg)
		return ERR_PTR(-ENOMEM);
	refcount_set(&msg->ref, 1);
	INIT_LIST_HEAD(&msg->link);
	msg->state = KIPC_MSG_NEW;
	msg->call = call;
	msg->node.key = type;
	msg->prio = prio;
	msg->size = segs->total;
	msg->data = msg->inline_data;
	if (msg->size > KIPC_INLINE_SIZE) {
		msg->data = kipc_payload_alloc(msg->size);
		err = -ENOMEM;
		if (!msg->data)
			goto fail;
	}
	err = kipc_segs_read(segs, msg->data);
	if (err)
		goto fail;
	kipc_creds_current(&msg->creds);
	msg->time = ktime_get();
	return msg;

fail:
	kipc_msg_put(msg);
	return ERR_PTR(err);
}

void kipc_msg_put(struct kipc_msg *msg)
{
	if (!refcount_dec_and_test(&msg->ref))
		return;
	WARN_ON_ONCE(msg->share || msg->waiter || !list_empty(&msg->link));
	kipc_creds_put(&msg->creds);
	put_cred(msg->cred);
	if (msg->data != msg->inline_data)
		kvfree(msg->data);
	if (msg->call) {
		struct kipc_call *call = to_call(msg);

		kipc_call_destroy(call);
		kmem_cache_free(kipc_call_cache, call);
	} else {
		kmem_cache_free(kipc_msg_cache, msg);
	}
}

int kipc_message_init(void)
{
	unsigned int offset = offsetof(struct kipc_msg, inline_data);

	kipc_msg_cache = kmem_cache_create_usercopy("kipc_msg", sizeof(struct kipc_msg), 0,
						    SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN, offset,
						    KIPC_INLINE_SIZE, NULL);
	if (!kipc_msg_cache)
		return -ENOMEM;
	offset += offsetof(struct kipc_call, msg);
	kipc_call_cache = kmem_cache_create_usercopy("kipc_call", sizeof(struct kipc_call), 0,
						     SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN, offset,
						     KIPC_INLINE_SIZE, NULL);
	if (!kipc_call_cache) {
		kmem_cache_destroy(kipc_msg_cache);
		return -ENOMEM;
	}
	return 0;
}

void kipc_message_exit(void)
{
	kmem_cache_destroy(kipc_call_cache);
	kmem_cache_destroy(kipc_msg_cache);
}
