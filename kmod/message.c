// SPDX-License-Identifier: GPL-2.0-only
/* See message.h. */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "call.h"
#include "endpoint.h"
#include "limits.h"
#include "message.h"
#include "pins.h"

/*
 * Payloads are copied without copy_from_user()'s and copy_to_user()'s look at what
 * the memory belongs to (CONFIG_HARDENED_USERCOPY): it costs as much as copying a
 * kilobyte, and can only tell that the copy stays within an object of the
 * allocator. Here the size of the buffer itself is known, and stands beside each
 * copy. What a sanitizer of the kernel watches, it goes on watching.
 */
static inline bool kipc_outside(const struct kipc_buffer *buffer, size_t at, u64 len)
{
	return WARN_ON_ONCE(at > buffer->size || len > buffer->size - at);
}

static inline int kipc_copy_in(const struct kipc_buffer *to, size_t at, u64 from, u64 len)
{
	if (kipc_outside(to, at, len) || _copy_from_user(to->data + at, u64_to_user_ptr(from), len))
		return -EFAULT;
	return 0;
}

static inline int kipc_copy_out(const struct kipc_buffer *from, size_t at, u64 to, u64 len)
{
	if (kipc_outside(from, at, len) || _copy_to_user(u64_to_user_ptr(to), from->data + at, len))
		return -EFAULT;
	return 0;
}

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

noinline int kipc_segs_import_iov(struct kipc_segs *segs, const struct kipc_payload *payload)
{
	size_t bytes = payload->iovcnt * sizeof(*segs->seg);
	struct kipc_iovec *seg;
	int err;

	if (payload->nfds > KIPC_FILES_MAX || !payload->nfds != !payload->fds)
		return -EINVAL;
	if (!payload->iovcnt) {
		if (payload->len > S64_MAX)
			return -EINVAL;
		segs->nr = 1;
		segs->total = payload->len;
		segs->seg = (const struct kipc_iovec *)payload;
		return 0;
	}
	if (payload->iovcnt > KIPC_IOV_MAX || payload->len)
		return -EINVAL;
	seg = segs->fast;
	if (payload->iovcnt > KIPC_FAST_SEGS) {
		seg = kmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!seg)
			return -ENOMEM;
	}
	segs->nr = payload->iovcnt;
	segs->seg = seg;
	err = -EFAULT;
	if (!copy_from_user(seg, u64_to_user_ptr(payload->base), bytes))
		err = kipc_segs_check(segs);
	if (err)
		kipc_segs_free(segs);
	return err;
}

noinline void kipc_segs_free_iov(struct kipc_segs *segs)
{
	kfree(segs->seg);
}

static noinline int kipc_segs_read_iov(const struct kipc_segs *segs, const struct kipc_buffer *to)
{
	size_t at = 0;
	unsigned int i;

	if (!segs->nr && (kipc_outside(to, 0, segs->total) ||
			  _copy_from_iter(to->data, segs->total, segs->iter) != segs->total))
		return -EFAULT;
	for (i = 0; i < segs->nr; i++) {
		if (kipc_copy_in(to, at, segs->seg[i].base, segs->seg[i].len))
			return -EFAULT;
		at += segs->seg[i].len;
	}
	return 0;
}

int kipc_segs_read(const struct kipc_segs *segs, const struct kipc_buffer *to)
{
	if (likely(segs->nr == 1))
		return kipc_copy_in(to, 0, segs->seg->base, segs->total);
	return kipc_segs_read_iov(segs, to);
}

static noinline int kipc_segs_write_iov(const struct kipc_segs *segs,
					const struct kipc_buffer *from, size_t size)
{
	size_t at = 0;
	unsigned int i;

	if (!segs->nr && (kipc_outside(from, 0, size) ||
			  _copy_to_iter(from->data, size, segs->iter) != size))
		return -EFAULT;
	for (i = 0; i < segs->nr && at < size; i++) {
		size_t part = min_t(u64, segs->seg[i].len, size - at);

		if (kipc_copy_out(from, at, segs->seg[i].base, part))
			return -EFAULT;
		at += part;
	}
	return 0;
}

int kipc_segs_write(const struct kipc_segs *segs, const struct kipc_buffer *from, size_t size)
{
	if (likely(segs->nr == 1))
		return kipc_copy_out(from, 0, segs->seg->base, size);
	return kipc_segs_write_iov(segs, from, size);
}

static noinline int kipc_segs_write_window(const struct kipc_segs *segs,
					   struct kipc_window *window, size_t size)
{
	size_t at = 0;
	unsigned int i;
	int err = 0;

	if (!segs->nr)
		return kipc_window_read_iter(window, segs->iter, size);
	for (i = 0; i < segs->nr && at < size && !err; i++) {
		size_t part = min_t(u64, segs->seg[i].len, size - at);

		err = kipc_window_read(window, at, segs->seg[i].base, part);
		at += part;
	}
	return err;
}

int kipc_msg_write(const struct kipc_segs *segs, struct kipc_msg *msg, size_t size)
{
	if (unlikely(msg->pinned))
		return kipc_segs_write_window(segs, &msg->window, size);
	return kipc_segs_write(segs, &msg->body.buffer, size);
}

static void kipc_ids_tell(const struct kipc_creds *creds, struct kipc_result *result)
{
	struct user_namespace *ns = current_user_ns();

	if (ns == &init_user_ns) {
		/* Nothing to translate */
		result->uid = __kuid_val(creds->uid);
		result->gid = __kgid_val(creds->gid);
	} else {
		result->uid = from_kuid(ns, creds->uid);
		result->gid = from_kgid(ns, creds->gid);
	}
}

void kipc_creds_tell(const struct kipc_creds *creds, struct kipc_result *result)
{
	kipc_ids_tell(creds, result);
	result->pid = pid_vnr(creds->pid);
}

void kipc_creds_tell_likewise(const struct kipc_creds *creds, struct kipc_result *result,
			      struct kipc_told *told)
{
	kipc_ids_tell(creds, result);
	if (creds->pid != told->pid) {
		told->pid = creds->pid;
		told->nr = pid_vnr(creds->pid);
	}
	result->pid = told->nr;
}

static struct kipc_pins *kipc_segs_pin(const struct kipc_segs *segs)
{
	if (likely(!kipc_pin_wanted(segs->total) || segs->nr > 1))
		return NULL;
	return kipc_pins_new(segs->seg->base, segs->total, false);
}

struct kipc_msg *kipc_msg_new(struct kipc_pool *pool, const struct kipc_segs *segs, u64 type,
			      u32 prio, enum kipc_kind kind, bool pin, ktime_t now)
{
	struct kipc_pins *pins = pin ? kipc_segs_pin(segs) : NULL;
	struct kipc_body *body = kipc_body_new(pool, kind, pins ? 0 : segs->total);
	struct kipc_msg *msg;

	if (!body) {
		if (pins)
			kipc_pins_free(pins);
		return ERR_PTR(-ENOMEM);
	}
	if (!pins && kipc_segs_read(segs, &body->buffer)) {
		kipc_body_free(body, kind);
		return ERR_PTR(-EFAULT);
	}
	msg = container_of(body, struct kipc_msg, body);
	msg->pinned = pins;
	if (unlikely(pins))
		kipc_window_open(&msg->window, pins);
	msg->flags = 0;
	msg->error = 0;
	msg->deliveries = 0;
	msg->peeks = 0;
	msg->share = NULL;
	msg->waiter = NULL;
	msg->cred = NULL;
	refcount_set(&msg->ref, 1);
	INIT_HLIST_NODE(&msg->link);
	msg->call = kind == KIPC_KIND_CALL;
	msg->node.key = type;
	msg->prio = prio;
	msg->size = segs->total;
	kipc_creds_current(&msg->creds);
	msg->time = now;
	return msg;
}

noinline int kipc_msg_attach(struct kipc_msg *msg, struct kipc_file *file,
			     const struct kipc_ep *ep, const struct kipc_payload *payload)
{
	struct kipc_files *files;

	if (!(ep->flags & KIPC_ENDPOINT_FILES))
		return -EOPNOTSUPP;
	files = kipc_files_new(file, payload);
	if (IS_ERR(files))
		return PTR_ERR(files);
	msg->files = files;
	msg->nfds = files->nr;
	return 0;
}

void kipc_msg_free(struct kipc_msg *msg)
{
	WARN_ON_ONCE(msg->share || msg->waiter || !hlist_unhashed(&msg->link));
	kipc_creds_put(&msg->creds);
	if (unlikely(msg->cred))
		put_cred(msg->cred);
	kipc_msg_unpin(msg);
	if (unlikely(msg->nfds) && msg->files)
		kipc_files_free(msg->files);
	if (msg->call) {
		kipc_call_destroy(to_call(msg));
		kipc_body_free(&msg->body, KIPC_KIND_CALL);
	} else {
		kipc_body_free(&msg->body, KIPC_KIND_MSG);
	}
}
