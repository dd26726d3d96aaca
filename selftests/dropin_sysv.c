// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Message queues of System V: what msgget(2), msgop(2), msgctl(2), svipc(7) and signal(7)
 * promise, and what Linux does where they leave it open. dropin_sysv.sh runs this on the
 * kernel's own queues and with libkipc-sysv.so on kipc's.
 *
 * Each case has an ipc namespace and a network namespace of its own, which are what
 * the one and the other live in: no queue is left behind.
 */
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"
#include "harness.h"

/* As of <linux/msg.h>, which <sys/msg.h> excludes */
#define DEFAULT_MSGMAX 8192
#define DEFAULT_MSGMNB 16384
#define DEFAULT_MSGMNI 32000

#define KEY 0x6b697063

struct message {
	long type;
	char text[DEFAULT_MSGMAX + 64];
};

/* Should this be on kipc? the_queues_are_those_meant shows that it is so. */
static bool on_kipc(void)
{
	const char *how = getenv("DROPIN");

	return how && !strcmp(how, "kipc");
}

/* ... or with the library, but without the device? */
static bool no_device(void)
{
	const char *how = getenv("DROPIN");

	return how && !strcmp(how, "no device");
}

/* ---- results, or negative errnos ---- */

static long get(key_t key, int flags)
{
	int ret = msgget(key, flags);

	return ret < 0 ? -errno : ret;
}

static long snd(int id, long type, const char *text, int flags)
{
	struct message msg = { .type = type };
	size_t size = strlen(text);

	memcpy(msg.text, text, size);
	return msgsnd(id, &msg, size, flags) ? -errno : 0;
}

/* A message of @size bytes, a pattern of @type */
static long snd_bytes(int id, long type, size_t size, int flags)
{
	struct message msg = { .type = type };

	kt_fill(msg.text, size < sizeof(msg.text) ? size : sizeof(msg.text), (unsigned int)type);
	return msgsnd(id, &msg, size, flags) ? -errno : 0;
}

static long rcv(int id, struct message *msg, size_t room, long type, int flags)
{
	ssize_t ret;

	kt_poison(msg, sizeof(*msg));
	ret = msgrcv(id, msg, room, type, flags);
	return ret < 0 ? -errno : ret;
}

/* The text of the next message, a negative errno as text if there is none */
static const char *text_of(int id, long type, int flags)
{
	static struct message msg;
	static char error[32];
	long ret = rcv(id, &msg, DEFAULT_MSGMAX, type, flags | IPC_NOWAIT);

	if (ret < 0) {
		snprintf(error, sizeof(error), "%ld", ret);
		return error;
	}
	msg.text[ret] = 0;
	return msg.text;
}

static long ctl(int id, int cmd, void *buf)
{
	int ret = msgctl(id, cmd, buf);

	return ret < 0 ? -errno : ret;
}

static struct msqid_ds ds_of(int id)
{
	struct msqid_ds ds;

	kt_poison(&ds, sizeof(ds));
	kt_need(msgctl(id, IPC_STAT, &ds) == 0);
	return ds;
}

/* IPC_SET of what is not -1, the rest as it is; as who may see it */
static long set(int id, long mode, long qbytes)
{
	struct msqid_ds ds;

	kt_need(msgctl(id, IPC_STAT, &ds) == 0);
	if (mode >= 0)
		ds.msg_perm.mode = (mode_t)mode;
	if (qbytes >= 0)
		ds.msg_qbytes = (msglen_t)qbytes;
	return ctl(id, IPC_SET, &ds);
}

static long give(int id, uid_t uid, gid_t gid)
{
	struct msqid_ds ds;

	kt_need(msgctl(id, IPC_STAT, &ds) == 0);
	ds.msg_perm.uid = uid;
	ds.msg_perm.gid = gid;
	return ctl(id, IPC_SET, &ds);
}

/* kt_open_fds() counts what it opens itself, and two names that are no files */
static unsigned int open_fds(void)
{
	return kt_open_fds() - 3;
}

/* ---- work in other tasks ---- */

struct work {
	int id;
	long type;
	size_t size;
	int flags;
	struct message msg;
};

static struct work *work(int id, long type, size_t size)
{
	struct work *w = kt_new(struct work);

	w->id = id;
	w->type = type;
	w->size = size;
	return w;
}

static long work_rcv(void *arg)
{
	struct work *w = arg;

	return rcv(w->id, &w->msg, w->size, w->type, w->flags);
}

static long work_snd(void *arg)
{
	struct work *w = arg;

	return snd_bytes(w->id, w->type, w->size, w->flags);
}

static bool waits(struct kt_job *job)
{
	bool waiting = false;

	kt_until((waiting = kt_waits_for_msg(job)) || job->done);
	if (!waiting)
		kt_complain("a job ended with %ld instead of waiting", job->result);
	return waiting;
}

/* Still so after a while, in which it could have ended */
static bool still_waits(struct kt_job *job)
{
	usleep(50000);
	return !job->done && waits(job);
}

/* ---- ---- */

FIXTURE(sysv) {
	int id;
	struct message msg;
};

FIXTURE_SETUP(sysv)
{
	ASSERT_EQ(0, unshare(CLONE_NEWIPC | CLONE_NEWNET));
	self->id = (int)get(IPC_PRIVATE, 0600);
	ASSERT_GE(self->id, 0);
}

FIXTURE_TEARDOWN(sysv)
{
	msgctl(self->id, IPC_RMID, NULL);
}

/* The test is of what it says */
TEST_F(sysv, the_queues_are_those_meant)
{
	char text[4096] = "", wanted[32];
	struct kipc_endpoint info;
	bool native;
	long id;
	int dev;

	ASSERT_GT(kt_read_file("/proc/sysvipc/msg", text, sizeof(text)), 0);
	snprintf(wanted, sizeof(wanted), " %10d ", self->id);
	native = strstr(text, wanted);
	EXPECT_EQ(!on_kipc(), native);
	if (on_kipc()) {
		dev = kt_device();
		ASSERT_EQ(0, kt_stat_id(dev, (uint32_t)self->id, &info));
		EXPECT_EQ(KIPC_ENDPOINT_PERSIST | KIPC_ENDPOINT_ONEWAY |
			  KIPC_ENDPOINT_FIRST_COME | KIPC_ENDPOINT_SYSV, info.flags);
		/* of a key the 32 bits */
		id = get(-1, IPC_CREAT | 0600);
		ASSERT_GE(id, 0);
		ASSERT_EQ(0, kt_stat_id(dev, (uint32_t)id, &info));
		EXPECT_EQ(UINT32_MAX, info.key);
		close(dev);
	}
}

/* ---- keys and ids ---- */

TEST_F(sysv, private_queues_are_all_different)
{
	int one = (int)get(IPC_PRIVATE, 0600), two = (int)get(IPC_PRIVATE, IPC_EXCL | 0600);

	ASSERT_GE(one, 0);
	ASSERT_GE(two, 0);
	EXPECT_NE(one, two);
	EXPECT_NE(one, self->id);
	EXPECT_EQ(0, ds_of(one).msg_perm.__key);
	EXPECT_EQ(0, snd(one, 1, "one", 0));
	EXPECT_STREQ("-42", text_of(two, 0, 0));
	EXPECT_STREQ("one", text_of(one, 0, 0));
}

TEST_F(sysv, keys_lead_to_their_queue)
{
	static const key_t keys[] = { 1, KEY, INT_MAX, INT_MIN, -1 };
	long ids[5];

	for (unsigned int i = 0; i < 5; i++) {
		EXPECT_EQ(-ENOENT, get(keys[i], 0));
		EXPECT_EQ(-ENOENT, get(keys[i], 0600));
		EXPECT_EQ(-ENOENT, get(keys[i], IPC_EXCL | 0600));
		ids[i] = get(keys[i], IPC_CREAT | 0600);
		ASSERT_GE(ids[i], 0);
		EXPECT_EQ(keys[i], ds_of((int)ids[i]).msg_perm.__key);
	}
	for (unsigned int i = 0; i < 5; i++) {
		EXPECT_EQ(ids[i], get(keys[i], 0));
		EXPECT_EQ(ids[i], get(keys[i], IPC_EXCL));
		EXPECT_EQ(ids[i], get(keys[i], IPC_CREAT));
		EXPECT_EQ(ids[i], get(keys[i], IPC_CREAT | 0666));
		EXPECT_EQ(-EEXIST, get(keys[i], IPC_CREAT | IPC_EXCL | 0600));
	}
	EXPECT_EQ(0, ctl((int)ids[1], IPC_RMID, NULL));
	EXPECT_EQ(-ENOENT, get(KEY, 0));
	EXPECT_NE(ids[1], get(KEY, IPC_CREAT | IPC_EXCL | 0600));
}

TEST_F(sysv, an_id_does_not_come_again_soon)
{
	enum { NR = 300 };
	int ids[NR];

	for (unsigned int i = 0; i < NR; i++) {
		ids[i] = (int)get(IPC_PRIVATE, 0600);
		ASSERT_GE(ids[i], 0);
		for (unsigned int j = 0; j < i; j++)
			ASSERT_NE(ids[j], ids[i]);
		ASSERT_EQ(0, ctl(ids[i], IPC_RMID, NULL));
	}
	for (unsigned int i = 0; i < NR; i++) {
		ASSERT_EQ(-EINVAL, snd(ids[i], 1, "x", 0));
		ASSERT_EQ(-EINVAL, rcv(ids[i], &self->msg, 10, 0, 0));
	}
}

TEST_F(sysv, what_is_no_id)
{
	const int gone = (int)get(IPC_PRIVATE, 0600);
	const int ids[] = { gone, -1, INT_MIN, INT_MAX, self->id ^ (1 << 30) };
	struct msqid_ds ds = ds_of(self->id);

	ASSERT_EQ(0, ctl(gone, IPC_RMID, NULL));
	for (unsigned int i = 0; i < 5; i++) {
		EXPECT_EQ(-EINVAL, snd(ids[i], 1, "x", 0));
		EXPECT_EQ(-EINVAL, snd(ids[i], 1, "x", IPC_NOWAIT));
		EXPECT_EQ(-EINVAL, rcv(ids[i], &self->msg, 10, 0, 0));
		EXPECT_EQ(-EINVAL, rcv(ids[i], &self->msg, 10, 0, IPC_NOWAIT | MSG_COPY));
		EXPECT_EQ(-EINVAL, ctl(ids[i], IPC_STAT, &ds));
		EXPECT_EQ(-EINVAL, ctl(ids[i], IPC_SET, &ds));
		EXPECT_EQ(-EINVAL, ctl(ids[i], IPC_RMID, NULL));
	}
}

/* ---- permissions ---- */

/*
 * fakeroot(1) and its like replace these, say what they like, and ask a queue what that is: who
 * makes the queues asks the kernel itself.
 */
static unsigned int asked;

uid_t geteuid(void)
{
	asked++;
	return 0;
}

gid_t getegid(void)
{
	asked++;
	return 0;
}

#if __WORDSIZE == 64
int fstat(int fd, struct stat *status)
{
	asked++;
	return (int)syscall(SYS_fstat, fd, status);
}
#endif

static long get_to_execute(void *arg)
{
	(void)arg;
	return get(KEY, 0111);
}

TEST_F(sysv, what_another_library_replaces)
{
	asked = 0;
	ASSERT_GE(get(KEY, IPC_CREAT | 0110), 0);
	EXPECT_EQ(-EEXIST, get(KEY, IPC_CREAT | IPC_EXCL));
	EXPECT_EQ(-ENOENT, get(KEY + 1, 0));
	EXPECT_EQ(-EACCES, kt_run(KT_AS(KT_UID_A), get_to_execute, NULL));
	EXPECT_EQ(0, asked);
}

struct as_other {
	int id;
	long rcv, snd, stat, set, rmid, none, r, w, rw, excl, any_stat;
};

static long try_all(void *arg)
{
	struct as_other *o = arg;
	struct message msg;
	struct msqid_ds ds;

	o->none = get(KEY, 0);
	o->r = get(KEY, 0400);
	o->w = get(KEY, 0002);
	o->rw = get(KEY, IPC_CREAT | 0060);
	o->excl = get(KEY, IPC_CREAT | IPC_EXCL | 0600);
	o->snd = snd(o->id, 1, "x", IPC_NOWAIT);
	o->rcv = rcv(o->id, &msg, 10, 0, IPC_NOWAIT);
	o->stat = ctl(o->id, IPC_STAT, &ds);
	memset(&ds, 0, sizeof(ds));
	ds.msg_qbytes = 100;
	o->set = ctl(o->id, IPC_SET, &ds);
	o->rmid = ctl(o->id, IPC_RMID, NULL);
	return 0;
}

static void as_user(struct as_other *o, const struct kt_how *how)
{
	kt_need(kt_run(how, try_all, o) == 0);
}

TEST_F(sysv, others_may_what_the_mode_says)
{
	struct as_other *o = kt_new(struct as_other);
	const struct kt_how *other = KT_AS(KT_UID_A);
	const gid_t groups[] = { KT_UID_B };
	const struct kt_how member = {
		.uid = KT_UID_A, .gid = KT_UID_A, .groups = groups, .ngroups = 1,
	};

	o->id = (int)get(KEY, IPC_CREAT | 0600);
	ASSERT_GE(o->id, 0);
	as_user(o, other);
	EXPECT_EQ(o->id, o->none);
	EXPECT_EQ(-EACCES, o->r);
	EXPECT_EQ(-EACCES, o->w);
	EXPECT_EQ(-EACCES, o->rw);
	EXPECT_EQ(-EEXIST, o->excl);
	EXPECT_EQ(-EACCES, o->rcv);
	EXPECT_EQ(-EACCES, o->snd);
	EXPECT_EQ(-EACCES, o->stat);
	EXPECT_EQ(-EPERM, o->set);
	EXPECT_EQ(-EPERM, o->rmid);

	EXPECT_EQ(0, set(o->id, 0604, -1));
	as_user(o, other);
	EXPECT_EQ(o->id, o->none);
	EXPECT_EQ(o->id, o->r);
	EXPECT_EQ(-EACCES, o->w);
	EXPECT_EQ(-EACCES, o->rw);
	EXPECT_EQ(-ENOMSG, o->rcv);
	EXPECT_EQ(-EACCES, o->snd);
	EXPECT_EQ(0, o->stat);
	EXPECT_EQ(-EPERM, o->set);
	EXPECT_EQ(-EPERM, o->rmid);

	EXPECT_EQ(0, set(o->id, 0602, -1));
	as_user(o, other);
	EXPECT_EQ(-EACCES, o->r);
	EXPECT_EQ(o->id, o->w);
	EXPECT_EQ(-EACCES, o->rw);
	EXPECT_EQ(-EACCES, o->rcv);
	EXPECT_EQ(0, o->snd);
	EXPECT_EQ(-EACCES, o->stat);
	EXPECT_EQ(-EPERM, o->set);
	EXPECT_STREQ("x", text_of(o->id, 0, 0));

	/* A member of the group has the group's permissions, not the others' */
	EXPECT_EQ(0, give(o->id, 0, KT_UID_B));
	EXPECT_EQ(0, set(o->id, 0660, -1));
	as_user(o, other);
	EXPECT_EQ(-EACCES, o->snd);
	as_user(o, &member);
	EXPECT_EQ(o->id, o->rw);
	EXPECT_EQ(0, o->snd);
	EXPECT_EQ(1, o->rcv);
	EXPECT_EQ(0, set(o->id, 0606, -1));
	as_user(o, other);
	EXPECT_EQ(0, o->snd);
	EXPECT_EQ(1, o->rcv);
	as_user(o, &member);
	EXPECT_EQ(-EACCES, o->snd);
	EXPECT_EQ(-EACCES, o->rcv);
}

TEST_F(sysv, owner_and_creator_may_change_and_remove)
{
	struct as_other *o = kt_new(struct as_other);
	struct msqid_ds ds;

	o->id = (int)get(KEY, IPC_CREAT | 0600);
	EXPECT_EQ(0, give(o->id, KT_UID_A, KT_UID_B));
	ds = ds_of(o->id);
	EXPECT_EQ(KT_UID_A, ds.msg_perm.uid);
	EXPECT_EQ(KT_UID_B, ds.msg_perm.gid);
	EXPECT_EQ(0, ds.msg_perm.cuid);
	EXPECT_EQ(0, ds.msg_perm.cgid);
	as_user(o, KT_AS(KT_UID_B));
	EXPECT_EQ(-EPERM, o->set);
	EXPECT_EQ(-EPERM, o->rmid);
	as_user(o, KT_AS(KT_UID_A));
	EXPECT_EQ(o->id, o->rw);
	EXPECT_EQ(0, o->snd);
	EXPECT_EQ(1, o->rcv);
	EXPECT_EQ(0, o->set);
	/* SET has made it root's, whose creation it is not: nobody's of the two */
	EXPECT_EQ(-EPERM, o->rmid);
	EXPECT_EQ(0, ctl(o->id, IPC_RMID, NULL));
}

static long create_as_user(void *arg)
{
	struct work *w = arg;

	w->id = (int)get(KEY, IPC_CREAT | 0640);
	return w->id < 0 ? w->id : 0;
}

static long give_away(void *arg)
{
	struct work *w = arg;
	long ret = give(w->id, KT_UID_B, KT_UID_B);

	if (ret)
		return ret;
	/* the creator may still */
	return set(w->id, 0600, -1);
}

static long remove_it(void *arg)
{
	return ctl(((struct work *)arg)->id, IPC_RMID, NULL);
}

TEST_F(sysv, an_owner_can_give_it_away)
{
	struct work *w = work(0, 0, 0);
	struct msqid_ds ds;

	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), create_as_user, w));
	ds = ds_of(w->id);
	EXPECT_EQ(KT_UID_A, ds.msg_perm.uid);
	EXPECT_EQ(KT_UID_A, ds.msg_perm.gid);
	EXPECT_EQ(KT_UID_A, ds.msg_perm.cuid);
	EXPECT_EQ(KT_UID_A, ds.msg_perm.cgid);
	EXPECT_EQ(0640, ds.msg_perm.mode);
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), give_away, w));
	ds = ds_of(w->id);
	EXPECT_EQ(KT_UID_B, ds.msg_perm.uid);
	EXPECT_EQ(KT_UID_B, ds.msg_perm.gid);
	EXPECT_EQ(KT_UID_A, ds.msg_perm.cuid);
	EXPECT_EQ(0600, ds.msg_perm.mode);
	EXPECT_EQ(-EPERM, kt_run(KT_AS(KT_UID_C), remove_it, w));
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_B), remove_it, w));
	EXPECT_EQ(-ENOENT, get(KEY, 0));
}

static long shut_out_oneself(void *arg)
{
	struct work *w = arg;
	struct msqid_ds ds = { .msg_qbytes = 1000 };
	long id = get(IPC_PRIVATE, 0000), ret;

	if (id < 0)
		return id;
	if (snd((int)id, 1, "x", IPC_NOWAIT) != -EACCES ||
	    rcv((int)id, &w->msg, 10, 0, IPC_NOWAIT) != -EACCES ||
	    ctl((int)id, IPC_STAT, &ds) != -EACCES)
		return -1;
	ds.msg_perm.uid = KT_UID_A;
	ds.msg_perm.gid = KT_UID_A;
	ds.msg_perm.mode = 0200;
	ret = ctl((int)id, IPC_SET, &ds);
	if (ret)
		return ret;
	if (snd((int)id, 1, "x", IPC_NOWAIT) != 0 ||
	    rcv((int)id, &w->msg, 10, 0, IPC_NOWAIT) != -EACCES ||
	    ctl((int)id, IPC_STAT, &ds) != -EACCES)
		return -2;
	return ctl((int)id, IPC_RMID, NULL);
}

TEST_F(sysv, the_mode_is_for_the_owner_too)
{
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), shut_out_oneself, work(0, 0, 0)));
}

static long ask_for_execute(void *arg)
{
	long id = get(KEY, IPC_CREAT | 0640), other;

	(void)arg;
	if (id < 0)
		return id;
	if (get(KEY, 0100) != -EACCES || get(KEY, IPC_CREAT | 0777) != -EACCES ||
	    get(KEY, 0666) != id || get(KEY, 0006) != id)
		return -1;
	if (set((int)id, 0650, -1) || get(KEY, 0100) != -EACCES)
		return -2;
	if (set((int)id, 0700, -1) || get(KEY, 0100) != id || get(KEY, IPC_CREAT | 0777) != id)
		return -3;
	other = get(KEY + 1, IPC_CREAT | 0711);
	if (other < 0 || get(KEY + 1, 0777) != other)
		return -4;
	/* nothing is looked for in one that is new */
	return get(KEY + 2, IPC_CREAT | 0011) >= 0 ? 0 : -5;
}

/* Which mean nothing, and are looked for all the same */
TEST_F(sysv, execute_bits)
{
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), ask_for_execute, NULL));
	/* root may all */
	EXPECT_EQ(0, set((int)get(KEY, 0), 0600, -1));
	EXPECT_GE(get(KEY, 0777), 0);
}

TEST_F(sysv, permissions_are_of_the_moment)
{
	EXPECT_EQ(0, snd(self->id, 1, "x", 0));
	EXPECT_EQ(-EACCES, kt_do_as(KT_UID_A, snd(self->id, 1, "x", 0)));
	EXPECT_EQ(-EACCES, kt_do_as(KT_UID_A, rcv(self->id, &self->msg, 10, 0, 0)));
	EXPECT_EQ(0, set(self->id, 0602, -1));
	EXPECT_EQ(0, kt_do_as(KT_UID_A, snd(self->id, 1, "y", 0)));
	EXPECT_EQ(-EACCES, kt_do_as(KT_UID_A, rcv(self->id, &self->msg, 10, 0, 0)));
	EXPECT_STREQ("x", text_of(self->id, 0, 0));
	EXPECT_STREQ("y", text_of(self->id, 0, 0));
}

/* ---- sending and receiving ---- */

TEST_F(sysv, messages_come_in_order)
{
	for (int i = 0; i < 50; i++)
		ASSERT_EQ(0, snd_bytes(self->id, i % 3 + 1, (size_t)i * 5, IPC_NOWAIT));
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(i * 5, rcv(self->id, &self->msg, DEFAULT_MSGMAX, 0, IPC_NOWAIT));
		ASSERT_EQ(i % 3 + 1, self->msg.type);
		ASSERT_TRUE(kt_filled(self->msg.text, (size_t)i * 5, (unsigned int)i % 3 + 1));
		ASSERT_TRUE(kt_poisoned(self->msg.text + i * 5, 100));
	}
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, DEFAULT_MSGMAX, 0, IPC_NOWAIT));
}

TEST_F(sysv, types_choose)
{
	int id = self->id;

	EXPECT_EQ(0, snd(id, 5, "5", 0));
	EXPECT_EQ(0, snd(id, 3, "3", 0));
	EXPECT_EQ(0, snd(id, 9, "9", 0));
	EXPECT_EQ(0, snd(id, 3, "3b", 0));
	EXPECT_EQ(0, snd(id, 5, "5b", 0));
	EXPECT_EQ(0, snd(id, LONG_MAX, "max", 0));
	EXPECT_EQ(0, snd(id, 1, "1", 0));

	EXPECT_STREQ("-42", text_of(id, 4, 0));
	EXPECT_STREQ("9", text_of(id, 9, 0));
	EXPECT_STREQ("-42", text_of(id, 9, 0));
	EXPECT_STREQ("3", text_of(id, 5, MSG_EXCEPT));
	EXPECT_STREQ("1", text_of(id, -4, 0));
	EXPECT_STREQ("3b", text_of(id, -4, 0));
	EXPECT_STREQ("-42", text_of(id, -4, 0));
	EXPECT_STREQ("max", text_of(id, 5, MSG_EXCEPT));
	EXPECT_STREQ("-42", text_of(id, 5, MSG_EXCEPT));
	/* What it has no meaning with */
	EXPECT_STREQ("5", text_of(id, -5, MSG_EXCEPT));
	EXPECT_STREQ("5b", text_of(id, 0, MSG_EXCEPT));
}

TEST_F(sysv, the_lowest_of_types)
{
	int id = self->id;

	EXPECT_EQ(0, snd(id, LONG_MAX, "max", 0));
	EXPECT_EQ(0, snd(id, 7, "7", 0));
	EXPECT_EQ(0, snd(id, LONG_MAX - 1, "max-1", 0));
	EXPECT_EQ(0, snd(id, 7, "7b", 0));
	EXPECT_STREQ("-42", text_of(id, -6, 0));
	EXPECT_STREQ("7", text_of(id, -7, 0));
	EXPECT_STREQ("7b", text_of(id, LONG_MIN, 0));
	EXPECT_STREQ("max-1", text_of(id, -(LONG_MAX - 1), 0));
	EXPECT_STREQ("-42", text_of(id, -(LONG_MAX - 1), 0));
	EXPECT_STREQ("max", text_of(id, LONG_MIN, 0));
	EXPECT_EQ(0, snd(id, LONG_MAX, "max", 0));
	EXPECT_STREQ("max", text_of(id, -LONG_MAX, 0));
}

TEST_F(sysv, messages_without_bytes)
{
	EXPECT_EQ(0, msgsnd(self->id, &(long){ 4 }, 0, 0));
	EXPECT_EQ(0, msgsnd(self->id, &(long){ 3 }, 0, 0));
	EXPECT_EQ(2, ds_of(self->id).msg_qnum);
	EXPECT_EQ(0, ds_of(self->id).__msg_cbytes);
	EXPECT_EQ(0, rcv(self->id, &self->msg, 0, 3, IPC_NOWAIT));
	EXPECT_EQ(3, self->msg.type);
	EXPECT_TRUE(kt_poisoned(self->msg.text, 100));
	EXPECT_EQ(0, rcv(self->id, &self->msg, 100, 0, IPC_NOWAIT));
	EXPECT_EQ(4, self->msg.type);
	EXPECT_TRUE(kt_poisoned(self->msg.text, 100));
}

TEST_F(sysv, a_message_that_is_too_long)
{
	EXPECT_EQ(0, snd(self->id, 1, "0123456789", 0));
	EXPECT_EQ(0, snd(self->id, 2, "abc", 0));
	EXPECT_EQ(-E2BIG, rcv(self->id, &self->msg, 9, 0, 0));
	EXPECT_TRUE(kt_poisoned(self->msg.text, 100));
	EXPECT_EQ(-E2BIG, rcv(self->id, &self->msg, 0, 1, IPC_NOWAIT));
	EXPECT_EQ(-E2BIG, rcv(self->id, &self->msg, 9, -1, IPC_NOWAIT));
	EXPECT_EQ(2, ds_of(self->id).msg_qnum);
	/* ... is cut if that is wanted, and its rest is lost */
	EXPECT_EQ(9, rcv(self->id, &self->msg, 9, 0, MSG_NOERROR));
	EXPECT_EQ(1, self->msg.type);
	EXPECT_EQ(0, memcmp("012345678", self->msg.text, 9));
	EXPECT_TRUE(kt_poisoned(self->msg.text + 9, 100));
	EXPECT_EQ(1, ds_of(self->id).msg_qnum);
	EXPECT_EQ(3, ds_of(self->id).__msg_cbytes);
	EXPECT_EQ(0, rcv(self->id, &self->msg, 0, 0, MSG_NOERROR));
	EXPECT_EQ(2, self->msg.type);
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 0, 0, MSG_NOERROR | IPC_NOWAIT));
}

TEST_F(sysv, what_cannot_be_sent)
{
	EXPECT_EQ(-EINVAL, snd(self->id, 0, "x", 0));
	EXPECT_EQ(-EINVAL, snd(self->id, -1, "x", 0));
	EXPECT_EQ(-EINVAL, snd(self->id, LONG_MIN, "x", 0));
	EXPECT_EQ(0, snd_bytes(self->id, 1, DEFAULT_MSGMAX, 0));
	EXPECT_EQ(-EINVAL, snd_bytes(self->id, 1, DEFAULT_MSGMAX + 1, 0));
	EXPECT_EQ(-EINVAL, snd_bytes(self->id, 1, (size_t)SSIZE_MAX, 0));
	EXPECT_EQ(-EINVAL, snd_bytes(self->id, 1, (size_t)SSIZE_MAX + 1, 0));
	EXPECT_EQ(-EINVAL, snd_bytes(self->id, 1, (size_t)-1, 0));
	EXPECT_EQ(1, ds_of(self->id).msg_qnum);
	EXPECT_EQ(-EINVAL, rcv(self->id, &self->msg, (size_t)SSIZE_MAX + 1, 0, 0));
	EXPECT_EQ(-EINVAL, rcv(self->id, &self->msg, (size_t)-1, 0, 0));
	EXPECT_EQ(1, ds_of(self->id).msg_qnum);
	/* As much room as there may be */
	EXPECT_EQ(DEFAULT_MSGMAX, rcv(self->id, &self->msg, SSIZE_MAX, 0, 0));
	EXPECT_TRUE(kt_filled(self->msg.text, DEFAULT_MSGMAX, 1));
}

/* Pages that cannot be touched, of which nothing has been said before */
static void *forbidden(void)
{
	void *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	kt_need(p != MAP_FAILED);
	return p;
}

TEST_F(sysv, addresses_that_fault)
{
	void *bad = forbidden();
	char *hole = kt_hole();
	long *last = (long *)(hole - sizeof(long));

	EXPECT_EQ(-1, msgsnd(self->id, NULL, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, msgsnd(self->id, bad, 0, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, msgsnd(self->id, (void *)-1L, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* Where a message would go is looked at when there is one */
	EXPECT_EQ(-1, msgrcv(self->id, (void *)-1L, 10, 0, IPC_NOWAIT));
	EXPECT_EQ(ENOMSG, errno);
	*last = 1;
	EXPECT_EQ(-1, msgsnd(self->id, last, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, ds_of(self->id).msg_qnum);
	EXPECT_EQ(0, msgsnd(self->id, last, 0, 0));
	EXPECT_EQ(0, rcv(self->id, &self->msg, 0, 0, IPC_NOWAIT));

	/* With 32 bits the C library itself reads and writes there */
	if (sizeof(long) == 8) {
		EXPECT_EQ(-EFAULT, ctl(self->id, IPC_STAT, bad));
		EXPECT_EQ(-EFAULT, ctl(self->id, IPC_SET, bad));
		EXPECT_EQ(-EFAULT, ctl(self->id, IPC_STAT, NULL));
		EXPECT_EQ(-EFAULT, ctl(self->id, IPC_SET, NULL));
	}
	EXPECT_EQ(-EFAULT, ctl(0, IPC_INFO, bad));
	EXPECT_EQ(-EFAULT, ctl(0, MSG_INFO, NULL));

	EXPECT_EQ(0, snd(self->id, 1, "kept", 0));
	EXPECT_EQ(-1, msgrcv(self->id, bad, 10, 0, 0));
	EXPECT_EQ(EFAULT, errno);
	/* The kernel loses the message to such a buffer; kipc does not */
	EXPECT_STREQ(on_kipc() ? "kept" : "-42", text_of(self->id, 0, 0));
	EXPECT_EQ(0, snd(self->id, 1, "kept", 0));
	EXPECT_EQ(-1, msgrcv(self->id, last, 10, 0, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_STREQ(on_kipc() ? "kept" : "-42", text_of(self->id, 0, 0));
}

/* That memory was there a moment ago says nothing */
TEST_F(sysv, memory_that_is_not_there_any_more)
{
	struct message *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct msqid_ds *ds = (void *)page;

	ASSERT_NE(MAP_FAILED, (void *)page);
	*ds = ds_of(self->id);
	EXPECT_EQ(0, ctl(self->id, IPC_SET, ds));
	page->type = 1;
	EXPECT_EQ(0, msgsnd(self->id, page, 1, 0));
	EXPECT_EQ(1, msgrcv(self->id, page, 1, 0, 0));
	EXPECT_EQ(0, snd(self->id, 1, "kept", 0));
	ASSERT_EQ(0, munmap(page, sizeof(*page)));
	EXPECT_EQ(-1, msgsnd(self->id, page, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, msgrcv(self->id, page, 10, 0, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_STREQ(on_kipc() ? "kept" : "-42", text_of(self->id, 0, 0));
	if (sizeof(long) == 8)
		EXPECT_EQ(-EFAULT, ctl(self->id, IPC_SET, ds));
}

/* Pages that a system call may read, but no other process: those of vdso(7), say */
static long two_errors_as_other(void *arg)
{
	long *last = (long *)((char *)kt_hole() - sizeof(long)), ret = 0;
	const int id = *(int *)arg;

	*last = 1;
	ret |= msgsnd(id, last, 1, 0) != -1 || errno != EFAULT;
	ret |= (snd_bytes(id, 1, DEFAULT_MSGMAX + 1, 0) != -EINVAL) << 1;
	ret |= (snd_bytes(id, 1, 1, 0) != -EACCES) << 2;
	return ret;
}

/* The message is looked at before the queue */
TEST_F(sysv, calls_with_two_errors)
{
	const size_t half = DEFAULT_MSGMAX / 2;
	char *hole = kt_hole();
	long *last = (long *)(hole - sizeof(long));
	struct message *most = (struct message *)(hole - sizeof(long) - half);

	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), two_errors_as_other, &self->id));
	*last = 1;
	EXPECT_EQ(-1, msgsnd(INT_MAX, last, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, msgsnd(INT_MAX, last, 0, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, msgsnd(-1, last, 1, 0));
	EXPECT_EQ(EINVAL, errno);
	most->type = 1;
	EXPECT_EQ(-1, msgsnd(INT_MAX, most, half, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, msgsnd(INT_MAX, most, half + 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* So it is where a copy will go: as many bytes as there is room for, from the type on */
	EXPECT_EQ(0, snd(self->id, 1, "x", 0));
	EXPECT_EQ(-1, msgrcv(INT_MAX, last, sizeof(long) + 1, 0, MSG_COPY | IPC_NOWAIT));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, msgrcv(self->id, most, sizeof(long) + half + 1, 0, MSG_COPY | IPC_NOWAIT));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, msgrcv(INT_MAX, most, sizeof(long) + half, 0, MSG_COPY | IPC_NOWAIT));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(1, msgrcv(self->id, most, sizeof(long) + half, 0, MSG_COPY | IPC_NOWAIT));
	EXPECT_EQ(1, msgrcv(self->id, most, DEFAULT_MSGMAX, 0, IPC_NOWAIT));
}

TEST_F(sysv, memory_that_is_not_ordinary)
{
	unsigned long start = 0;
	const volatile long *at;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "r");

	ASSERT_NE(NULL, maps);
	while (!start && fgets(line, sizeof(line), maps))
		if (strstr(line, "[vvar]"))
			start = strtoul(line, NULL, 16);
	fclose(maps);
	ASSERT_NE(0, start);
	at = (void *)start;
	while (*at < 1 && (unsigned long)at < start + 4088)
		at++;
	ASSERT_EQ(0, msgsnd(self->id, (const void *)at, 0, IPC_NOWAIT));
	EXPECT_EQ(0, rcv(self->id, &self->msg, 10, 0, IPC_NOWAIT));
	EXPECT_LT(0, self->msg.type);
}

/* Where the text could be stored, or there is none, and the type could not */
TEST_F(sysv, addresses_of_the_type_that_fault)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	void *const bad[] = { NULL, forbidden(), map + page - sizeof(long), map + page - 1, map };

	ASSERT_NE(MAP_FAILED, (void *)map);
	/* That it may be read does not matter */
	ASSERT_EQ(0, mprotect(map, page, PROT_READ));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		/* All else is judged before */
		EXPECT_EQ(-1, msgrcv(self->id, bad[i], 10, 0, IPC_NOWAIT));
		EXPECT_EQ(ENOMSG, errno);
		EXPECT_EQ(-1, msgrcv(self->id, bad[i], (size_t)-1, 0, 0));
		EXPECT_EQ(EINVAL, errno);
		for (size_t size = 0; size < 10; size += 5) {
			EXPECT_EQ(0, snd_bytes(self->id, 1, size, 0));
			EXPECT_EQ(-1, msgrcv(self->id, bad[i], 10, 0, 0));
			EXPECT_EQ(EFAULT, errno);
			EXPECT_EQ(on_kipc() ? (long)size : -ENOMSG,
				  rcv(self->id, &self->msg, 10, 0, IPC_NOWAIT));
		}
	}
	munmap(map, 2 * page);
}

/* ---- MSG_COPY ---- */

TEST_F(sysv, a_look_at_messages)
{
	const int copy = MSG_COPY | IPC_NOWAIT;
	struct msqid_ds ds;

	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 100, 0, copy));
	EXPECT_EQ(0, snd(self->id, 7, "zero", 0));
	EXPECT_EQ(0, snd(self->id, 3, "one", 0));
	EXPECT_EQ(0, snd(self->id, 7, "", 0));
	EXPECT_EQ(4, rcv(self->id, &self->msg, 100, 0, copy));
	EXPECT_EQ(7, self->msg.type);
	EXPECT_EQ(0, memcmp("zero", self->msg.text, 4));
	EXPECT_TRUE(kt_poisoned(self->msg.text + 4, 100));
	EXPECT_EQ(3, rcv(self->id, &self->msg, 3, 1, copy));
	EXPECT_EQ(3, self->msg.type);
	EXPECT_EQ(0, rcv(self->id, &self->msg, 100, 2, copy));
	EXPECT_EQ(7, self->msg.type);
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 100, 3, copy));
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 100, LONG_MAX, copy));
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 100, -1, copy));
	EXPECT_EQ(-E2BIG, rcv(self->id, &self->msg, 3, 0, copy));
	EXPECT_EQ(-EINVAL, rcv(self->id, &self->msg, 3, 0, copy | MSG_NOERROR));
	EXPECT_EQ(4, rcv(self->id, &self->msg, 4, 0, copy | MSG_NOERROR));
	EXPECT_EQ(-EINVAL, rcv(self->id, &self->msg, 100, 0, MSG_COPY));
	EXPECT_EQ(-EINVAL, rcv(self->id, &self->msg, 100, 0, copy | MSG_EXCEPT));

	ds = ds_of(self->id);
	EXPECT_EQ(3, ds.msg_qnum);
	EXPECT_EQ(7, ds.__msg_cbytes);
	EXPECT_EQ(0, ds.msg_rtime);
	EXPECT_EQ(0, ds.msg_lrpid);
	EXPECT_STREQ("zero", text_of(self->id, 0, 0));
	EXPECT_EQ(3, rcv(self->id, &self->msg, 100, 0, copy));
	EXPECT_EQ(-EACCES, kt_do_as(KT_UID_A, rcv(self->id, &self->msg, 100, 0, copy)));
}

TEST_F(sysv, a_look_at_many_messages)
{
	for (long i = 0; i < 500; i++)
		ASSERT_EQ(0, msgsnd(self->id, &(struct { long type, index; }){ i % 7 + 1, i },
				    sizeof(long), IPC_NOWAIT));
	for (long i = 499; i >= 0; i -= 7) {
		ASSERT_EQ(sizeof(long), rcv(self->id, &self->msg, 100, i, MSG_COPY | IPC_NOWAIT));
		ASSERT_EQ(i % 7 + 1, self->msg.type);
		ASSERT_EQ(0, memcmp(&i, self->msg.text, sizeof(i)));
	}
}

/* ---- full queues ---- */

TEST_F(sysv, a_queue_takes_so_many_bytes)
{
	ASSERT_EQ(0, set(self->id, -1, 1000));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 600, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 1, 401, IPC_NOWAIT));
	EXPECT_EQ(0, snd_bytes(self->id, 2, 400, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 1, 1, IPC_NOWAIT));
	EXPECT_EQ(0, snd_bytes(self->id, 3, 0, IPC_NOWAIT));
	EXPECT_EQ(1000, ds_of(self->id).__msg_cbytes);
	EXPECT_EQ(3, ds_of(self->id).msg_qnum);
	EXPECT_EQ(400, rcv(self->id, &self->msg, 1000, 2, 0));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 400, IPC_NOWAIT));
}

TEST_F(sysv, a_queue_takes_as_many_messages_as_bytes)
{
	ASSERT_EQ(0, set(self->id, -1, 20));
	for (int i = 0; i < 20; i++)
		ASSERT_EQ(0, snd_bytes(self->id, 1, 0, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 1, 0, IPC_NOWAIT));
	EXPECT_EQ(20, ds_of(self->id).msg_qnum);
	EXPECT_EQ(0, rcv(self->id, &self->msg, 0, 0, 0));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 0, IPC_NOWAIT));
}

TEST_F(sysv, a_new_queue_takes_what_the_limits_say)
{
	int n = 0;

	while (!snd_bytes(self->id, 1, 0, IPC_NOWAIT))
		n++;
	EXPECT_EQ(DEFAULT_MSGMNB, n);
	while (!rcv(self->id, &self->msg, 0, 0, IPC_NOWAIT))
		n--;
	EXPECT_EQ(0, n);
	EXPECT_EQ(0, snd_bytes(self->id, 1, DEFAULT_MSGMAX, IPC_NOWAIT));
	EXPECT_EQ(0, snd_bytes(self->id, 1, DEFAULT_MSGMAX, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 1, 1, IPC_NOWAIT));
}

/* How many messages of @size bytes a queue takes; takes them out again */
static int room(int id, size_t size)
{
	struct message *msg = kt_new(struct message);
	int n = 0;

	while (!snd_bytes(id, 1, size, IPC_NOWAIT))
		n++;
	while (!(rcv(id, msg, size, 0, IPC_NOWAIT) < 0))
		;
	return n;
}

#define MANY 64

static long make_many(void *arg)
{
	int *found = arg, ids[MANY];

	for (int i = 0; i < MANY; i++) {
		ids[i] = (int)get(IPC_PRIVATE, 0600);
		if (ids[i] < 0)
			return ids[i];
	}
	found[0] = room(ids[0], 0);
	found[1] = room(ids[4], 4);
	found[2] = room(ids[MANY - 1], 64);
	for (int i = 0; i < MANY; i++)
		msgctl(ids[i], IPC_RMID, NULL);
	return 0;
}

TEST_F(sysv, many_queues_of_a_user)
{
	int *found = kt_shared(3 * sizeof(int));

	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), make_many, found));
	EXPECT_EQ(DEFAULT_MSGMNB, found[0]);
	EXPECT_EQ(DEFAULT_MSGMNB / 4, found[1]);
	EXPECT_EQ(DEFAULT_MSGMNB / 64, found[2]);
}

/* Lowered below what a message may have: it is then too large for now only */
TEST_F(sysv, a_message_larger_than_the_queue)
{
	struct work *w = work(self->id, 1, 5000);
	struct kt_job *job;

	ASSERT_EQ(0, set(self->id, -1, 100));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 1, 5000, IPC_NOWAIT));
	EXPECT_EQ(-EINVAL, snd_bytes(self->id, 1, DEFAULT_MSGMAX + 1, IPC_NOWAIT));
	job = kt_start(KT_THREAD, work_snd, w);
	ASSERT_TRUE(still_waits(job));
	/* Nobody waits with it */
	EXPECT_EQ(0, snd_bytes(self->id, 2, 60, IPC_NOWAIT));
	EXPECT_EQ(60, rcv(self->id, &self->msg, 60, 0, IPC_NOWAIT));
	ASSERT_EQ(0, set(self->id, -1, 5000));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(5000, rcv(self->id, &self->msg, 5000, 0, IPC_NOWAIT));
}

/* ---- waiting ---- */

TEST_F(sysv, a_receiver_waits_for_its_type)
{
	struct work *w = work(self->id, 5, 100), *lowest = work(self->id, -3, 100);
	struct work *except = work(self->id, 5, 100);
	struct kt_job *job, *job_lowest, *job_except;

	job = kt_start(KT_FORK, work_rcv, w);
	ASSERT_TRUE(waits(job));
	job_lowest = kt_start(KT_FORK, work_rcv, lowest);
	ASSERT_TRUE(waits(job_lowest));
	EXPECT_EQ(0, snd(self->id, 4, "four", 0));
	ASSERT_TRUE(still_waits(job));
	ASSERT_TRUE(still_waits(job_lowest));
	EXPECT_EQ(1, ds_of(self->id).msg_qnum);
	EXPECT_EQ(0, snd(self->id, 5, "five!", 0));
	EXPECT_EQ(5, kt_join(job));
	EXPECT_EQ(5, w->msg.type);
	EXPECT_EQ(0, memcmp("five!", w->msg.text, 5));
	EXPECT_EQ(0, snd(self->id, 2, "two", 0));
	EXPECT_EQ(3, kt_join(job_lowest));
	EXPECT_EQ(2, lowest->msg.type);
	EXPECT_STREQ("four", text_of(self->id, 0, 0));

	except->flags = MSG_EXCEPT;
	job_except = kt_start(KT_FORK, work_rcv, except);
	ASSERT_TRUE(waits(job_except));
	EXPECT_EQ(0, snd(self->id, 5, "five", 0));
	ASSERT_TRUE(still_waits(job_except));
	EXPECT_EQ(0, snd(self->id, 6, "sixsix", 0));
	EXPECT_EQ(6, kt_join(job_except));
	EXPECT_STREQ("five", text_of(self->id, 0, 0));
}

TEST_F(sysv, receivers_get_messages_in_the_order_they_came)
{
	struct kt_job *jobs[4];
	struct work *w[4];

	for (int i = 0; i < 4; i++) {
		w[i] = work(self->id, i == 1 ? 9 : 0, 100);
		jobs[i] = kt_start(KT_FORK, work_rcv, w[i]);
		ASSERT_TRUE(waits(jobs[i]));
	}
	EXPECT_EQ(0, snd(self->id, 1, "a", 0));
	EXPECT_EQ(1, kt_join(jobs[0]));
	EXPECT_EQ(0, snd(self->id, 9, "bb", 0));
	EXPECT_EQ(2, kt_join(jobs[1]));
	EXPECT_EQ(0, snd(self->id, 9, "ccc", 0));
	EXPECT_EQ(3, kt_join(jobs[2]));
	EXPECT_EQ(0, snd(self->id, 9, "dddd", 0));
	EXPECT_EQ(4, kt_join(jobs[3]));
}

TEST_F(sysv, a_waiting_receiver_with_too_little_room)
{
	struct work *small = work(self->id, 0, 3), *large = work(self->id, 0, 100);
	struct work *cut = work(self->id, 0, 3);
	struct kt_job *job, *next;

	job = kt_start(KT_FORK, work_rcv, small);
	ASSERT_TRUE(waits(job));
	next = kt_start(KT_FORK, work_rcv, large);
	ASSERT_TRUE(waits(next));
	EXPECT_EQ(0, snd(self->id, 1, "four", 0));
	EXPECT_EQ(-E2BIG, kt_join(job));
	EXPECT_EQ(4, kt_join(next));

	job = kt_start(KT_FORK, work_rcv, small);
	ASSERT_TRUE(waits(job));
	EXPECT_EQ(0, snd(self->id, 1, "four", 0));
	EXPECT_EQ(-E2BIG, kt_join(job));
	EXPECT_STREQ("four", text_of(self->id, 0, 0));

	cut->flags = MSG_NOERROR;
	job = kt_start(KT_FORK, work_rcv, cut);
	ASSERT_TRUE(waits(job));
	EXPECT_EQ(0, snd(self->id, 1, "four", 0));
	EXPECT_EQ(3, kt_join(job));
	EXPECT_EQ(0, ds_of(self->id).msg_qnum);
}

/* They do not hold it up: it is in the queue at once, and nobody has received */
TEST_F(sysv, waiting_receivers_with_too_little_room_are_passed_by)
{
	struct work *small = work(self->id, 0, 3), *large = work(self->id, 0, 100);
	struct kt_job *jobs[2], *next;
	struct msqid_ds ds;

	kt_one_cpu();
	for (int i = 0; i < 2; i++) {
		jobs[i] = kt_start(KT_FORK, work_rcv, small);
		ASSERT_TRUE(waits(jobs[i]));
	}
	kt_go_first(true);
	EXPECT_EQ(0, snd(self->id, 1, "four", 0));
	ds = ds_of(self->id);
	kt_go_first(false);
	EXPECT_EQ(1, ds.msg_qnum);
	EXPECT_EQ(4, ds.__msg_cbytes);
	EXPECT_EQ(0, ds.msg_lrpid);
	EXPECT_EQ(0, ds.msg_rtime);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(-E2BIG, kt_join(jobs[i]));
	EXPECT_EQ(4, rcv(self->id, &self->msg, 100, 0, IPC_NOWAIT));

	jobs[0] = kt_start(KT_FORK, work_rcv, small);
	ASSERT_TRUE(waits(jobs[0]));
	next = kt_start(KT_FORK, work_rcv, large);
	ASSERT_TRUE(waits(next));
	kt_go_first(true);
	EXPECT_EQ(0, snd(self->id, 1, "four", 0));
	ds = ds_of(self->id);
	kt_go_first(false);
	EXPECT_EQ(0, ds.msg_qnum);
	EXPECT_EQ(next->pid, ds.msg_lrpid);
	EXPECT_EQ(-E2BIG, kt_join(jobs[0]));
	EXPECT_EQ(4, kt_join(next));
}

TEST_F(sysv, a_sender_waits_for_room)
{
	struct work *w = work(self->id, 2, 500);
	struct kt_job *job;

	ASSERT_EQ(0, set(self->id, -1, 1000));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 400, 0));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 400, 0));
	job = kt_start(KT_FORK, work_snd, w);
	ASSERT_TRUE(still_waits(job));
	EXPECT_EQ(2, ds_of(self->id).msg_qnum);
	EXPECT_EQ(800, ds_of(self->id).__msg_cbytes);
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 1000, 2, IPC_NOWAIT | MSG_COPY));
	EXPECT_EQ(400, rcv(self->id, &self->msg, 1000, 0, 0));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(900, ds_of(self->id).__msg_cbytes);
	EXPECT_EQ(400, rcv(self->id, &self->msg, 1000, 0, 0));
	EXPECT_EQ(500, rcv(self->id, &self->msg, 1000, 0, 0));
	EXPECT_TRUE(kt_filled(self->msg.text, 500, 2));
}

/* Who does not fit waits; who does goes past it, whether it has waited or not */
TEST_F(sysv, smaller_messages_overtake)
{
	struct work *large = work(self->id, 2, 900), *small = work(self->id, 3, 200);
	struct kt_job *job, *next;

	ASSERT_EQ(0, set(self->id, -1, 1000));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 500, 0));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 300, 0));
	job = kt_start(KT_FORK, work_snd, large);
	ASSERT_TRUE(waits(job));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 150, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 1, 51, IPC_NOWAIT));
	next = kt_start(KT_FORK, work_snd, small);
	ASSERT_TRUE(waits(next));
	EXPECT_EQ(500, rcv(self->id, &self->msg, 1000, 0, 0));
	EXPECT_EQ(0, kt_join(next));
	ASSERT_TRUE(still_waits(job));
	EXPECT_EQ(650, ds_of(self->id).__msg_cbytes);
	EXPECT_EQ(300, rcv(self->id, &self->msg, 1000, 0, 0));
	EXPECT_EQ(150, rcv(self->id, &self->msg, 1000, 0, 0));
	ASSERT_TRUE(still_waits(job));
	EXPECT_EQ(200, rcv(self->id, &self->msg, 1000, 0, 0));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(900, rcv(self->id, &self->msg, 1000, 0, IPC_NOWAIT));
}

/* It is in the queue at no time, though who waited has not run yet */
TEST_F(sysv, a_message_that_is_waited_for_goes_to_who_waits)
{
	struct work *w = work(self->id, 1, 100);
	time_t before = time(NULL);
	struct msqid_ds ds;
	struct kt_job *job;

	ASSERT_EQ(0, set(self->id, -1, 20));
	kt_one_cpu();
	job = kt_start(KT_FORK, work_rcv, w);
	ASSERT_TRUE(waits(job));
	kt_go_first(true);
	EXPECT_EQ(0, snd_bytes(self->id, 1, 20, IPC_NOWAIT));
	ds = ds_of(self->id);
	EXPECT_EQ(0, snd_bytes(self->id, 2, 20, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 2, 1, IPC_NOWAIT));
	EXPECT_FALSE(job->done);
	kt_go_first(false);
	EXPECT_EQ(0, ds.msg_qnum);
	EXPECT_EQ(0, ds.__msg_cbytes);
	EXPECT_EQ(job->pid, ds.msg_lrpid);
	EXPECT_GE(ds.msg_rtime, before - 1);
	EXPECT_EQ(20, kt_join(job));
	ds = ds_of(self->id);
	EXPECT_EQ(1, ds.msg_qnum);
	EXPECT_EQ(20, ds.__msg_cbytes);
}

TEST_F(sysv, more_room_lets_waiting_senders_go_on)
{
	struct work *w = work(self->id, 2, 500), *other = work(self->id, 3, 100);
	struct kt_job *job, *next;

	ASSERT_EQ(0, set(self->id, -1, 1000));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 1000, 0));
	job = kt_start(KT_FORK, work_snd, w);
	ASSERT_TRUE(waits(job));
	next = kt_start(KT_FORK, work_snd, other);
	ASSERT_TRUE(waits(next));
	ASSERT_EQ(0, set(self->id, -1, 1600));
	EXPECT_EQ(0, kt_join(job));
	EXPECT_EQ(0, kt_join(next));
	EXPECT_EQ(1600, ds_of(self->id).__msg_cbytes);
}

TEST_F(sysv, removal_wakes_who_waits)
{
	struct kt_job *jobs[3];

	ASSERT_EQ(0, set(self->id, -1, 10));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 10, 0));
	jobs[0] = kt_start(KT_FORK, work_rcv, work(self->id, 2, 100));
	ASSERT_TRUE(waits(jobs[0]));
	jobs[1] = kt_start(KT_THREAD, work_rcv, work(self->id, -1 - (long)KEY, 0));
	EXPECT_EQ(-E2BIG, kt_join(jobs[1]));
	jobs[1] = kt_start(KT_FORK, work_snd, work(self->id, 1, 1));
	ASSERT_TRUE(waits(jobs[1]));
	jobs[2] = kt_start(KT_THREAD, work_snd, work(self->id, 1, 1));
	ASSERT_TRUE(waits(jobs[2]));
	EXPECT_EQ(0, ctl(self->id, IPC_RMID, NULL));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(-EIDRM, kt_join(jobs[i]));
	EXPECT_EQ(-EINVAL, ctl(self->id, IPC_RMID, NULL));
}

/* By a change of the mode: at once for receivers, for senders when they could go on */
TEST_F(sysv, who_loses_its_permission_waits_no_more)
{
	struct work *in = work(self->id, 2, 100), *out = work(self->id, 1, 100);
	struct kt_job *receiver, *sender;

	ASSERT_EQ(0, set(self->id, 0666, 100));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 100, 0));
	receiver = kt_start(KT_AS(KT_UID_A), work_rcv, in);
	ASSERT_TRUE(waits(receiver));
	sender = kt_start(KT_AS(KT_UID_A), work_snd, out);
	ASSERT_TRUE(waits(sender));
	ASSERT_EQ(0, set(self->id, 0622, -1));
	EXPECT_EQ(-EACCES, kt_join(receiver));
	ASSERT_TRUE(still_waits(sender));
	ASSERT_EQ(0, set(self->id, 0600, -1));
	ASSERT_TRUE(still_waits(sender));
	ASSERT_EQ(0, set(self->id, 0600, 1000));
	EXPECT_EQ(-EACCES, kt_join(sender));
	EXPECT_EQ(1, ds_of(self->id).msg_qnum);
}

TEST_F(sysv, who_has_its_permission_back_when_there_is_room_sends)
{
	struct kt_job *sender;

	ASSERT_EQ(0, set(self->id, 0666, 100));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 100, 0));
	sender = kt_start(KT_AS(KT_UID_A), work_snd, work(self->id, 1, 100));
	ASSERT_TRUE(waits(sender));
	ASSERT_EQ(0, set(self->id, 0600, -1));
	ASSERT_TRUE(still_waits(sender));
	ASSERT_EQ(0, set(self->id, 0622, -1));
	EXPECT_EQ(100, rcv(self->id, &self->msg, 100, 1, IPC_NOWAIT));
	EXPECT_EQ(0, kt_join(sender));
	EXPECT_EQ(1, ds_of(self->id).msg_qnum);
}

TEST_F(sysv, who_has_lost_its_permission_is_in_nobodys_way)
{
	struct kt_job *sender, *other;

	ASSERT_EQ(0, set(self->id, 0666, 100));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 100, 0));
	sender = kt_start(KT_AS(KT_UID_A), work_snd, work(self->id, 1, 100));
	ASSERT_TRUE(waits(sender));
	ASSERT_EQ(0, set(self->id, 0600, -1));
	other = kt_start(KT_FORK, work_snd, work(self->id, 2, 90));
	ASSERT_TRUE(waits(other));
	ASSERT_TRUE(still_waits(sender));
	EXPECT_EQ(100, rcv(self->id, &self->msg, 100, 1, IPC_NOWAIT));
	EXPECT_EQ(-EACCES, kt_join(sender));
	EXPECT_EQ(0, kt_join(other));
	EXPECT_EQ(90, rcv(self->id, &self->msg, 100, 2, IPC_NOWAIT));
	EXPECT_EQ(0, ds_of(self->id).msg_qnum);
}

static long rcv_with_handler(void *arg)
{
	kt_catch(SIGUSR1, SA_RESTART);
	return work_rcv(arg);
}

static long snd_with_handler(void *arg)
{
	kt_catch(SIGUSR1, SA_RESTART);
	return work_snd(arg);
}

/* Never restarted, whatever SA_RESTART says */
TEST_F(sysv, a_signal_ends_a_wait)
{
	struct kt_job *job;

	job = kt_start(KT_FORK, rcv_with_handler, work(self->id, 0, 100));
	ASSERT_TRUE(waits(job));
	EXPECT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));

	ASSERT_EQ(0, set(self->id, -1, 10));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 10, 0));
	job = kt_start(KT_FORK, snd_with_handler, work(self->id, 1, 1));
	ASSERT_TRUE(waits(job));
	EXPECT_TRUE(kt_signal(job, SIGUSR1));
	EXPECT_EQ(-EINTR, kt_join(job));
	EXPECT_EQ(1, ds_of(self->id).msg_qnum);
}

/* ... but a stop and a signal that is ignored do not */
TEST_F(sysv, a_stop_does_not_end_a_wait)
{
	struct kt_job *in, *out;
	char state[64];

	ASSERT_EQ(0, set(self->id, -1, 10));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 10, 0));
	in = kt_start(KT_FORK, work_rcv, work(self->id, 2, 100));
	ASSERT_TRUE(waits(in));
	out = kt_start(KT_FORK, work_snd, work(self->id, 3, 10));
	ASSERT_TRUE(waits(out));
	snprintf(state, sizeof(state), "/proc/%d/stat", out->pid);
	for (int i = 0; i < 2; i++) {
		struct kt_job *job = i ? in : out;
		int status;

		EXPECT_TRUE(kt_signal(job, SIGCHLD));
		EXPECT_TRUE(kt_signal(job, SIGSTOP));
		EXPECT_EQ(job->pid, waitpid(job->pid, &status, WUNTRACED));
		EXPECT_TRUE(WIFSTOPPED(status));
		EXPECT_TRUE(kt_signal(job, SIGCONT));
		ASSERT_TRUE(still_waits(job));
	}
	EXPECT_EQ(10, rcv(self->id, &self->msg, 10, 1, 0));
	EXPECT_EQ(0, kt_join(out));
	EXPECT_EQ(10, rcv(self->id, &self->msg, 10, 3, 0));
	EXPECT_EQ(0, snd(self->id, 2, "two", 0));
	EXPECT_EQ(3, kt_join(in));
}

TEST_F(sysv, who_is_killed_takes_nothing_along)
{
	struct kt_job *job = kt_start(KT_FORK, work_rcv, work(self->id, 0, 100));

	ASSERT_TRUE(waits(job));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	EXPECT_EQ(0, snd(self->id, 1, "x", 0));
	EXPECT_STREQ("x", text_of(self->id, 0, 0));

	ASSERT_EQ(0, set(self->id, -1, 10));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 10, 0));
	job = kt_start(KT_FORK, work_snd, work(self->id, 1, 5));
	ASSERT_TRUE(waits(job));
	EXPECT_EQ(KT_DIED - SIGKILL, kt_kill(job));
	EXPECT_EQ(10, rcv(self->id, &self->msg, 10, 0, 0));
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 10, 0, IPC_NOWAIT));
}

/* ---- cancellation ---- */

struct cancelled {
	struct work *work;
	bool send;
	struct kt_flag cleaned;
	volatile pid_t tid;
};

static void clean(void *arg)
{
	kt_raise(&((struct cancelled *)arg)->cleaned);
}

static void *wait_cancelled(void *arg)
{
	struct cancelled *c = arg;

	pthread_cleanup_push(clean, c);
	c->tid = (pid_t)syscall(SYS_gettid);
	if (c->send)
		work_snd(c->work);
	else
		work_rcv(c->work);
	pthread_cleanup_pop(0);
	return NULL;
}

TEST_F(sysv, waiting_is_a_cancellation_point)
{
	ASSERT_EQ(0, set(self->id, -1, 10));
	EXPECT_EQ(0, snd_bytes(self->id, 1, 10, 0));
	for (int i = 0; i < 2; i++) {
		struct cancelled c = { .work = work(self->id, 2, 10), .send = i };
		struct kt_job job = { .pid = getpid() };
		pthread_t thread;
		void *result;

		ASSERT_EQ(0, pthread_create(&thread, NULL, wait_cancelled, &c));
		ASSERT_TRUE(kt_until((job.tid = c.tid) && kt_waits_for_msg(&job)));
		EXPECT_EQ(0, pthread_cancel(thread));
		EXPECT_EQ(0, pthread_join(thread, &result));
		EXPECT_EQ(PTHREAD_CANCELED, result);
		EXPECT_TRUE(kt_await(&c.cleaned));
	}
	/* Both have left nothing behind */
	EXPECT_EQ(10, rcv(self->id, &self->msg, 10, 0, 0));
	EXPECT_EQ(0, snd_bytes(self->id, 2, 10, IPC_NOWAIT));
	EXPECT_EQ(10, rcv(self->id, &self->msg, 10, 0, IPC_NOWAIT));
}

static void *refused(void *arg)
{
	struct message msg = { .type = 0 };
	struct cancelled *c = arg;
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(old, &old);
	if (c->send)
		msgsnd(c->work->id, &msg, 1, IPC_NOWAIT);
	else
		msgrcv(-1, &msg, 1, 0, IPC_NOWAIT);
	return NULL;
}

TEST_F(sysv, so_are_calls_with_invalid_arguments)
{
	for (int i = 0; i < 2; i++) {
		struct cancelled c = { .work = work(self->id, 2, 10), .send = i };
		pthread_t thread;
		void *result;

		ASSERT_EQ(0, pthread_create(&thread, NULL, refused, &c));
		EXPECT_EQ(0, pthread_join(thread, &result));
		EXPECT_EQ(PTHREAD_CANCELED, result);
	}
}

/* ---- what IPC_STAT and its like tell ---- */

TEST_F(sysv, a_new_queue)
{
	time_t before = time(NULL);
	int id = (int)get(KEY, IPC_CREAT | 0641);
	struct msqid_ds ds = ds_of(id);

	EXPECT_EQ(KEY, ds.msg_perm.__key);
	EXPECT_EQ(0641, ds.msg_perm.mode);
	EXPECT_EQ(0, ds.msg_perm.uid);
	EXPECT_EQ(0, ds.msg_perm.gid);
	EXPECT_EQ(0, ds.msg_perm.cuid);
	EXPECT_EQ(0, ds.msg_perm.cgid);
	EXPECT_EQ(0, ds.msg_stime);
	EXPECT_EQ(0, ds.msg_rtime);
	/* (the kernel's seconds are those of its last tick) */
	EXPECT_GE(ds.msg_ctime, before - 1);
	EXPECT_LE(ds.msg_ctime, time(NULL));
	EXPECT_EQ(0, ds.__msg_cbytes);
	EXPECT_EQ(0, ds.msg_qnum);
	EXPECT_EQ(DEFAULT_MSGMNB, ds.msg_qbytes);
	EXPECT_EQ(0, ds.msg_lspid);
	EXPECT_EQ(0, ds.msg_lrpid);
}

TEST_F(sysv, who_was_here_last)
{
	struct work *w = work(self->id, 1, 20), *in = work(self->id, 1, 100);
	time_t before = time(NULL);
	struct msqid_ds ds, later;
	struct kt_job *job;

	EXPECT_EQ(0, snd(self->id, 1, "0123456789", 0));
	ds = ds_of(self->id);
	EXPECT_EQ(getpid(), ds.msg_lspid);
	EXPECT_EQ(0, ds.msg_lrpid);
	EXPECT_GE(ds.msg_stime, before - 1);
	EXPECT_LE(ds.msg_stime, time(NULL));
	EXPECT_EQ(0, ds.msg_rtime);
	EXPECT_EQ(10, ds.__msg_cbytes);
	EXPECT_EQ(1, ds.msg_qnum);

	job = kt_start(KT_FORK, work_snd, w);
	EXPECT_EQ(0, kt_join(job));
	ds = ds_of(self->id);
	EXPECT_EQ(job->pid, ds.msg_lspid);
	EXPECT_EQ(0, ds.msg_lrpid);
	EXPECT_EQ(30, ds.__msg_cbytes);

	EXPECT_EQ(10, rcv(self->id, &self->msg, 100, 0, 0));
	ds = ds_of(self->id);
	EXPECT_EQ(job->pid, ds.msg_lspid);
	EXPECT_EQ(getpid(), ds.msg_lrpid);
	EXPECT_GE(ds.msg_rtime, before - 1);
	EXPECT_LE(ds.msg_rtime, time(NULL));
	EXPECT_EQ(20, ds.__msg_cbytes);
	EXPECT_EQ(1, ds.msg_qnum);
	EXPECT_EQ(20, rcv(self->id, &self->msg, 100, 0, 0));

	/* handed over to who waits */
	job = kt_start(KT_FORK, work_rcv, in);
	ASSERT_TRUE(waits(job));
	EXPECT_EQ(0, snd(self->id, 1, "x", 0));
	EXPECT_EQ(1, kt_join(job));
	later = ds_of(self->id);
	EXPECT_EQ(getpid(), later.msg_lspid);
	EXPECT_EQ(job->pid, later.msg_lrpid);
	EXPECT_EQ(0, later.__msg_cbytes);
	EXPECT_EQ(0, later.msg_qnum);

	/* What fails changes nothing */
	EXPECT_EQ(-ENOMSG, rcv(self->id, &self->msg, 100, 0, IPC_NOWAIT));
	EXPECT_EQ(-EINVAL, snd(self->id, 0, "x", 0));
	ds = ds_of(self->id);
	EXPECT_EQ(0, memcmp(&ds, &later, sizeof(ds)));
}

TEST_F(sysv, ipc_set)
{
	struct msqid_ds ds = ds_of(self->id), now;
	time_t before;

	while (time(NULL) < ds.msg_ctime + 2)
		kt_nap();
	before = time(NULL);
	ds.msg_perm.mode = 07000 | 0444;
	ds.msg_perm.uid = KT_UID_A;
	ds.msg_perm.gid = KT_UID_B;
	ds.msg_qbytes = 12345;
	/* not changed by this */
	ds.msg_perm.cuid = KT_UID_C;
	ds.msg_perm.cgid = KT_UID_C;
	ds.msg_perm.__key = 77;
	ds.msg_qnum = 5;
	ds.msg_stime = 5;
	ds.msg_lspid = 5;
	EXPECT_EQ(0, ctl(self->id, IPC_SET, &ds));
	now = ds_of(self->id);
	EXPECT_EQ(0444, now.msg_perm.mode);
	EXPECT_EQ(KT_UID_A, now.msg_perm.uid);
	EXPECT_EQ(KT_UID_B, now.msg_perm.gid);
	EXPECT_EQ(12345, now.msg_qbytes);
	EXPECT_EQ(0, now.msg_perm.cuid);
	EXPECT_EQ(0, now.msg_perm.cgid);
	EXPECT_EQ(0, now.msg_perm.__key);
	EXPECT_EQ(0, now.msg_qnum);
	EXPECT_EQ(0, now.msg_stime);
	EXPECT_EQ(0, now.msg_lspid);
	EXPECT_GE(now.msg_ctime, before - 1);

	ds.msg_perm.uid = (uid_t)-1;
	ds.msg_perm.mode = 0600;
	EXPECT_EQ(-EINVAL, ctl(self->id, IPC_SET, &ds));
	ds.msg_perm.uid = 0;
	ds.msg_perm.gid = (gid_t)-1;
	EXPECT_EQ(-EINVAL, ctl(self->id, IPC_SET, &ds));
	EXPECT_EQ(0444, ds_of(self->id).msg_perm.mode);
	EXPECT_EQ(KT_UID_A, ds_of(self->id).msg_perm.uid);
}

static long raise_qbytes(void *arg)
{
	struct work *w = arg;

	return set(w->id, -1, (long)w->size);
}

TEST_F(sysv, more_than_msgmnb_takes_a_capability)
{
	struct work *w = work(self->id, 0, DEFAULT_MSGMNB + 1);

	EXPECT_EQ(0, give(self->id, KT_UID_A, KT_UID_A));
	EXPECT_EQ(-EPERM, kt_run(KT_AS(KT_UID_A), raise_qbytes, w));
	w->size = 0;
	EXPECT_EQ(0, set(self->id, 0666, -1));
	EXPECT_EQ(-EPERM, kt_run(KT_AS(KT_UID_B), raise_qbytes, w));
	EXPECT_EQ(DEFAULT_MSGMNB, ds_of(self->id).msg_qbytes);
	w->size = 1000;
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), raise_qbytes, w));
	EXPECT_EQ(1000, ds_of(self->id).msg_qbytes);
	w->size = DEFAULT_MSGMNB;
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), raise_qbytes, w));
	EXPECT_EQ(DEFAULT_MSGMNB, ds_of(self->id).msg_qbytes);
	EXPECT_EQ(0, set(self->id, -1, 4 * DEFAULT_MSGMNB));
	EXPECT_EQ(4 * DEFAULT_MSGMNB, ds_of(self->id).msg_qbytes);
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, snd_bytes(self->id, 1, DEFAULT_MSGMAX, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(self->id, 1, DEFAULT_MSGMAX, IPC_NOWAIT));
}

TEST_F(sysv, commands_that_there_are_not)
{
	struct msqid_ds ds = { 0 };

	EXPECT_EQ(-EINVAL, ctl(self->id, -1, &ds));
	EXPECT_EQ(-EINVAL, ctl(self->id, 4, &ds));
	EXPECT_EQ(-EINVAL, ctl(self->id, 14, &ds));
	EXPECT_EQ(-EINVAL, ctl(self->id, INT_MAX, &ds));
	EXPECT_EQ(-EINVAL, ctl(-1, MSG_STAT, &ds));
	EXPECT_EQ(-EINVAL, ctl(-1, IPC_INFO, &ds));
}

TEST_F(sysv, the_limits_are_told)
{
	struct msginfo info;

	kt_poison(&info, sizeof(info));
	EXPECT_GE(ctl(0, IPC_INFO, (void *)&info), 0);
	EXPECT_EQ(DEFAULT_MSGMNI, info.msgmni);
	EXPECT_EQ(DEFAULT_MSGMAX, info.msgmax);
	EXPECT_EQ(DEFAULT_MSGMNB, info.msgmnb);
	EXPECT_EQ(DEFAULT_MSGMNI * 16, info.msgpool);
	EXPECT_EQ(DEFAULT_MSGMNB, info.msgmap);
	EXPECT_EQ(16, info.msgssz);
	EXPECT_EQ(DEFAULT_MSGMNB, info.msgtql);
	EXPECT_EQ(0xffff, info.msgseg);
}

/* What ipcs(1) does: from the highest index down, each queue once */
TEST_F(sysv, all_queues_can_be_found)
{
	enum { NR = 5 };
	int ids[NR], found[NR] = { 0 };
	struct msginfo info;
	struct msqid_ds ds;
	long last;

	for (int i = 0; i < NR; i++) {
		ids[i] = (int)get(KEY + i, IPC_CREAT | 0600);
		ASSERT_GE(ids[i], 0);
		ASSERT_EQ(0, snd_bytes(ids[i], 1, 100 + (size_t)i, 0));
	}
	EXPECT_EQ(0, ctl(ids[2], IPC_RMID, NULL));
	kt_poison(&info, sizeof(info));
	last = ctl(0, MSG_INFO, (void *)&info);
	EXPECT_EQ(NR, info.msgpool);
	EXPECT_EQ(NR - 1, info.msgmap);
	EXPECT_EQ(100 + 101 + 103 + 104, info.msgtql);
	EXPECT_EQ(DEFAULT_MSGMNI, info.msgmni);
	EXPECT_EQ(last, ctl(0, IPC_INFO, (void *)&info));
	/* self->id has one too, the first */
	EXPECT_EQ(NR, last);
	EXPECT_EQ(self->id, ctl(0, MSG_STAT, &ds));
	for (long i = 0; i <= last + 3; i++) {
		long id = ctl((int)i, MSG_STAT, &ds);
		int nr = -1;

		EXPECT_EQ(id, ctl((int)i, MSG_STAT_ANY, &ds));
		for (int j = 0; id >= 0 && j < NR; j++)
			if (ids[j] == id)
				nr = j;
		if (nr >= 0) {
			found[nr]++;
			EXPECT_EQ(KEY + nr, ds.msg_perm.__key);
			EXPECT_EQ(1, ds.msg_qnum);
			EXPECT_EQ(100 + nr, (long)ds.__msg_cbytes);
		} else if (id != self->id) {
			EXPECT_EQ(-EINVAL, id);
		}
	}
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(i != 2, found[i]);
	EXPECT_EQ(0, ctl(ids[4], IPC_RMID, NULL));
	EXPECT_EQ(last - 1, ctl(0, IPC_INFO, (void *)&info));
}

/* What else there is in the namespace */
TEST_F(sysv, endpoints_that_are_no_queues)
{
	struct msginfo info;
	struct msqid_ds ds;
	long last = ctl(0, MSG_INFO, (void *)&info);
	int dev, fd, named;
	uint32_t id;

	EXPECT_EQ(1, info.msgpool);
	if (!on_kipc())
		return;
	dev = kt_device();
	fd = kt_private(dev, 0, NULL);
	id = kt_id(fd);
	/* such as queues of mq_overview(7) */
	named = kt_private(dev, KIPC_OPEN_PERSIST | KIPC_OPEN_KEEP_BY_ANY | KIPC_OPEN_ONEWAY |
			   KIPC_OPEN_FIRST_COME, NULL);
	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, "abc", 3));
	EXPECT_EQ(0, kt_send(named, 0, 1, 0, "abc", 3));
	EXPECT_EQ(last, ctl(0, MSG_INFO, (void *)&info));
	EXPECT_EQ(1, info.msgpool);
	EXPECT_EQ(0, info.msgmap);
	EXPECT_EQ(0, info.msgtql);
	EXPECT_EQ(-EINVAL, ctl((int)(id >> 11) - 1, MSG_STAT, &ds));
	EXPECT_EQ(-EINVAL, ctl((int)(kt_id(named) >> 11) - 1, MSG_STAT_ANY, &ds));
	kt_write_file("/proc/sys/kernel/msgmni", "2");
	EXPECT_GE(get(IPC_PRIVATE, 0600), 0);
	EXPECT_EQ(-ENOSPC, get(IPC_PRIVATE, 0600));
	close(fd);
	close(named);
	close(dev);
}

struct told {
	int index;
	long stat, any;
};

static long stat_as_other(void *arg)
{
	struct told *t = arg;
	struct msqid_ds ds;

	t->stat = ctl(t->index, MSG_STAT, &ds);
	t->any = ctl(t->index, MSG_STAT_ANY, &ds);
	return 0;
}

static long last_index(void *arg)
{
	return ctl(0, MSG_INFO, arg);
}

static long get_as_other(void *arg)
{
	return get(*(key_t *)arg, 0);
}

TEST_F(sysv, what_others_are_told)
{
	struct told *t = kt_new(struct told);
	struct msginfo info, *told = kt_new(struct msginfo);
	key_t *key = kt_new(key_t);
	long named;

	t->index = (int)ctl(0, MSG_INFO, (void *)&info);
	EXPECT_EQ(0, set(self->id, 0644, -1));
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), stat_as_other, t));
	EXPECT_EQ(self->id, t->stat);
	EXPECT_EQ(self->id, t->any);
	EXPECT_EQ(0, set(self->id, 0622, -1));
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), stat_as_other, t));
	EXPECT_EQ(-EACCES, t->stat);
	EXPECT_EQ(self->id, t->any);
	/* Who has no permission at all is told that there is one, too */
	EXPECT_EQ(0, set(self->id, 0600, -1));
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), stat_as_other, t));
	EXPECT_EQ(-EACCES, t->stat);
	EXPECT_EQ(self->id, t->any);
	EXPECT_EQ(0, snd_bytes(self->id, 1, 100, 0));
	EXPECT_EQ(t->index, kt_run(KT_AS(KT_UID_A), last_index, told));
	EXPECT_EQ(1, told->msgpool);
	EXPECT_EQ(1, told->msgmap);
	EXPECT_EQ(100, told->msgtql);
	/* ... and it is one of as many as there may be */
	kt_write_file("/proc/sys/kernel/msgmni", "1");
	*key = IPC_PRIVATE;
	EXPECT_EQ(-ENOSPC, kt_run(KT_AS(KT_UID_A), get_as_other, key));
	/* With no permission asked for the id is told to everybody */
	named = get(KEY, IPC_CREAT | 0600);
	EXPECT_EQ(-ENOSPC, named);
	kt_write_file("/proc/sys/kernel/msgmni", "2");
	named = get(KEY, IPC_CREAT | 0600);
	ASSERT_GE(named, 0);
	*key = KEY;
	EXPECT_EQ(named, kt_run(KT_AS(KT_UID_A), get_as_other, key));
}

/* ---- who may do what ---- */

static long send_empty(void *arg)
{
	struct work *w = arg;

	return snd_bytes(w->id, 1, 0, IPC_NOWAIT);
}

static long change(void *arg)
{
	struct work *w = arg;
	struct msqid_ds ds = { .msg_perm.mode = 0600, .msg_qbytes = DEFAULT_MSGMNB };

	return ctl(w->id, IPC_SET, &ds);
}

static long stat_it(void *arg)
{
	struct work *w = arg;
	struct msqid_ds ds;

	return ctl(w->id, IPC_STAT, &ds);
}

#define WITH(caps) (&(struct kt_how){ .uid = KT_UID_A, .gid = KT_UID_A, .keep_caps = (caps) })

TEST_F(sysv, capabilities_that_stand_in_for_permission)
{
	const struct kt_how *owner = WITH(1ULL << CAP_IPC_OWNER);
	const struct kt_how *admin = WITH(1ULL << CAP_SYS_ADMIN);
	const struct kt_how *files = WITH(1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_FOWNER);
	struct work *w = work(self->id, 0, 0);

	EXPECT_EQ(0, kt_run(owner, send_empty, w));
	EXPECT_EQ(0, kt_run(owner, stat_it, w));
	EXPECT_EQ(-EPERM, kt_run(owner, change, w));
	EXPECT_EQ(-EPERM, kt_run(owner, remove_it, w));
	EXPECT_EQ(-EACCES, kt_run(files, send_empty, w));
	EXPECT_EQ(-EACCES, kt_run(files, stat_it, w));
	EXPECT_EQ(-EPERM, kt_run(files, change, w));
	EXPECT_EQ(-EPERM, kt_run(files, remove_it, w));
	EXPECT_EQ(-EACCES, kt_run(admin, send_empty, w));
	EXPECT_EQ(-EACCES, kt_run(admin, stat_it, w));
	EXPECT_EQ(0, kt_run(admin, change, w));
	EXPECT_EQ(0, kt_run(admin, remove_it, w));
}

/* Of file system ids the group counts, and not the user */
static long send_with_fs_ids(void *arg)
{
	struct work *w = arg;

	kt_need(!setgroups(0, NULL));
	kt_need(!setresgid((gid_t)-1, KT_UID_A, (gid_t)-1));
	setfsgid(KT_UID_B);
	kt_need(!setresuid((uid_t)-1, KT_UID_A, (uid_t)-1));
	return snd_bytes(w->id, 1, 0, IPC_NOWAIT);
}

TEST_F(sysv, the_group_is_that_of_the_file_system)
{
	struct work *w = work(self->id, 0, 0);
	struct msqid_ds ds = ds_of(self->id);

	ds.msg_perm.mode = 0060;
	ds.msg_perm.gid = KT_UID_B;
	EXPECT_EQ(0, ctl(self->id, IPC_SET, &ds));
	EXPECT_EQ(0, kt_run(KT_FORK, send_with_fs_ids, w));
	ds.msg_perm.gid = KT_UID_A;
	EXPECT_EQ(0, ctl(self->id, IPC_SET, &ds));
	EXPECT_EQ(-EACCES, kt_run(KT_FORK, send_with_fs_ids, w));
}

TEST_F(sysv, capability_in_another_user_namespace_raises_nothing)
{
	static const struct kt_how inside = {
		.ns = CLONE_NEWUSER, .outer_uid = KT_UID_A, .outer_gid = KT_UID_A,
	};
	struct work *w = work(self->id, 0, DEFAULT_MSGMNB + 1);

	EXPECT_EQ(0, give(self->id, KT_UID_A, KT_UID_A));
	EXPECT_EQ(-EPERM, kt_run(&inside, raise_qbytes, w));
	w->size = DEFAULT_MSGMNB - 1;
	EXPECT_EQ(0, kt_run(&inside, raise_qbytes, w));
	EXPECT_EQ(DEFAULT_MSGMNB - 1, ds_of(self->id).msg_qbytes);
}

/* ---- how much one user may have ---- */

enum { QUEUES = 1500 };

static long make_queues(void *arg)
{
	int *ids = arg;
	long ret;

	for (int i = 0; i < QUEUES; i++) {
		ids[i] = (int)get(IPC_PRIVATE, 0600);
		if (ids[i] < 0)
			return ids[i];
		ret = snd_bytes(ids[i], 1, 1, IPC_NOWAIT);
		if (ret)
			return ret;
	}
	/* The last takes as much as the first: of messages without bytes as many as of bytes */
	for (int i = 1; i < DEFAULT_MSGMNB; i++) {
		ret = snd_bytes(ids[QUEUES - 1], 1, i < 100, IPC_NOWAIT);
		if (ret)
			return ret;
	}
	if (snd_bytes(ids[QUEUES - 1], 1, 0, IPC_NOWAIT) != -EAGAIN)
		return -1;
	return ds_of(ids[QUEUES - 1]).msg_qnum;
}

static long remove_queues(void *arg)
{
	int *ids = arg;
	long ret = 0;

	for (int i = 0; i < QUEUES && !ret; i++)
		ret = ctl(ids[i], IPC_RMID, NULL);
	return ret;
}

TEST_F(sysv, an_ordinary_user_has_many_queues)
{
	int *ids = kt_shared(QUEUES * sizeof(*ids));

	EXPECT_EQ(DEFAULT_MSGMNB, kt_run(KT_AS(KT_UID_A), make_queues, ids));
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), remove_queues, ids));
}

/* ---- no room at all ---- */

TEST_F(sysv, queue_that_takes_nothing)
{
	struct work *w = work(self->id, 1, 0), *r = work(self->id, 0, 10);
	struct kt_job *receiver, *sender;

	EXPECT_EQ(0, snd(self->id, 1, "before", 0));
	EXPECT_EQ(0, set(self->id, -1, 0));
	EXPECT_EQ(0, ds_of(self->id).msg_qbytes);
	EXPECT_EQ(-EAGAIN, snd(self->id, 1, "", IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd(self->id, 1, "x", IPC_NOWAIT));
	EXPECT_STREQ("before", text_of(self->id, 0, 0));
	EXPECT_EQ(-EAGAIN, snd(self->id, 1, "", IPC_NOWAIT));
	/* Not even for who waits for it */
	receiver = kt_start(KT_FORK, work_rcv, r);
	ASSERT_TRUE(waits(receiver));
	EXPECT_EQ(-EAGAIN, snd(self->id, 1, "", IPC_NOWAIT));
	sender = kt_start(KT_FORK, work_snd, w);
	ASSERT_TRUE(waits(sender));
	EXPECT_TRUE(still_waits(receiver));
	EXPECT_EQ(0, ds_of(self->id).msg_qnum);
	EXPECT_EQ(0, set(self->id, -1, 1));
	EXPECT_EQ(0, kt_join(sender));
	EXPECT_EQ(0, kt_join(receiver));
	EXPECT_EQ(0, snd(self->id, 1, "x", IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd(self->id, 1, "", IPC_NOWAIT));
}

/* Of a thread that has waited its own id is told, of one that has not the process's */
TEST_F(sysv, last_receiver_that_has_waited)
{
	struct work *w = work(self->id, 0, 10);
	struct kt_job *job = kt_start(KT_THREAD, work_rcv, w);

	ASSERT_TRUE(waits(job));
	EXPECT_EQ(0, snd(self->id, 1, "x", 0));
	EXPECT_EQ(1, kt_join(job));
	EXPECT_EQ(job->tid, ds_of(self->id).msg_lrpid);
	EXPECT_NE(getpid(), job->tid);
	EXPECT_EQ(0, snd(self->id, 1, "x", 0));
	EXPECT_EQ(1, kt_run(KT_THREAD, work_rcv, w));
	EXPECT_EQ(getpid(), ds_of(self->id).msg_lrpid);
}

/* ---- limits of the namespace ---- */

TEST_F(sysv, msgmni)
{
	int one, two;

	kt_write_file("/proc/sys/kernel/msgmni", "3");
	one = (int)get(IPC_PRIVATE, 0600);
	EXPECT_GE(one, 0);
	two = (int)get(KEY, IPC_CREAT | 0600);
	EXPECT_GE(two, 0);
	EXPECT_EQ(-ENOSPC, get(IPC_PRIVATE, 0600));
	EXPECT_EQ(-ENOSPC, get(KEY + 1, IPC_CREAT | 0600));
	EXPECT_EQ(-ENOSPC, get(KEY + 1, IPC_CREAT | IPC_EXCL | 0600));
	EXPECT_EQ(-ENOENT, get(KEY + 1, 0600));
	EXPECT_EQ(two, get(KEY, IPC_CREAT | 0600));
	EXPECT_EQ(-EEXIST, get(KEY, IPC_CREAT | IPC_EXCL | 0600));
	EXPECT_EQ(0, ctl(one, IPC_RMID, NULL));
	EXPECT_GE(get(KEY + 1, IPC_CREAT | 0600), 0);
}

TEST_F(sysv, msgmax_and_msgmnb)
{
	struct work *w = work(0, 0, 0);
	const int copy = MSG_COPY | IPC_NOWAIT;
	struct msqid_ds before;
	struct msginfo info;
	int id;

	kt_write_file("/proc/sys/kernel/msgmax", "4000");
	kt_write_file("/proc/sys/kernel/msgmnb", "20000");
	EXPECT_GE(ctl(0, IPC_INFO, (void *)&info), 0);
	EXPECT_EQ(4000, info.msgmax);
	EXPECT_EQ(20000, info.msgmnb);
	id = (int)get(IPC_PRIVATE, 0600);
	EXPECT_EQ(20000, ds_of(id).msg_qbytes);
	EXPECT_EQ(DEFAULT_MSGMNB, ds_of(self->id).msg_qbytes);
	EXPECT_EQ(0, snd_bytes(id, 1, 4000, 0));
	EXPECT_EQ(-EINVAL, snd_bytes(id, 1, 4001, 0));
	EXPECT_EQ(0, give(id, KT_UID_A, KT_UID_A));
	w->id = id;
	w->size = 20001;
	EXPECT_EQ(-EPERM, kt_run(KT_AS(KT_UID_A), raise_qbytes, w));
	w->size = 19999;
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), raise_qbytes, w));
	/* Queues that are older take what is allowed now */
	kt_write_file("/proc/sys/kernel/msgmax", "8000");
	EXPECT_EQ(0, snd_bytes(id, 1, 8000, 0));
	EXPECT_EQ(-EINVAL, snd_bytes(id, 1, 8001, 0));
	EXPECT_EQ(4000, rcv(id, &self->msg, 8000, 0, 0));
	EXPECT_EQ(8000, rcv(id, &self->msg, 8000, 0, 0));
	EXPECT_TRUE(kt_filled(self->msg.text, 8000, 1));
	EXPECT_EQ(0, msgctl(id, IPC_STAT, &before));
	kt_write_file("/proc/sys/kernel/msgmax", "8192");
	w->type = 1;
	w->size = 8192;
	EXPECT_EQ(0, kt_run(KT_AS(KT_UID_A), work_snd, w));
	EXPECT_EQ(before.msg_ctime, ds_of(id).msg_ctime);
	EXPECT_EQ(8192, rcv(id, &self->msg, 8192, 0, 0));
	/* ... and no more than that; what is in them stays */
	EXPECT_EQ(0, snd_bytes(id, 1, 4000, 0));
	kt_write_file("/proc/sys/kernel/msgmax", "3000");
	EXPECT_EQ(-EINVAL, snd_bytes(id, 1, 3001, 0));
	EXPECT_EQ(0, snd_bytes(id, 1, 3000, 0));
	/* A copy is no larger either */
	EXPECT_EQ(-EINVAL, rcv(id, &self->msg, 8000, 0, copy));
	EXPECT_EQ(-EINVAL, rcv(id, &self->msg, 4000, 0, copy | MSG_NOERROR));
	EXPECT_EQ(-E2BIG, rcv(id, &self->msg, 3999, 0, copy));
	EXPECT_EQ(-EINVAL, rcv(id, &self->msg, 3999, 0, copy | MSG_NOERROR));
	EXPECT_EQ(-E2BIG, rcv(id, &self->msg, 100, 0, copy));
	EXPECT_EQ(3000, rcv(id, &self->msg, 8000, 1, copy));
	EXPECT_EQ(-E2BIG, rcv(id, &self->msg, 2999, 1, copy));
	EXPECT_EQ(4000, rcv(id, &self->msg, 8000, 0, 0));
	EXPECT_EQ(3000, rcv(id, &self->msg, 8000, 0, 0));
	kt_write_file("/proc/sys/kernel/msgmax", "0");
	EXPECT_EQ(-EINVAL, snd_bytes(id, 1, 1, 0));
	EXPECT_EQ(0, snd_bytes(id, 1, 0, 0));
	EXPECT_EQ(0, rcv(id, &self->msg, 8000, 0, 0));
	kt_write_file("/proc/sys/kernel/msgmax", "8192");
	/* A queue of less than the largest message */
	kt_write_file("/proc/sys/kernel/msgmnb", "1000");
	id = (int)get(IPC_PRIVATE, 0600);
	EXPECT_EQ(1000, ds_of(id).msg_qbytes);
	EXPECT_EQ(0, snd_bytes(id, 1, 1000, IPC_NOWAIT));
	EXPECT_EQ(-EAGAIN, snd_bytes(id, 1, 4000, IPC_NOWAIT));
}

/* ---- processes ---- */

static long make_and_fill(void *arg)
{
	struct work *w = arg;

	w->id = (int)get(KEY, IPC_CREAT | 0600);
	return snd(w->id, 3, "left behind", 0);
}

TEST_F(sysv, a_queue_survives_its_processes)
{
	struct work *w = work(0, 0, 0);

	EXPECT_EQ(0, kt_run(KT_FORK, make_and_fill, w));
	EXPECT_EQ(w->id, get(KEY, 0));
	EXPECT_STREQ("left behind", text_of(w->id, 0, 0));
}

static long first_touch(void *arg)
{
	unsigned int before = open_fds(), after;
	int lowest = dup(0);
	long id;

	(void)arg;
	close(lowest);
	kt_need(unshare(CLONE_NEWIPC | CLONE_NEWNET) == 0);
	id = get(IPC_PRIVATE, 0600);
	if (id < 0)
		return id;
	if (snd((int)id, 1, "x", 0) || dup(0) != lowest)
		return -1;
	close(lowest);
	after = open_fds();
	return (long)after - (long)before;
}

/*
 * Nothing is open before the first call, and what is then takes no number that the program
 * counts on. Without the fixture, which has made that call.
 */
TEST(descriptors_are_the_programs_own)
{
	EXPECT_EQ(on_kipc() ? 1 : 0, kt_run(KT_FORK, first_touch, NULL));
}

static long touch_without_descriptor(void *arg)
{
	struct rlimit limit;
	int lowest = dup(0);
	long id;

	(void)arg;
	close(lowest);
	kt_need(unshare(CLONE_NEWIPC | CLONE_NEWNET) == 0);
	kt_need(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = (rlim_t)lowest;
	kt_need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	id = get(IPC_PRIVATE, 0600);
	if (!on_kipc())
		return id < 0 ? id : 0;
	/* It needs one; with one more it goes on */
	if (id != -EMFILE)
		return -1;
	limit.rlim_cur++;
	kt_need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	id = get(IPC_PRIVATE, 0600);
	return id < 0 ? id : snd((int)id, 1, "x", 0);
}

TEST(no_descriptor_is_left)
{
	EXPECT_EQ(0, kt_run(KT_FORK, touch_without_descriptor, NULL));
}

static long touch_twice(void *arg)
{
	struct work *w = arg;

	kt_need(unshare(CLONE_NEWIPC | CLONE_NEWNET) == 0);
	dup2((int)w->size, STDERR_FILENO);
	if (w->flags)
		setenv("KIPC_DEBUG", "1", 1);
	errno = 77;
	get(IPC_PRIVATE, 0600);
	get(IPC_PRIVATE, 0600);
	return errno;
}

/* How many lines a process prints that is preloaded and has no device */
TEST(the_fall_back_is_told_if_that_is_wanted)
{
	for (int wanted = 0; wanted < 2; wanted++) {
		struct work *w = work(0, 0, 0);
		char text[1024];
		int pair[2], lines = 0;
		ssize_t n;

		ASSERT_EQ(0, pipe(pair));
		w->size = (size_t)pair[1];
		w->flags = wanted;
		/* (what has succeeded leaves errno alone) */
		EXPECT_EQ(77, kt_run(KT_FORK, touch_twice, w));
		close(pair[1]);
		n = read(pair[0], text, sizeof(text) - 1);
		close(pair[0]);
		ASSERT_GE(n, 0);
		text[n] = 0;
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
		EXPECT_EQ(no_device() && wanted, lines);
		if (lines)
			EXPECT_NE(NULL, strstr(text, "/dev/kipc (No such file or directory)"));
	}
}

static bool works(int id)
{
	struct message msg;

	return snd(id, 7, "works", 0) == 0 && rcv(id, &msg, 10, 7, 0) == 5;
}

TEST_F(sysv, descriptors_that_are_closed)
{
	int id = self->id, null, pair[2];

	for (int fd = 3; fd < 1024; fd++)
		if (fd != 1022)
			close(fd);
	EXPECT_TRUE(works(id));
	closefrom(3);
	EXPECT_EQ(-ENOMSG, rcv(id, &self->msg, 10, 7, IPC_NOWAIT));
	EXPECT_TRUE(works(id));
	closefrom(3);
	EXPECT_EQ(id, ds_of(id).msg_qnum ? -1 : id);

	/* Other files in their place */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	null = open("/dev/null", O_RDWR);
	for (int fd = 100; fd < 1024; fd++)
		dup2(fd % 2 ? null : pair[0], fd);
	EXPECT_TRUE(works(id));
	EXPECT_EQ(0, ds_of(id).msg_qnum);
	/* ... which are still there */
	for (int fd = 100; fd < 1024; fd++) {
		struct stat a, b;

		ASSERT_EQ(0, fstat(fd % 2 ? null : pair[0], &a));
		ASSERT_EQ(0, fstat(fd, &b));
		ASSERT_EQ(a.st_ino, b.st_ino);
	}
	EXPECT_TRUE(works(id));
}

static long use_after_fork(void *arg)
{
	struct work *w = arg;

	if (!works(w->id))
		return -1;
	closefrom(3);
	if (!works(w->id))
		return -2;
	return kt_run(KT_FORK, work_snd, w);
}

TEST_F(sysv, children_use_the_same_queue)
{
	struct kt_job *jobs[4];

	for (int i = 0; i < 4; i++)
		jobs[i] = kt_start(KT_FORK, use_after_fork, work(self->id, 20 + i, 30));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, kt_join(jobs[i]));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(30, rcv(self->id, &self->msg, 100, 20 + i, IPC_NOWAIT));
}

TEST_F(sysv, a_child_of_vfork_leaves_the_parent_alone)
{
	int id = self->id, status;
	pid_t pid;

	closefrom(3);
	pid = vfork();
	if (!pid)
		_exit(works(id) ? 0 : 1);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(works(id));
}

#define EXEC_ENV "DROPIN_SYSV_QUEUE"

/* What the program is when it is executed by the case below */
__attribute__((constructor))
static void after_exec(void)
{
	const char *queue = getenv(EXEC_ENV);

	if (queue)
		_exit(open_fds() == 3 && works(atoi(queue)) &&
		      open_fds() == (on_kipc() ? 4 : 3) ? 0 : 1);
}

static long execute(void *arg)
{
	struct work *w = arg;
	char id[16];

	closefrom(3);
	works(w->id);
	snprintf(id, sizeof(id), "%d", w->id);
	setenv(EXEC_ENV, id, 1);
	execl("/proc/self/exe", "dropin_sysv", NULL);
	return -errno;
}

TEST_F(sysv, another_program)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit((int)execute(work(self->id, 0, 0)));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(works(self->id));
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 500 };

static long many_snd(void *arg)
{
	struct work *w = arg;
	struct { long type, number; } msg;

	for (long i = 0; i < ROUNDS; i++) {
		msg.type = w->type;
		msg.number = i;
		if (msgsnd(w->id, &msg, sizeof(msg.number), 0))
			return -errno;
	}
	return 0;
}

static long many_rcv(void *arg)
{
	struct work *w = arg;
	struct { long type, number; } msg;

	for (long i = 0; i < ROUNDS; i++) {
		if (msgrcv(w->id, &msg, sizeof(msg.number), w->type, 0) != sizeof(msg.number))
			return -errno;
		if (msg.type != w->type || msg.number != i)
			return -1000;
	}
	return 0;
}

TEST_F(sysv, many_threads)
{
	struct kt_job *in[THREADS], *out[THREADS];

	/* Full now and then */
	ASSERT_EQ(0, set(self->id, -1, 400));
	for (int i = 0; i < THREADS; i++) {
		struct work *w = work(self->id, i + 1, 0);

		in[i] = kt_start(i % 2 ? KT_THREAD : KT_FORK, many_rcv, w);
		out[i] = kt_start(KT_THREAD, many_snd, w);
	}
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(0, kt_join(in[i]));
		EXPECT_EQ(0, kt_join(out[i]));
	}
	EXPECT_EQ(0, ds_of(self->id).msg_qnum);
}

static volatile int go;

static void *touch_first(void *arg)
{
	while (!go)
		;
	return works(*(int *)arg) ? NULL : arg;
}

/* Those who open the device at the same time open it once */
TEST_F(sysv, threads_that_begin_at_once)
{
	pthread_t threads[THREADS];
	void *failed;

	for (int round = 0; round < 100; round++) {
		closefrom(3);
		go = 0;
		for (int i = 0; i < THREADS; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, touch_first, &self->id));
		go = 1;
		for (int i = 0; i < THREADS; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], &failed));
			EXPECT_EQ(NULL, failed);
		}
		EXPECT_EQ(on_kipc() ? 4 : 3, open_fds());
	}
}

/* ---- what 32-bit programs have beside ---- */

#if defined(__i386__) && !defined(__USE_TIME_BITS64)

/* msgctl() of programs of before 2000, which told its caller less */
struct old_ds {
	int key;
	unsigned short uid, gid, cuid, cgid, mode, seq;
	void *first, *last;
	int stime, rtime, ctime;
	unsigned long lcbytes, lqbytes;
	unsigned short cbytes, qnum, qbytes, lspid, lrpid;
};

int old_msgctl(int id, int cmd, struct old_ds *ds);
__asm__(".symver old_msgctl, msgctl@GLIBC_2.0");

TEST_F(sysv, programs_of_the_first_c_library)
{
	struct old_ds ds;

	kt_poison(&ds, sizeof(ds));
	ASSERT_EQ(0, snd(self->id, 1, "abc", 0));
	ASSERT_EQ(0, set(self->id, -1, 100000));
	ASSERT_EQ(0, old_msgctl(self->id, IPC_STAT, &ds));
	EXPECT_EQ(0, ds.key);
	EXPECT_EQ(0, ds.uid);
	EXPECT_EQ(0600, ds.mode);
	EXPECT_EQ(3, ds.cbytes);
	EXPECT_EQ(1, ds.qnum);
	EXPECT_EQ(getpid(), ds.lspid);
	EXPECT_EQ(ds_of(self->id).msg_ctime, ds.ctime);
	EXPECT_EQ(ds_of(self->id).msg_stime, ds.stime);
	ds.qbytes = 5000;
	ds.mode = 0640;
	ds.gid = 7;
	EXPECT_EQ(0, old_msgctl(self->id, IPC_SET, &ds));
	EXPECT_EQ(5000, ds_of(self->id).msg_qbytes);
	EXPECT_EQ(0640, ds_of(self->id).msg_perm.mode);
	EXPECT_EQ(7, ds_of(self->id).msg_perm.gid);
	EXPECT_EQ(0, old_msgctl(self->id, IPC_RMID, NULL));
	EXPECT_EQ(-1, old_msgctl(self->id, IPC_RMID, NULL));
	EXPECT_EQ(EINVAL, errno);
}

#endif

TEST_HARNESS_MAIN
