// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * read() and write() on handles: one message each, for who opened the handle.
 */
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "call_common.h"
#include "harness.h"

#define A KT_UID_A
#define MAX_SIZE 4096
#define MAX_MSGS 4

FIXTURE(rw) {
	int dev;
	int srv;	/* may receive */
	int cli;	/* may send */
	uint32_t id;
	char *buf;	/* MAX_SIZE bytes, poisoned */
	struct job *jobs;
};

FIXTURE_SETUP(rw)
{
	struct kipc_attr attr = { .max_size = MAX_SIZE, .max_msgs = MAX_MSGS };
	int all;

	self->dev = kt_device();
	all = private_endpoint(KIPC_OPEN_ONEWAY, &attr);
	ASSERT_LE(0, all);
	self->id = kt_id(all);
	self->srv = open_same(all, KIPC_RIGHT_RECV);
	self->cli = open_same(all, KIPC_RIGHT_SEND);
	ASSERT_LE(0, self->srv);
	ASSERT_LE(0, self->cli);
	close(all);
	self->buf = kt_shared(MAX_SIZE);
	kt_poison(self->buf, MAX_SIZE);
	self->jobs = jobs_new(3);
}

FIXTURE_TEARDOWN(rw)
{
	kt_restore_params();
	close(self->cli);
	close(self->srv);
	close(self->dev);
}

/* The result, or -errno */
#define said(call)				\
	({					\
		long said_ = (call);		\
						\
		said_ < 0 ? -errno : said_;	\
	})

static void job_read(struct job *job)
{
	job->ret = said(read(job->fd, job_out(job), job->room));
	job_fetch(job);
}

static void job_write(struct job *job)
{
	job->ret = said(write(job->fd, job->in, job->size));
}

#define await_in(job, call)	await(job_sleeps_in(job, SYS_##call))

static void fill_queue(int fd)
{
	while (said(kt_send(fd, 0, 0, 0, "fill", 4)) == 0)
		;
}

TEST_F(rw, a_write_sends_one_message)
{
	struct kipc_result result;
	char out[MAX_SIZE];

	EXPECT_EQ(5, write(self->cli, "hello", 5));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(5, kt_recv(self->srv, 0, 0, 0, out, sizeof(out), &result));
	EXPECT_EQ(0, memcmp(out, "hello", 5));
	EXPECT_EQ(5, result.size);
	EXPECT_EQ(0, result.type);
	EXPECT_EQ(0, result.prio);
	EXPECT_EQ(0, result.flags);
	EXPECT_EQ(0, result.token);
	EXPECT_EQ(0, result.badge);
	EXPECT_EQ(0, result.uid);
	EXPECT_EQ(getpid(), result.pid);
	/* the largest */
	EXPECT_EQ(MAX_SIZE, write(self->cli, self->buf, MAX_SIZE));
	EXPECT_EQ(MAX_SIZE, read(self->srv, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(out, self->buf, MAX_SIZE));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, p01_a_read_takes_one_message_in_order)
{
	char out[16];

	ASSERT_EQ(0, kt_send(self->cli, 0, 7, 0, "low", 3));
	ASSERT_EQ(0, kt_send(self->cli, 0, 6, 5, "high!", 5));
	ASSERT_EQ(4, write(self->cli, "last", 4));
	EXPECT_EQ(5, read(self->srv, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(out, "high!", 5));
	EXPECT_EQ(3, read(self->srv, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(out, "low", 3));
	EXPECT_EQ(4, read(self->srv, out, 4));
	EXPECT_EQ(0, memcmp(out, "last", 4));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, the_badge_is_carried)
{
	int fd = kipc_restrict(self->cli, KIPC_RIGHT_SEND, 77);
	struct kipc_result result;

	ASSERT_LE(0, fd);
	EXPECT_EQ(3, write(fd, "abc", 3));
	EXPECT_EQ(3, kt_recv(self->srv, 0, 0, 0, self->buf, MAX_SIZE, &result));
	EXPECT_EQ(77, result.badge);
	close(fd);
}

/* What a handle may do is its access mode, and what it may not fails */
TEST_F(rw, p11_rights_are_the_access_mode)
{
	static const int modes[] = { O_WRONLY, O_RDONLY, O_RDWR };
	int all = private_endpoint(KIPC_OPEN_ONEWAY, NULL), fd;

	for (uint32_t rights = 1; rights <= KT_ALL_RIGHTS; rights++) {
		int mode = rights & 3 ? modes[(rights & 3) - 1] : O_ACCMODE;

		fd = open_same(all, rights);
		EXPECT_EQ(mode, fcntl(fd, F_GETFL) & O_ACCMODE);
		EXPECT_EQ(rights & KIPC_RIGHT_SEND ? 1 : -EBADF, said(write(fd, "x", 1)));
		if (!(rights & KIPC_RIGHT_SEND))
			ASSERT_EQ(0, kipc_send(all, "x", 1, 0));
		EXPECT_EQ(rights & KIPC_RIGHT_RECV ? 1 : -EBADF,
			  said(read(fd, self->buf, MAX_SIZE)));
		if (!(rights & KIPC_RIGHT_RECV))
			ASSERT_EQ(1, read(all, self->buf, MAX_SIZE));
		close(fd);
		fd = kipc_restrict(all, rights, 0);
		EXPECT_EQ(mode, fcntl(fd, F_GETFL) & O_ACCMODE);
		close(fd);
	}
	EXPECT_EQ(-EINVAL, said(read(self->dev, self->buf, 1)));
	EXPECT_EQ(-EINVAL, said(write(self->dev, "x", 1)));
	close(all);
}

TEST_F(rw, where_there_may_be_calls_nothing_is_read)
{
	int srv = private_endpoint(0, NULL), cli = open_same(srv, KIPC_RIGHT_SEND);

	EXPECT_EQ(3, write(cli, "abc", 3));
	EXPECT_EQ(-EINVAL, said(read(srv, self->buf, MAX_SIZE)));
	ASSERT_NE(0, start(cli, 0, 1, -1));
	EXPECT_EQ(-EINVAL, said(read(srv, self->buf, MAX_SIZE)));
	EXPECT_EQ(2, kt_stat(srv).msgs);
	EXPECT_TRUE(kt_poisoned(self->buf, MAX_SIZE));
	close(cli);
	close(srv);
}

TEST_F(rw, any_number_of_segments)
{
	static const unsigned int counts[] = { 1, 2, 3, 8, 9, 100, 1024 };
	struct iovec in[1024], out[1024];
	char bytes[3 * 1024];

	kt_fill(bytes, sizeof(bytes), 5);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++) {
		unsigned int n = counts[i];

		kt_poison(self->buf, MAX_SIZE);
		for (unsigned int j = 0; j < n; j++) {
			in[j] = (struct iovec){ bytes + 3 * j, 3 };
			/* of other lengths, some of them none */
			out[j] = (struct iovec){ self->buf + 6 * (j / 2), j % 2 ? 0 : 6 };
		}
		EXPECT_EQ(3 * n, writev(self->cli, in, (int)n));
		EXPECT_EQ(3 * n, readv(self->srv, out, (int)n));
		EXPECT_EQ(0, memcmp(self->buf, bytes, 3 * n));
		EXPECT_TRUE(kt_poisoned(self->buf + 3 * n, MAX_SIZE - 3 * n));
	}
	/* together too long */
	in[0] = (struct iovec){ self->buf, MAX_SIZE };
	in[1] = (struct iovec){ self->buf, 1 };
	EXPECT_EQ(-EMSGSIZE, said(writev(self->cli, in, 2)));
	/* and too short: to the last byte */
	ASSERT_EQ(7, write(self->cli, "1234567", 7));
	out[0] = (struct iovec){ self->buf, 3 };
	out[1] = (struct iovec){ self->buf + 3, 3 };
	EXPECT_EQ(-EMSGSIZE, said(readv(self->srv, out, 2)));
	out[1].iov_len = 4;
	EXPECT_EQ(7, readv(self->srv, out, 2));
	EXPECT_EQ(0, memcmp(self->buf, "1234567", 7));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, p02_a_message_that_does_not_fit_stays)
{
	char out[16];

	ASSERT_EQ(10, write(self->cli, "0123456789", 10));
	ASSERT_EQ(1, write(self->cli, "x", 1));
	for (size_t room = 1; room < 10; room++) {
		kt_poison(out, sizeof(out));
		EXPECT_EQ(-EMSGSIZE, said(read(self->srv, out, room)));
		EXPECT_TRUE(kt_poisoned(out, sizeof(out)));
	}
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	EXPECT_EQ(10, read(self->srv, out, 10));
	EXPECT_EQ(1, read(self->srv, out, 1));
	EXPECT_EQ('x', out[0]);
	EXPECT_EQ(-EMSGSIZE, said(write(self->cli, self->buf, MAX_SIZE + 1)));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* It came while the read slept */
TEST_F(rw, p02_nor_is_one_lost_that_comes_later)
{
	struct job *reader = &self->jobs[0];

	reader->fd = self->srv;
	reader->room = 3;
	job_start(reader, job_read);
	await_in(reader, read);
	ASSERT_EQ(4, write(self->cli, "four", 4));
	ASSERT_EQ(0, job_join(reader));
	EXPECT_EQ(-EMSGSIZE, reader->ret);
	EXPECT_EQ(4, read(self->srv, self->buf, 4));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, nothing_at_all)
{
	/* sends nothing, takes nothing, and asks nobody */
	EXPECT_EQ(0, write(self->cli, NULL, 0));
	EXPECT_EQ(0, kt_stat(self->srv).msgs);
	ASSERT_EQ(1, write(self->cli, "x", 1));
	EXPECT_EQ(0, read(self->srv, self->buf, 0));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	ASSERT_EQ(1, read(self->srv, self->buf, 1));
	EXPECT_EQ(-EBADF, said(write(self->srv, NULL, 0)));
	EXPECT_EQ(-EBADF, said(read(self->cli, self->buf, 0)));
	/* a message without bytes is one */
	ASSERT_EQ(0, kt_send(self->cli, 0, 1, 0, NULL, 0));
	ASSERT_EQ(1, write(self->cli, "y", 1));
	EXPECT_EQ(0, read(self->srv, self->buf, 1));
	EXPECT_EQ(1, read(self->srv, self->buf, 1));
	EXPECT_EQ('y', self->buf[0]);
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, p14_nonblock)
{
	struct iovec iov = { self->buf, 4 };

	ASSERT_EQ(0, fcntl(self->srv, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, fcntl(self->cli, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, said(read(self->srv, self->buf, 1)));
	for (unsigned int i = 0; i < MAX_MSGS; i++)
		EXPECT_EQ(4, write(self->cli, "full", 4));
	EXPECT_EQ(-EAGAIN, said(write(self->cli, "x", 1)));
	EXPECT_EQ(1, kt_stat(self->srv).refused);
	/* or for one system call */
	ASSERT_EQ(0, fcntl(self->srv, F_SETFL, 0));
	ASSERT_EQ(0, fcntl(self->cli, F_SETFL, 0));
	EXPECT_EQ(-EAGAIN, said(pwritev2(self->cli, &iov, 1, -1, RWF_NOWAIT)));
	for (unsigned int i = 0; i < MAX_MSGS; i++)
		EXPECT_EQ(4, preadv2(self->srv, &iov, 1, -1, RWF_NOWAIT));
	EXPECT_EQ(-EAGAIN, said(preadv2(self->srv, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(4, pwritev2(self->cli, &iov, 1, -1, RWF_NOWAIT));
	EXPECT_EQ(4, preadv2(self->srv, &iov, 1, -1, 0));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, there_is_no_position)
{
	int pipes[2], file;
	loff_t at = 0;

	ASSERT_EQ(3, write(self->cli, "abc", 3));
	EXPECT_EQ(-ESPIPE, said(lseek(self->srv, 0, SEEK_CUR)));
	EXPECT_EQ(-ESPIPE, said(lseek(self->cli, 0, SEEK_END)));
	EXPECT_EQ(-ESPIPE, said(pread(self->srv, self->buf, 3, 0)));
	EXPECT_EQ(-ESPIPE, said(pwrite(self->cli, "x", 1, 0)));
	/* nor is it spliced, either way */
	ASSERT_EQ(0, pipe2(pipes, O_NONBLOCK));
	EXPECT_EQ(-EINVAL, said(splice(self->srv, NULL, pipes[1], NULL, 100, SPLICE_F_NONBLOCK)));
	ASSERT_EQ(1, write(pipes[1], "x", 1));
	EXPECT_EQ(-EINVAL, said(splice(pipes[0], NULL, self->cli, NULL, 1, SPLICE_F_NONBLOCK)));
	file = open("/proc/self/exe", O_RDONLY);
	ASSERT_LE(0, file);
	EXPECT_EQ(-EINVAL, said(sendfile(self->cli, file, &at, 10)));
	EXPECT_EQ(1, kt_stat(self->srv).msgs);
	EXPECT_EQ(3, read(self->srv, self->buf, MAX_SIZE));
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(rw, p02_p03_memory_that_faults)
{
	char *hole = kt_hole(), *tail = hole - 4;
	struct iovec iov[2] = { { self->buf, 4 }, { hole, 4 } };

	EXPECT_EQ(-EFAULT, said(write(self->cli, hole, 8)));
	EXPECT_EQ(-EFAULT, said(write(self->cli, tail, 8)));
	EXPECT_EQ(-EFAULT, said(writev(self->cli, iov, 2)));
	EXPECT_EQ(0, kt_stat(self->srv).msgs);

	ASSERT_EQ(8, write(self->cli, "12345678", 8));
	ASSERT_EQ(1, write(self->cli, "x", 1));
	EXPECT_EQ(-EFAULT, said(read(self->srv, hole, 8)));
	EXPECT_EQ(-EFAULT, said(read(self->srv, tail, 8)));
	EXPECT_EQ(-EFAULT, said(readv(self->srv, iov, 2)));
	EXPECT_EQ(-EFAULT, said(read(self->srv, (void *)0xffff888000000000UL, 8)));
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	EXPECT_EQ(8, read(self->srv, self->buf, 8));
	EXPECT_EQ(0, memcmp(self->buf, "12345678", 8));
	/* what does not reach into it is good */
	EXPECT_EQ(1, read(self->srv, tail, 8));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- waiting, and its end ---- */

TEST_F(rw, a_read_waits_for_a_message)
{
	struct job *reader = &self->jobs[0];

	reader->fd = self->srv;
	job_start(reader, job_read);
	await_in(reader, read);
	EXPECT_EQ(1, kt_stat(self->srv).waiters);
	ASSERT_EQ(5, write(self->cli, "hello", 5));
	ASSERT_EQ(0, job_join(reader));
	EXPECT_EQ(5, reader->ret);
	EXPECT_EQ(0, memcmp(reader->out, "hello", 5));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, a_write_waits_for_room)
{
	struct job *writer = &self->jobs[0];

	fill_queue(self->cli);
	writer->fd = self->cli;
	writer->size = 3;
	memcpy(writer->in, "abc", 3);
	job_start(writer, job_write);
	await_in(writer, write);
	for (unsigned int i = 0; i < MAX_MSGS; i++)
		ASSERT_EQ(4, read(self->srv, self->buf, 4));
	ASSERT_EQ(0, job_join(writer));
	EXPECT_EQ(3, writer->ret);
	EXPECT_EQ(3, read(self->srv, self->buf, 4));
	EXPECT_TRUE(kt_quiet(self->srv));
}

TEST_F(rw, p05_a_signal_loses_nothing)
{
	struct job *reader = &self->jobs[0], *writer = &self->jobs[1];

	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		reader->fd = self->srv;
		reader->catches = true;
		reader->sa_flags = flags;
		job_start(reader, job_read);
		await_in(reader, read);
		ASSERT_TRUE(job_signal(reader));
		if (flags) {
			await_in(reader, read);
			ASSERT_EQ(5, write(self->cli, "hello", 5));
		}
		ASSERT_EQ(0, job_join(reader));
		EXPECT_EQ(flags ? 5 : -EINTR, reader->ret);
		EXPECT_TRUE(kt_quiet(self->srv));

		fill_queue(self->cli);
		writer->fd = self->cli;
		writer->size = 1;
		writer->in[0] = 'w';
		writer->catches = true;
		writer->sa_flags = flags;
		job_start(writer, job_write);
		await_in(writer, write);
		ASSERT_TRUE(job_signal(writer));
		await(flags ? job_sleeps_in(writer, SYS_write) : writer->done);
		for (unsigned int i = 0; i < MAX_MSGS; i++)
			ASSERT_EQ(4, read(self->srv, self->buf, 4));
		ASSERT_EQ(0, job_join(writer));
		if (flags)
			EXPECT_EQ(1, read(self->srv, self->buf, 1));
		/* once, or not at all */
		EXPECT_EQ(flags ? 1 : -EINTR, writer->ret);
		EXPECT_TRUE(kt_quiet(self->srv));
	}
}

TEST_F(rw, p08_an_endpoint_that_has_ended_reads_as_0)
{
	struct job *reader = &self->jobs[0], *writer = &self->jobs[1];
	int control = open_same(self->srv, KIPC_RIGHT_CONTROL);

	fill_queue(self->cli);
	writer->fd = self->cli;
	writer->size = 1;
	job_start(writer, job_write);
	await_in(writer, write);
	ASSERT_EQ(0, kipc_remove(control, 0));
	ASSERT_EQ(0, job_join(writer));
	EXPECT_EQ(-EIDRM, writer->ret);
	EXPECT_EQ(0, read(self->srv, self->buf, 4));
	EXPECT_EQ(0, read(self->srv, self->buf, 4));
	EXPECT_EQ(-EIDRM, said(write(self->cli, "x", 1)));
	close(control);

	/* and to who waits */
	control = private_endpoint(KIPC_OPEN_ONEWAY, NULL);
	reader->fd = control;
	job_start(reader, job_read);
	await_in(reader, read);
	ASSERT_EQ(0, kipc_remove(control, 0));
	ASSERT_EQ(0, job_join(reader));
	EXPECT_EQ(0, reader->ret);
	close(control);
}

TEST_F(rw, a_handle_that_was_shut_down_reads_as_0)
{
	struct job *reader = &self->jobs[0];
	int other = open_same(self->srv, KIPC_RIGHT_RECV);

	reader->fd = self->srv;
	job_start(reader, job_read);
	await_in(reader, read);
	ASSERT_EQ(0, kipc_shutdown(self->srv));
	ASSERT_EQ(0, job_join(reader));
	EXPECT_EQ(0, reader->ret);
	ASSERT_EQ(3, write(self->cli, "abc", 3));
	EXPECT_EQ(0, read(self->srv, self->buf, 4));
	EXPECT_EQ(3, read(other, self->buf, 4));
	close(other);
}

/* A message of a sender that waits in its own pages */
TEST_F(rw, a_message_that_is_still_its_senders)
{
	struct iovec iov[2] = { { self->buf, 100 }, { self->buf + 100, 2000 } };
	struct job *sender = &self->jobs[0];
	long pins = kt_pins_made();

	kt_set_param("pin_min", 1);
	for (unsigned int i = 0; i < 2; i++) {
		sender->fd = self->cli;
		sender->size = JOB_BUF;
		sender->head.flags = KIPC_SYNC;
		kt_fill(sender->in, JOB_BUF, i);
		job_start(sender, job_send);
		await_asleep(sender);
		EXPECT_EQ(-EMSGSIZE, said(read(self->srv, self->buf, JOB_BUF - 1)));
		EXPECT_EQ(-EFAULT, said(read(self->srv, kt_hole() - 1, JOB_BUF)));
		kt_poison(self->buf, MAX_SIZE);
		EXPECT_EQ(JOB_BUF, i ? readv(self->srv, iov, 2) :
				   read(self->srv, self->buf, MAX_SIZE));
		EXPECT_TRUE(kt_filled(self->buf, JOB_BUF, i));
		EXPECT_TRUE(kt_poisoned(self->buf + JOB_BUF, MAX_SIZE - JOB_BUF));
		ASSERT_EQ(0, job_join(sender));
		EXPECT_EQ(0, sender->ret);
	}
	EXPECT_LT(pins, kt_pins_made());
	EXPECT_TRUE(kt_until(!kt_pins_held()));
}

/* Its sender leaves in the middle: what comes next is stored from the beginning */
TEST_F(rw, a_sender_leaves_while_it_is_read)
{
	struct job *reader = &self->jobs[0], *sender = &self->jobs[1];

	sender->fd = self->cli;
	sender->size = 100;
	sender->head.flags = KIPC_SYNC;
	job_start(sender, job_send);
	await_asleep(sender);
	reader->fd = self->srv;
	reader->stall = STALL_OUT;
	job_start(reader, job_read);
	await_stalled(reader);
	ASSERT_TRUE(job_kill(sender));
	ASSERT_EQ(4, write(self->cli, "next", 4));
	job_release(reader);
	ASSERT_EQ(0, job_join(reader));
	EXPECT_EQ(4, reader->ret);
	EXPECT_EQ(0, memcmp(reader->out, "next", 4));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* Who reads is killed in the middle: it is there for the next */
TEST_F(rw, p02_a_reader_dies_while_it_reads)
{
	struct job *reader = &self->jobs[0];

	ASSERT_EQ(4, write(self->cli, "kept", 4));
	reader->fd = self->srv;
	reader->stall = STALL_OUT;
	job_start(reader, job_read);
	await_stalled(reader);
	EXPECT_EQ(0, polled(self->srv) & POLLIN);
	ASSERT_TRUE(job_kill(reader));
	EXPECT_EQ(4, read(self->srv, self->buf, MAX_SIZE));
	EXPECT_EQ(0, memcmp(self->buf, "kept", 4));
	EXPECT_TRUE(kt_quiet(self->srv));
}

/* ---- for whom ---- */

/* Opened by A, who is then told by nobody else's write but its own name */
TEST_F(rw, p11_a_write_is_its_openers)
{
	int fd = (int)kt_do_as(A, kt_again(self->dev, self->id, KIPC_RIGHT_SEND));
	int badged = (int)kt_do_as(KT_UID_B, kipc_restrict(fd, KIPC_RIGHT_SEND, 5));
	struct kipc_result result;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, badged);
	EXPECT_EQ(1, write(fd, "x", 1));
	EXPECT_EQ(1, kt_recv(self->srv, 0, 0, 0, self->buf, MAX_SIZE, &result));
	EXPECT_EQ(A, result.uid);
	EXPECT_EQ(A, result.gid);
	/* who did it, for logs */
	EXPECT_EQ(getpid(), result.pid);
	EXPECT_EQ(1, kt_do_as(KT_UID_C, write(fd, "x", 1)));
	EXPECT_EQ(1, kt_recv(self->srv, 0, 0, 0, self->buf, MAX_SIZE, &result));
	EXPECT_EQ(A, result.uid);
	/* who made it opened it */
	EXPECT_EQ(1, write(badged, "x", 1));
	EXPECT_EQ(1, kt_recv(self->srv, 0, 0, 0, self->buf, MAX_SIZE, &result));
	EXPECT_EQ(KT_UID_B, result.uid);
	EXPECT_EQ(5, result.badge);
	/* by the ioctl everybody speaks for himself */
	EXPECT_EQ(0, kt_do_as(KT_UID_C, kt_send(fd, 0, 1, 0, "x", 1)));
	EXPECT_EQ(1, kt_recv(self->srv, 0, 0, 0, self->buf, MAX_SIZE, &result));
	EXPECT_EQ(KT_UID_C, result.uid);
	close(badged);
	close(fd);
}

/* Root owns the endpoint, and could fill it */
TEST_F(rw, p10_a_write_is_of_its_openers_share)
{
	int fd = (int)kt_do_as(A, kt_again(self->dev, self->id, KIPC_RIGHT_SEND));

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(1, write(fd, "x", 1));
	EXPECT_EQ(1, write(fd, "x", 1));
	EXPECT_EQ(-EAGAIN, said(write(fd, "x", 1)));
	EXPECT_EQ(2, kt_stat(self->srv).msgs);
	/* and as root's it has room */
	EXPECT_EQ(0, kt_send(fd, 0, 1, 0, "x", 1));
	close(fd);
}

TEST_F(rw, p10_who_reads_waits_as_its_opener)
{
	int fd = (int)kt_do_as(A, kt_again(self->dev, self->id, KIPC_RIGHT_RECV));
	struct job *first = &self->jobs[0], *second = &self->jobs[1];

	ASSERT_LE(0, fd);
	kt_set_param("waiters_max", 2);
	first->fd = fd;
	job_start(first, job_read);
	await_in(first, read);
	/* of two, one is not the owner's */
	EXPECT_EQ(-EDQUOT, said(read(fd, self->buf, MAX_SIZE)));
	/* which he still has */
	second->fd = self->srv;
	job_start(second, job_read);
	await_in(second, read);
	ASSERT_EQ(1, write(self->cli, "1", 1));
	ASSERT_EQ(1, write(self->cli, "2", 1));
	ASSERT_EQ(0, job_join(first));
	ASSERT_EQ(0, job_join(second));
	EXPECT_EQ(1, first->ret);
	EXPECT_EQ(1, second->ret);
	close(fd);
}

/* The program of that name next to this one, as a setuid program of root's */
static void install_setuid(const char *name, const char *to)
{
	char self[256], path[300], text[65536];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int in, out;

	kt_need(n > 0);
	self[n] = 0;
	*strrchr(self, '/') = 0;
	snprintf(path, sizeof(path), "%s/%s", self, name);
	in = open(path, O_RDONLY | O_CLOEXEC);
	unlink(to);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	kt_need(in >= 0 && out >= 0);
	while ((n = read(in, text, sizeof(text))) > 0)
		kt_need(write(out, text, (size_t)n) == n);
	kt_need(!n && !fchown(out, 0, 0) && !fchmod(out, 04755));
	close(in);
	close(out);
}

/* An ordinary user runs it, with the handle that it opened; how it ended */
static int run_setuid(FIXTURE_DATA(rw) *self)
{
	char number[16];
	int fd, status;
	pid_t pid;

	fd = (int)kt_do_as(A, kt_again(self->dev, self->id, KIPC_RIGHT_SEND));
	kt_need(fd >= 0 && !fcntl(fd, F_SETFD, 0));
	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	kt_need(pid >= 0);
	if (!pid) {
		kt_become(A, A);
		execl("/tmp/kipc-speak", "kipc-speak", number, NULL);
		_exit(1);
	}
	close(fd);
	kt_need(waitpid(pid, &status, 0) == pid);
	return status;
}

TEST_F(rw, p11_a_setuid_program_is_not_made_to_speak)
{
	char expected[64], out[64] = "";
	struct kipc_result result;

	install_setuid("helper-speak", "/tmp/kipc-speak");
	EXPECT_EQ(0, run_setuid(self));
	unlink("/tmp/kipc-speak");
	/* It ran with root's rights, */
	snprintf(expected, sizeof(expected), "%u %u", A, 0U);
	EXPECT_EQ(strlen(expected), kt_recv(self->srv, 0, 0, 0, out, sizeof(out), &result));
	EXPECT_STREQ(expected, out);
	/* but what it wrote where it was told to is not root's word */
	EXPECT_EQ(0, result.type);
	EXPECT_EQ(A, result.uid);
	EXPECT_EQ(A, result.gid);
	/* A program that knows kipc says itself who it is */
	EXPECT_EQ(strlen(expected), kt_recv(self->srv, 0, 0, 0, out, sizeof(out), &result));
	EXPECT_EQ(2, result.type);
	EXPECT_EQ(0, result.uid);
}

/* ---- handles that read as a file of mqueue(7) ---- */

TEST_F(rw, state_is_read)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_MQUEUE | KIPC_OPEN_ANY_OWNER,
		.rights = KIPC_RIGHT_RECV | KIPC_RIGHT_SEND,
		.id = kt_id(self->srv),
	};
	int fd = (int)kt_open(self->dev, &op), less;
	const int sent = 3;
	char text[128] = "";

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, kt_send(self->cli, 0, 1, 0, "abc", (size_t)sent));
	EXPECT_LT(40, said(read(fd, text, sizeof(text))));
	EXPECT_EQ(sent, atoi(text + strlen("QSIZE:")));
	EXPECT_EQ('\n', text[strlen(text) - 1]);
	EXPECT_EQ(0, said(read(fd, text, sizeof(text))));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_SET));
	EXPECT_EQ(-EFAULT, said(read(fd, kt_hole(), 8)));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_CUR));
	EXPECT_EQ(0, said(read(fd, text, 0)));
	EXPECT_EQ(-EINVAL, said(write(fd, "x", 1)));
	EXPECT_EQ(1, kt_stat(fd).msgs);
	/* It is of the one handle */
	less = kipc_restrict(fd, KIPC_RIGHT_RECV, 0);
	ASSERT_LE(0, less);
	EXPECT_EQ(-1, lseek(less, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, lseek(self->srv, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(sent, said(read(less, text, sizeof(text))));
	EXPECT_EQ(0, memcmp(text, "abc", 3));
	close(less);
	/* It goes on when the endpoint has ended */
	EXPECT_EQ(0, kipc_remove(self->dev, op.id));
	EXPECT_LT(40, said(pread(fd, text, sizeof(text), 0)));
	EXPECT_EQ(0, atoi(text + strlen("QSIZE:")));
	close(fd);
}

TEST_F(rw, state_of_no_handle)
{
	struct kipc_op_open op = {
		.flags = KIPC_OPEN_MQUEUE | KIPC_OPEN_ID_ONLY | KIPC_OPEN_ANY_OWNER,
		.id = kt_id(self->srv),
	};
	int fd;

	EXPECT_EQ(-EINVAL, kt_open(self->dev, &op));
	/* Who may not receive does not read */
	op.flags &= ~KIPC_OPEN_ID_ONLY;
	op.rights = KIPC_RIGHT_SEND;
	fd = (int)kt_open(self->dev, &op);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, said(read(fd, &op, sizeof(op))));
	close(fd);
}

TEST_HARNESS_MAIN
