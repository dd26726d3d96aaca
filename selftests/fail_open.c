// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Failures in what makes, finds, shows, changes and ends endpoints and files: each
 * allocation and each copy fails once. Nothing is half made or half changed, and
 * the limits have room for one more, exactly.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "fail.h"
#include "harness.h"

#define KEY 0x1234
#define NAME "kipc-test.fail"
#define NEW_KEY 0x5678
#define NEW_NAME "kipc-test.fail.new"

#define MAX_SIZE 4096
#define CAPACITY (MAX_SIZE * 32 + 256 * 256)	/* of an endpoint with this max_size */

static struct peer peer;

/*
 * Everything is done by an ordinary user who may have one endpoint, with CAPACITY, and
 * one waiting task. An endpoint may have two handles, the namespace one endpoint.
 */
FIXTURE(open) {
	int dev;
	long slabs;
	long references;
	unsigned int fds;
};

static long references(void)
{
	char text[32];

	kt_need(kt_read_file("/sys/module/kipc/refcnt", text, sizeof(text)) > 0);
	return strtol(text, NULL, 10);
}

FIXTURE_SETUP(open)
{
	fail_setup();
	self->slabs = kt_slab_objects();
	self->references = references();
	self->dev = kt_device();
	self->fds = kt_open_fds();
	kt_set_param("spares_max", 0);
	kt_set_param("endpoints_max", 1);
	kt_set_param("user_endpoints_max", 1);
	kt_set_param("user_capacity_max", CAPACITY);
	kt_set_param("handles_max", 2);
	kt_set_param("waiters_max", 1);
}

FIXTURE_TEARDOWN(open)
{
	kt_euid(0);
	EXPECT_EQ(self->fds, kt_open_fds());
	close(self->dev);
	kt_restore_params();
	EXPECT_TRUE(kt_until(references() == self->references));
	EXPECT_TRUE(kt_until(kt_slab_objects() == self->slabs));
}

static struct kipc_op_open create_op(uint64_t key, const char *name)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_CREATE,
		.rights = KT_ALL_RIGHTS,
		.key = key,
		.mode = 0600,
		.attr.max_size = MAX_SIZE,
	};

	if (name) {
		op.name = kt_ptr(name);
		op.name_len = (uint32_t)strlen(name);
	}
	return op;
}

static int create(int dev, uint64_t key, const char *name)
{
	struct kipc_op_open op = create_op(key, name);
	long fd = kt_open(dev, &op);

	if (fd < 0)
		kt_complain("cannot make an endpoint: %ld", fd);
	kt_need(fd >= 0);
	return (int)fd;
}

static long find_key(int dev, uint64_t key)
{
	return kt_openl(dev, .rights = KIPC_RIGHT_SEND, .key = key);
}

static long find_name(int dev, const char *name)
{
	return kt_openl(dev, .rights = KIPC_RIGHT_SEND, KT_NAME(name));
}

/* No endpoint, no key, no name, no descriptor */
static bool nothing_made(FIXTURE_DATA(open) *self)
{
	uint32_t id = 0;
	long next = kt_next(self->dev, &id), key = find_key(self->dev, KEY);
	long name = find_name(self->dev, NAME);
	unsigned int fds = kt_open_fds();

	if (next == -ENOENT && key == -ENOENT && name == -ENOENT && fds == self->fds)
		return true;
	kt_complain("next: %ld, by key: %ld, by name: %ld, %u descriptors instead of %u", next,
		    key, name, fds, self->fds);
	return false;
}

static void sweep_create(struct __test_metadata *_metadata, FIXTURE_DATA(open) *self,
			 const struct kipc_op_open *op, unsigned int memory, unsigned int copies)
{
	struct kipc_op_open told;
	struct kipc_endpoint info;
	struct sweep s = SWEEP;
	uint32_t id;
	long fd;

	while (sweep_round(&s)) {
		told = *op;
		fd = FAILING(&s, kt_open(self->dev, &told));
		if (fd < 0) {
			ASSERT_TRUE(sweep_failed(&s, fd));
			ASSERT_EQ(0, told.id);
			ASSERT_TRUE(nothing_made(self));
			continue;
		}
		ASSERT_EQ(1, told.created);
		info = kt_stat((int)fd);
		ASSERT_EQ(told.id, info.id);
		ASSERT_EQ(op->key, info.key);
		ASSERT_EQ(op->name_len, strlen(info.name));
		ASSERT_EQ(1, info.handles);
		ASSERT_TRUE(kt_quiet((int)fd));
		id = 0;
		ASSERT_EQ(0, kt_next(self->dev, &id));
		ASSERT_EQ(told.id, id);
		if (op->flags & KIPC_OPEN_PERSIST)
			ASSERT_EQ(0, kt_remove((int)fd, 0));
		close((int)fd);
		ASSERT_TRUE(nothing_made(self));
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
}

/*
 * The kernel's file, inode and dentry; our file, account, user; endpoint and share. The
 * struct is copied in and out.
 */
TEST_F(open, open_private)
{
	struct kipc_op_open op = create_op(0, NULL);

	fail_become(KT_UID_A);
	sweep_create(_metadata, self, &op, 6, 2);
}

/* Besides: its binding */
TEST_F(open, open_new_by_key)
{
	struct kipc_op_open op = create_op(KEY, NULL);

	op.flags |= KIPC_OPEN_EXCL;
	fail_become(KT_UID_A);
	sweep_create(_metadata, self, &op, 7, 2);
}

/* ... and the name's bytes */
TEST_F(open, open_new_by_name)
{
	struct kipc_op_open op = create_op(0, NAME);

	fail_become(KT_UID_A);
	sweep_create(_metadata, self, &op, 7, 3);
}

/* ... and the mount, for the first of them */
TEST_F(open, open_new_as_mqueue)
{
	struct kipc_op_open op = create_op(0, NAME);

	op.flags |= KIPC_OPEN_MQUEUE;
	fail_become(KT_UID_A);
	sweep_create(_metadata, self, &op, 12, 3);
}

/* By its link in /proc */
TEST_F(open, open_again_as_mqueue)
{
	struct sweep s = SWEEP;
	char path[64];
	int first, fd;

	fail_become(KT_UID_A);
	first = (int)kt_openl(self->dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_MQUEUE,
			      .rights = KT_ALL_RIGHTS, .attr.max_size = MAX_SIZE, .mode = 0600);
	ASSERT_LE(0, first);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", first);
	while (sweep_round(&s)) {
		fd = (int)FAILING(&s, fail_errno(open(path, O_RDWR)));
		if (fd < 0) {
			ASSERT_TRUE(sweep_failed(&s, fd));
			ASSERT_EQ(1, kt_stat(first).handles);
			continue;
		}
		ASSERT_EQ(2, kt_stat(fd).handles);
		close(fd);
	}
	EXPECT_TRUE(sweep_covered(&s, 2, 0));
	/* There is room for one more, and no more */
	fd = open(path, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOSPC, fail_errno(open(path, O_RDWR)));
	close(fd);
	close(first);
}

TEST_F(open, change_as_mqueue)
{
	struct sweep s = SWEEP;
	long ret;
	int fd;

	fail_become(KT_UID_A);
	fd = (int)kt_openl(self->dev, .flags = KIPC_OPEN_CREATE | KIPC_OPEN_MQUEUE,
			   .rights = KT_ALL_RIGHTS, .attr.max_size = MAX_SIZE, .mode = 0600);
	ASSERT_LE(0, fd);
	while (sweep_round(&s)) {
		ret = FAILING(&s, fail_errno(fchmod(fd, 0640)));
		ASSERT_TRUE(!ret || sweep_failed(&s, ret));
		ASSERT_EQ(ret ? 0600U : 0640U, kt_stat(fd).mode);
		ASSERT_EQ(0, fchmod(fd, 0600));
	}
	EXPECT_TRUE(sweep_covered(&s, 2, 0));
	close(fd);
}

TEST_F(open, open_new_when_memory_stays_out)
{
	struct kipc_op_open op = create_op(0, NAME);

	fail_for_good("failslab");
	fail_become(KT_UID_A);
	sweep_create(_metadata, self, &op, 10, 3);
}

TEST_F(open, open_persistent)
{
	struct kipc_op_open op = create_op(0, NAME);

	op.flags |= KIPC_OPEN_PERSIST;
	fail_become(KT_UID_A);
	sweep_create(_metadata, self, &op, 7, 3);
}

/* An endpoint that any handle keeps, without a receiver */
TEST_F(open, open_kept_by_any)
{
	struct kipc_op_open op = create_op(KEY, NULL);

	op.flags |= KIPC_OPEN_KEEP_BY_ANY;
	op.rights = KIPC_RIGHT_SEND | KIPC_RIGHT_CONTROL;
	fail_become(KT_UID_A);
	sweep_create(_metadata, self, &op, 7, 2);
}

static void sweep_find(struct __test_metadata *_metadata, FIXTURE_DATA(open) *self, int own,
		       const struct kipc_op_open *op, unsigned int memory, unsigned int copies)
{
	unsigned int fds = kt_open_fds();
	struct kipc_op_open told;
	struct sweep s = SWEEP;
	long fd;

	while (sweep_round(&s)) {
		told = *op;
		fd = FAILING(&s, kt_open(self->dev, &told));
		if (fd < 0) {
			ASSERT_TRUE(sweep_failed(&s, fd));
		} else {
			ASSERT_EQ(0, told.created);
			ASSERT_EQ(kt_id(own), told.id);
			ASSERT_EQ(2, kt_stat(own).handles);
			close((int)fd);
		}
		ASSERT_EQ(1, kt_stat(own).handles);
		ASSERT_EQ(1, kt_stat(own).receivers);
		ASSERT_EQ(fds, kt_open_fds());
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
	close(own);
}

TEST_F(open, open_found_by_key)
{
	struct kipc_op_open op = { .rights = KT_ALL_RIGHTS, .key = KEY };

	fail_become(KT_UID_A);
	sweep_find(_metadata, self, create(self->dev, KEY, NULL), &op, 4, 2);
}

/* As one who would create it, and by a user who has no share there yet */
TEST_F(open, open_found_by_name)
{
	struct kipc_op_open op = create_op(0, NAME);
	int own = create(self->dev, 0, NAME);

	EXPECT_EQ(0, kt_chmod(own, 0, 0666));
	op.rights = KIPC_RIGHT_SEND | KIPC_RIGHT_RECV;
	fail_become(KT_UID_A);
	sweep_find(_metadata, self, own, &op, 6, 3);
}

TEST_F(open, open_found_by_id)
{
	struct kipc_op_open op = { .rights = KT_ALL_RIGHTS };
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NULL);
	op.id = kt_id(own);
	sweep_find(_metadata, self, own, &op, 4, 2);
}

/* From a handle: what a user who has a share there already needs */
TEST_F(open, restricted)
{
	struct kipc_op_restrict op = { .rights = KIPC_RIGHT_SEND, .badge = 5 };
	struct kipc_result result;
	struct sweep s = SWEEP;
	unsigned int fds;
	char buf[MAX_SIZE];
	int own;
	long fd;

	fail_become(KT_UID_A);
	own = create(self->dev, KEY, NULL);
	fds = kt_open_fds();
	while (sweep_round(&s)) {
		fd = FAILING(&s, kt_ioctl(own, KIPC_IOC_RESTRICT, &op));
		if (fd < 0) {
			ASSERT_TRUE(sweep_failed(&s, fd));
		} else {
			ASSERT_EQ(2, kt_stat(own).handles);
			ASSERT_EQ(0, kt_send((int)fd, 0, 1, 0, "x", 1));
			ASSERT_EQ(1, kt_recv(own, 0, 0, 0, buf, sizeof(buf), &result));
			ASSERT_EQ(5, result.badge);
			close((int)fd);
		}
		ASSERT_EQ(1, kt_stat(own).handles);
		ASSERT_EQ(1, kt_stat(own).receivers);
		ASSERT_EQ(fds, kt_open_fds());
	}
	/* The kernel's file and dentry; our file, its pool, an account. The struct */
	EXPECT_TRUE(sweep_covered(&s, 5, 1));
	close(own);
}

static long appear(struct peer *p)
{
	return create(p->fd, 0, NAME);
}

TEST_F(open, open_that_waits)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_WAIT,
		.rights = KIPC_RIGHT_SEND,
		KT_NAME(NAME),
		.deadline = KIPC_FOREVER,
	};
	unsigned int appeared = 0;
	struct sweep s = SWEEP;
	long fd, acted;

	fail_become(KT_UID_A);
	while (sweep_round(&s)) {
		peer_start(&peer, self->dev, appear);
		fd = FAILING(&s, kt_open(self->dev, &op));
		acted = peer_end(&peer);
		if (fd < 0)
			ASSERT_TRUE(sweep_failed(&s, fd));
		if (acted != PEER_IDLE) {
			ASSERT_EQ(1 + (fd >= 0), kt_stat((int)acted).handles);
			close((int)acted);
			appeared++;
		}
		if (fd >= 0)
			close((int)fd);
		op.id = 0;
		ASSERT_TRUE(nothing_made(self));
	}
	EXPECT_TRUE(sweep_covered(&s, 4, 3));
	/* In the last round, and when it could not be told */
	EXPECT_GE(appeared, 2);
}

TEST_F(open, open_the_device)
{
	struct sweep s = SWEEP;
	long fd;

	while (sweep_round(&s)) {
		fd = FAILING(&s, fail_errno(open("/dev/kipc", O_RDWR | O_CLOEXEC)));
		if (fd >= 0)
			close((int)fd);
		ASSERT_TRUE(fd >= 0 || sweep_failed(&s, fd));
		ASSERT_EQ(self->fds, kt_open_fds());
	}
	/* Its path is copied; the path, the kernel's file, and ours */
	EXPECT_TRUE(sweep_covered(&s, 3, 1));
}

/* ---- inspecting ---- */

TEST_F(open, info)
{
	struct kipc_limits limits;
	struct sweep s = SWEEP;
	long ret;

	while (sweep_round(&s)) {
		kt_poison(&limits, sizeof(limits));
		ret = FAILING(&s, kt_info(self->dev, &limits));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(kt_poisoned(&limits, sizeof(limits)));
		} else {
			ASSERT_EQ(KIPC_ABI_VERSION, limits.abi);
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
}

TEST_F(open, stat)
{
	struct kipc_op_stat op;
	struct sweep s = SWEEP;
	uint32_t id;
	long ret;
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NAME);
	id = kt_id(own);
	while (sweep_round(&s)) {
		op = (struct kipc_op_stat){ .endpoint = id };
		ret = FAILING(&s, kt_op_stat(self->dev, &op));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, op.info.id);
		} else {
			ASSERT_EQ(id, op.info.id);
			ASSERT_STREQ(NAME, op.info.name);
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 2));
	close(own);
}

TEST_F(open, next)
{
	struct sweep s = SWEEP;
	uint32_t id;
	long ret;
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NULL);
	while (sweep_round(&s)) {
		id = 0;
		ret = FAILING(&s, kt_next(self->dev, &id));
		if (ret)
			ASSERT_TRUE(sweep_failed(&s, ret));
		ASSERT_EQ(ret ? 0 : kt_id(own), id);
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 2));
	close(own);
}

/* ---- changing ---- */

static struct kipc_op_stat names_op(uint64_t key, const char *name)
{
	struct kipc_op_stat op = {
		.what = KIPC_SET_MODE | KIPC_SET_CAPACITY | KIPC_SET_KEY | KIPC_SET_NAME,
		.info.key = key,
		.info.mode = 0640,
		.info.attr.max_size = MAX_SIZE,
	};

	snprintf(op.info.name, sizeof(op.info.name), "%s", name);
	return op;
}

/* It goes by @key and @name, and not by @not_key and @not_name */
static bool called(int dev, uint64_t key, const char *name, uint64_t not_key,
		   const char *not_name)
{
	long by_key = find_key(dev, key), by_name;

	if (by_key >= 0)
		close((int)by_key);
	by_name = find_name(dev, name);
	if (by_name >= 0)
		close((int)by_name);
	if (by_key >= 0 && by_name >= 0 && find_key(dev, not_key) == -ENOENT &&
	    find_name(dev, not_name) == -ENOENT)
		return true;
	kt_complain("by key: %ld, by name: %ld, or it is found under what it must not be", by_key,
		    by_name);
	return false;
}

TEST_F(open, set_everything)
{
	struct kipc_op_stat set = names_op(NEW_KEY, NEW_NAME), back = names_op(KEY, NAME);
	struct kipc_endpoint before, after;
	struct sweep s = SWEEP;
	long ret;
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, KEY, NULL);
	/* It pays for less than it may: the rest is what SET charges, to the byte */
	back.info.attr.max_msgs = 1;
	back.info.mode = 0600;
	ASSERT_EQ(0, kt_op_set(own, &back));
	before = kt_stat(own);
	while (sweep_round(&s)) {
		ret = FAILING(&s, kt_op_set(own, &set));
		after = kt_stat(own);
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, memcmp(&before, &after, sizeof(before)));
			ASSERT_TRUE(called(self->dev, KEY, NAME, NEW_KEY, NEW_NAME));
			continue;
		}
		ASSERT_EQ(0640, after.mode);
		ASSERT_EQ(256, after.attr.max_msgs);
		ASSERT_TRUE(called(self->dev, NEW_KEY, NEW_NAME, KEY, NAME));
		ASSERT_EQ(0, kt_op_set(own, &back));
		after = kt_stat(own);
		before.changed = after.changed;
		ASSERT_EQ(0, memcmp(&before, &after, sizeof(before)));
	}
	/* The change itself and two bindings */
	EXPECT_TRUE(sweep_covered(&s, 3, 1));
	close(own);
}

/* The new owner pays from now on: it has no account there */
TEST_F(open, set_capacity_of_another_payer)
{
	int own = create(self->dev, 0, NULL);
	struct kipc_op_stat op = { .what = KIPC_SET_UID, .info.uid = KT_UID_A };
	struct kipc_op_stat back = { .what = KIPC_SET_CAPACITY };
	struct kipc_endpoint before, after;
	struct sweep s = SWEEP;
	long ret, fd;

	ASSERT_EQ(0, kt_op_set(own, &op));
	before = kt_stat(own);
	fail_become(KT_UID_A);
	op = (struct kipc_op_stat){
		.endpoint = before.id,
		.what = KIPC_SET_CAPACITY,
		.info.attr = {
			.max_size = MAX_SIZE,
			.max_msgs = 200,
			.max_bytes = CAPACITY - 200 * 256,
		},
	};
	while (sweep_round(&s)) {
		ret = FAILING(&s, kt_op_set(self->dev, &op));
		after = kt_stat(own);
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, memcmp(&before, &after, sizeof(before)));
			continue;
		}
		ASSERT_EQ(200, after.attr.max_msgs);
		/* Everything it may is charged now; then root pays again */
		fd = kt_openl(self->dev, .flags = KIPC_OPEN_CREATE, .rights = KIPC_RIGHT_RECV);
		ASSERT_EQ(-EDQUOT, fd);
		back.info = before;
		kt_euid(0);
		ASSERT_EQ(0, kt_op_set(own, &back));
		before.changed = kt_stat(own).changed;
		fail_become(KT_UID_A);
	}
	/* The change, account and user */
	EXPECT_TRUE(sweep_covered(&s, 3, 1));
	close(own);
}

/* Root gives it away, and takes it back */
TEST_F(open, set_owner)
{
	int own = create(self->dev, 0, NULL);
	struct kipc_op_stat op = {
		.what = KIPC_SET_UID | KIPC_SET_GID,
		.info = { .uid = KT_UID_A, .gid = KT_UID_A },
	};
	struct kipc_endpoint before = kt_stat(own), after;
	struct kipc_op_stat back = { .what = op.what };
	struct sweep s = SWEEP;
	long ret;

	while (sweep_round(&s)) {
		ret = FAILING(&s, kt_op_set(own, &op));
		after = kt_stat(own);
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, memcmp(&before, &after, sizeof(before)));
			continue;
		}
		ASSERT_EQ(KT_UID_A, after.uid);
		ASSERT_EQ(KT_UID_A, after.gid);
		ASSERT_EQ(0, kt_op_set(own, &back));
		before.changed = kt_stat(own).changed;
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 1));
	close(own);
}

/* ---- ending ---- */

TEST_F(open, remove)
{
	struct kipc_op_open op = create_op(0, NAME);
	struct sweep s = SWEEP;
	uint32_t id = 0;
	int own = -1;
	long ret;

	op.flags |= KIPC_OPEN_PERSIST;
	fail_become(KT_UID_A);
	while (sweep_round(&s)) {
		if (own < 0) {
			own = create(self->dev, 0, NULL);
			id = kt_id(own);
			ASSERT_EQ(0, kt_send(own, 0, 1, 0, "kept", 4));
		}
		ret = FAILING(&s, kt_remove(self->dev, id));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(1, kt_stat(own).msgs);
		} else {
			ASSERT_EQ(-EIDRM, kt_remove(self->dev, id));
			close(own);
			own = -1;
			ASSERT_TRUE(nothing_made(self));
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
}

TEST_F(open, shutdown)
{
	struct kipc_op_shutdown op = { 0 };
	struct sweep s = SWEEP;
	char buf[16];
	long ret;
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NULL);
	while (sweep_round(&s)) {
		ASSERT_EQ(0, kt_send(own, 0, 1, 0, "x", 1));
		ret = FAILING(&s, kt_ioctl(own, KIPC_IOC_SHUTDOWN, &op));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(1, kt_recv(own, 0, 0, 0, buf, sizeof(buf), NULL));
			continue;
		}
		ASSERT_EQ(-ESHUTDOWN, kt_recv(own, 0, 0, 0, buf, sizeof(buf), NULL));
		close(own);
		own = create(self->dev, 0, NULL);
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
	close(own);
}

TEST_F(open, notify)
{
	struct kipc_op_notify op = { .how = KIPC_NOTIFY_EVENTFD };
	struct kipc_op_notify none = { .how = KIPC_NOTIFY_NONE }, end = { 0 };
	int own, event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct sweep s = SWEEP;
	eventfd_t count;
	char buf[16];
	long ret;

	ASSERT_LE(0, event);
	op.value = (uint64_t)event;
	fail_become(KT_UID_A);
	own = create(self->dev, 0, NULL);
	while (sweep_round(&s)) {
		ret = FAILING(&s, kt_ioctl(own, KIPC_IOC_NOTIFY, &op));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, kt_ioctl(own, KIPC_IOC_NOTIFY, &none));
			ASSERT_EQ(0, kt_ioctl(own, KIPC_IOC_NOTIFY, &end));
			continue;
		}
		ASSERT_EQ(0, kt_send(own, 0, 1, 0, "x", 1));
		ASSERT_EQ(0, eventfd_read(event, &count));
		ASSERT_EQ(1, kt_recv(own, 0, KIPC_ANYSIZE, 0, buf, sizeof(buf), NULL));
	}
	EXPECT_TRUE(sweep_covered(&s, 1, 1));
	close(own);
	close(event);
}

/* Nothing is made, or a persistent endpoint without a handle */
TEST_F(open, an_id_and_no_handle)
{
	struct kipc_op_open op = create_op(KEY, NULL), told;
	struct kipc_endpoint info;
	struct sweep s = SWEEP;
	long ret;

	op.flags |= KIPC_OPEN_EXCL | KIPC_OPEN_PERSIST | KIPC_OPEN_ID_ONLY;
	op.rights = 0;
	fail_become(KT_UID_A);
	while (sweep_round(&s)) {
		told = op;
		ret = FAILING(&s, kt_open(self->dev, &told));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(nothing_made(self));
			continue;
		}
		ASSERT_EQ(0, kipc_stat(self->dev, told.id, &info));
		ASSERT_EQ(0, info.handles);
		ASSERT_EQ(0, kt_remove(self->dev, told.id));
		ASSERT_TRUE(nothing_made(self));
	}
	EXPECT_TRUE(sweep_covered(&s, 7, 2));
}

/* There is nothing in a close that can fail: it must not try */
TEST_F(open, close)
{
	struct kipc_op_rpc rpc = { .flags = KIPC_ASYNC };
	struct sweep s = SWEEP;
	struct kipc_result result;
	char buf[16];
	int own;

	fail_become(KT_UID_A);
	while (sweep_round(&s)) {
		own = create(self->dev, KEY, NULL);
		/* Under way: a call delivered, another queued, a message */
		rpc.token = 0;
		ASSERT_EQ(0, kt_op_rpc(own, &rpc));
		rpc.token = 0;
		ASSERT_EQ(0, kt_op_rpc(own, &rpc));
		ASSERT_EQ(0, kt_recv(own, 0, 0, 0, buf, sizeof(buf), &result));
		ASSERT_EQ(0, kt_send(own, 0, 1, 0, "x", 1));
		ASSERT_EQ(0, FAILING(&s, fail_errno(close(own))));
		ASSERT_TRUE(nothing_made(self));
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 0));
}

/* ---- what the kernel asks of us for other system calls ---- */

static long poll_events(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };

	return poll(&pfd, 1, 0) < 0 ? -errno : pfd.revents;
}

TEST_F(open, poll)
{
	struct sweep s = SWEEP;
	long ret;
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NULL);
	while (sweep_round(&s)) {
		ret = FAILING(&s, poll_events(own));
		if (ret != POLLOUT)
			ASSERT_TRUE(sweep_failed(&s, ret));
		ASSERT_EQ(POLLOUT, poll_events(own));
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 1));
	close(own);
}

TEST_F(open, epoll)
{
	struct epoll_event event = { .events = EPOLLIN }, got;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct sweep s = SWEEP;
	char buf[16];
	long ret;
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NULL);
	while (sweep_round(&s)) {
		ret = FAILING(&s, fail_errno(epoll_ctl(epoll, EPOLL_CTL_ADD, own, &event)));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(-ENOENT, fail_errno(epoll_ctl(epoll, EPOLL_CTL_DEL, own, NULL)));
			continue;
		}
		ASSERT_EQ(0, epoll_wait(epoll, &got, 1, 0));
		ASSERT_EQ(0, kt_send(own, 0, 1, 0, "x", 1));
		ASSERT_EQ(1, epoll_wait(epoll, &got, 1, 0));
		ASSERT_EQ(1, kt_recv(own, 0, 0, 0, buf, sizeof(buf), NULL));
		ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_DEL, own, NULL));
	}
	/* The item, and one entry for each of the three queues we wait in */
	EXPECT_TRUE(sweep_covered(&s, 4, 1));
	close(own);
	close(epoll);
}

/* What is left of a file: its size, or the error that came before its end */
static long read_rest(int fd, char *buf, size_t room)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, buf + len, room - len)) > 0)
		len += (size_t)n;
	return n < 0 ? -errno : (long)len;
}

/* Reads the file but for the first @skip bytes */
static void sweep_read(struct __test_metadata *_metadata, const char *path, size_t skip,
		       unsigned int memory, unsigned int copies)
{
	static char want[4096], buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct sweep s = SWEEP;
	long ret, size;

	ASSERT_GE(fd, 0);
	size = read_rest(fd, want, sizeof(want));
	ASSERT_GT(size, (long)skip);
	while (sweep_round(&s)) {
		close(fd);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_EQ(skip, read(fd, buf, skip));
		ret = FAILING(&s, read_rest(fd, buf + skip, sizeof(buf) - skip));
		if (ret < 0) {
			/* Nothing of it is lost to the next who reads */
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
			ASSERT_EQ(size, read_rest(fd, buf, sizeof(buf)));
		} else {
			ASSERT_EQ(size, (long)skip + ret);
		}
		ASSERT_EQ(0, memcmp(buf, want, (size_t)size));
	}
	EXPECT_TRUE(sweep_covered(&s, memory, copies));
	close(fd);
}

/* The kernel's buffer; what fails behind the first line is told by the next read only */
TEST_F(open, proc)
{
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NAME);
	sweep_read(_metadata, "/proc/net/kipc", 0, 1, 1);
	close(own);
}

/* Our memory for the state of an endpoint */
TEST_F(open, proc_of_an_endpoint)
{
	char text[4096];
	int own;

	ASSERT_GT(kt_read_file("/proc/net/kipc", text, sizeof(text)), 0);
	fail_become(KT_UID_A);
	own = create(self->dev, 0, NAME);
	sweep_read(_metadata, "/proc/net/kipc", strlen(text), 1, 1);
	close(own);
}

TEST_F(open, fdinfo)
{
	char path[64];
	int own;

	fail_become(KT_UID_A);
	own = create(self->dev, 0, NAME);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", own);
	sweep_read(_metadata, path, 0, 1, 1);
	close(own);
}

TEST_HARNESS_MAIN
