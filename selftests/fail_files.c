// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Failures in operations with files: each allocation and each copy fails once. What was
 * not sent holds none, what was not received is still there with all of them, and the
 * limits have room for one more, exactly.
 */
#include "fail.h"
#include "files_common.h"
#include "harness.h"

#define FILES 3		/* the end of a pipe, a memfd and a handle */

static struct peer peer;

static struct {
	int dev;
	int own;	/* a handle with all rights */
	int other;	/* the endpoint of the handle that is sent */
	int reader;	/* the other end of the pipe */
	int sent[FILES];
	int got[FILES];
	char text[64];
	struct kipc_result result;
	long slabs;
	unsigned int fds;
} at;

FIXTURE(fail_files) {
};

/* All is done by an ordinary user, who may have just these files on their way */
FIXTURE_SETUP(fail_files)
{
	const struct kipc_attr attr = { .max_size = sizeof(at.text), .max_msgs = 1 };

	fail_setup();
	at.slabs = kt_slab_objects();
	kt_set_param("spares_max", 0);
	kt_set_param("user_files_max", FILES);
	kt_set_param("waiters_max", 1);
	at.dev = kt_device();
	fail_become(KT_UID_A);
	at.own = kt_private_mode(at.dev, KIPC_OPEN_FILES, 0600, &attr);
	at.other = kt_private_mode(at.dev, 0, 0600, NULL);
	at.sent[0] = pipe_of(&at.reader);
	at.sent[1] = memfd_create("sent", MFD_CLOEXEC);
	at.sent[2] = kt_again(at.dev, kt_id(at.other), KIPC_RIGHT_SEND);
	kt_poison(at.text, sizeof(at.text));
	at.fds = kt_open_fds();
}

FIXTURE_TEARDOWN(fail_files)
{
	EXPECT_EQ(at.fds, kt_open_fds());
	EXPECT_TRUE(kt_quiet(at.own));
	EXPECT_TRUE(kt_until(kt_stat(at.other).handles == 2));
	for (unsigned int i = 0; i < FILES; i++)
		close(at.sent[i]);
	/* nobody else has it */
	EXPECT_TRUE(pipe_ended(at.reader));
	close(at.reader);
	kt_euid(0);
	close(at.other);
	close(at.own);
	close(at.dev);
	kt_restore_params();
	EXPECT_TRUE(kt_until(kt_slab_objects() == at.slabs));
}

static struct kipc_payload with_files(int *fds)
{
	return (struct kipc_payload){
		.base = kt_ptr(at.text), .len = sizeof(at.text),
		.fds = kt_ptr(fds), .nfds = FILES,
	};
}

static struct kipc_op_recv recv_op(void)
{
	struct kipc_op_recv op = kt_recv_op(at.text, sizeof(at.text), &at.result);

	kt_poison(&at.result, sizeof(at.result));
	op.payload = with_files(at.got);
	return op;
}

/* All of what was received, and closes it */
static bool got_all(void)
{
	bool ok = at.result.nfds == FILES && !(at.result.flags & KIPC_RESULT_FILES_DROPPED) &&
		  write(at.got[0], "w", 1) == 1 && read(at.reader, &(char){ 0 }, 1) == 1 &&
		  pwrite(at.got[1], "w", 1, 0) == 1 && kt_id(at.got[2]) == kt_id(at.other);

	for (unsigned int i = 0; i < FILES; i++)
		close(at.got[i]);
	return ok;
}

static bool take_all(void)
{
	struct kipc_op_recv op = recv_op();

	op.flags = KIPC_NONBLOCK;
	return kt_op_recv(at.own, &op) == sizeof(at.text) && got_all();
}

/* What the failed operation had goes a bit later: the quota may be full till then */
static bool settled(void)
{
	return kt_open_fds() == at.fds && kt_until(kt_stat(at.other).handles == 2);
}

static long send_all(void)
{
	struct kipc_op_send op = kt_send_op(NULL, 0);

	op.payload = with_files(at.sent);
	op.flags = KIPC_NONBLOCK;
	return kt_op_send(at.own, &op);
}

/* Message, list of the files; of the handle its state, pool, account and struct file */
TEST_F(fail_files, send)
{
	struct sweep s = SWEEP;
	long ret;

	while (sweep_round(&s)) {
		ret = FAILING(&s, send_all());
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_EQ(0, kt_stat(at.own).msgs);
			ASSERT_TRUE(settled());
		} else {
			ASSERT_TRUE(take_all());
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 6, 3));
}

/* Struct, payload, descriptors: the result is no copy that can be made to fail */
TEST_F(fail_files, recv)
{
	struct kipc_op_recv op;
	struct sweep s = SWEEP;
	long ret;

	ASSERT_EQ(0, send_all());
	while (sweep_round(&s)) {
		op = recv_op();
		ret = FAILING(&s, kt_op_recv(at.own, &op));
		if (ret < 0) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(fail_untold(&at.result));
			ASSERT_EQ(1, kt_stat(at.own).msgs);
			ASSERT_EQ(at.fds, kt_open_fds());
		} else {
			ASSERT_TRUE(got_all());
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 0, 3));
}

/* A caller that is answered with files, in a process of its own */
struct caller {
	struct kipc_op_rpc op;
	struct kipc_result result;
	char text[64];
};

static long make_call(void *arg)
{
	struct caller *caller = arg;

	caller->op = kt_rpc_op(caller->text, 1, caller->text, sizeof(caller->text),
			       &caller->result);
	caller->op.reply.fds = kt_ptr(at.got);
	caller->op.reply.nfds = FILES;
	return kt_op_rpc(at.own, &caller->op);
}

TEST_F(fail_files, reply)
{
	struct caller *caller = kt_new(struct caller);
	struct kipc_result result;
	struct kipc_op_reply op;
	struct sweep s = SWEEP;
	struct kt_job *job;
	long ret;

	while (sweep_round(&s)) {
		job = kt_start(KT_FORK, make_call, caller);
		ASSERT_TRUE(kt_until(kt_recv(at.own, 0, 0, 0, at.text, sizeof(at.text),
					     &result) == 1));
		op = kt_reply_op(result.token, NULL, 0);
		op.payload = with_files(at.sent);
		ret = FAILING(&s, kt_op_reply(at.own, &op));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(settled());
			/* the token is still good, and the quota free */
			ASSERT_EQ(0, kt_op_reply(at.own, &op));
		}
		ASSERT_EQ(sizeof(caller->text), kt_join(job));
		ASSERT_EQ(FILES, caller->result.nfds);
		ASSERT_TRUE(settled());
	}
	EXPECT_TRUE(sweep_covered(&s, 6, 3));
}

static long answer(struct peer *p)
{
	struct kipc_op_recv recv = kt_recv_op(p->buf, sizeof(p->buf), &p->result);
	struct kipc_op_reply op;
	int files[FILES];
	long ret;

	recv.flags = KIPC_NONBLOCK;
	recv.payload.fds = kt_ptr(files);
	recv.payload.nfds = FILES;
	ret = kt_op_recv(p->fd, &recv);
	if (ret < 0)
		return ret;
	op = kt_reply_op(p->result.token, NULL, 0);
	op.payload = with_files(files);
	ret = kt_op_reply(p->fd, &op);
	for (unsigned int i = 0; i < FILES; i++)
		close(files[i]);
	return ret;
}

/* There with the request and back with the reply; what cannot be stored is collected later */
TEST_F(fail_files, rpc)
{
	struct kipc_op_rpc op;
	struct sweep s = SWEEP;
	long ret, acted;

	while (sweep_round(&s)) {
		op = kt_rpc_op(NULL, 0, NULL, 0, &at.result);
		op.request = with_files(at.sent);
		op.reply = with_files(at.got);
		kt_poison(&at.result, sizeof(at.result));
		peer_start(&peer, at.own, answer);
		ret = FAILING(&s, kt_op_rpc(at.own, &op));
		acted = peer_end(&peer);
		if (ret < 0) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(op.token || settled());
		}
		if (ret < 0 && op.token) {
			ASSERT_EQ(0, acted);
			ASSERT_EQ(at.fds, kt_open_fds());
			ret = kt_op_rpc(at.own, &op);
			ASSERT_LE(0, ret);
		}
		if (ret >= 0) {
			ASSERT_EQ(0, acted);
			ASSERT_TRUE(got_all());
			ASSERT_TRUE(settled());
		}
	}
	EXPECT_TRUE(sweep_covered(&s, 6, 5));
}

TEST_HARNESS_MAIN
