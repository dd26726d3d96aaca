// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bigfile MIB: passes a file of so many MiB (100) to another process without copying
 * it. What travels in the message is a descriptor of sealed memory; its receiver
 * maps what the sender has written, and can rely on that nobody changes it while he
 * reads, or makes it shorter.
 */
#include <errno.h>
#include <kipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1024 * 1024)

static void die(const char *what, int error)
{
	fprintf(stderr, "bigfile: %s: %s\n", what, strerror(error));
	exit(1);
}

/* Something that differs if a single bit differs, or two words are exchanged */
static uint64_t checksum(const uint64_t *words, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < size / sizeof(*words); i++)
		sum = sum * 31 + words[i];
	return sum;
}

/* ---- the server ---- */

/* Takes one call, with a file, and answers with the file's checksum. */
static void serve(int endpoint)
{
	int file = -1, ret;
	/* Room for a file; the message itself is empty, but must find its room */
	char text[64];
	struct iovec bytes = { text, sizeof(text) };
	const struct kipc_msg room = { .iov = &bytes, .iovcnt = 1, .fds = &file, .nfds = 1 };
	struct kipc_result call;
	const void *data;
	uint64_t sum;
	size_t size;
	ssize_t got;

	got = kipc_recvmsg(endpoint, &room, &call, -1);
	if (got < 0)
		die("kipc_recvmsg", (int)-got);
	/* -EPERM if the sender could still change it */
	ret = call.nfds == 1 ? kipc_map(file, &data, &size) : -EINVAL;
	if (ret) {
		kipc_reply_error(endpoint, call.token, -ret);
		die("kipc_map", -ret);
	}
	close(file);	/* the mapping stays */
	printf("received a file of %zu MiB from uid %u\n", size / MIB, call.uid);
	fflush(stdout);
	sum = checksum(data, size);
	kipc_unmap(data, size);
	ret = kipc_reply(endpoint, call.token, &sum, sizeof(sum));
	if (ret)
		die("kipc_reply", -ret);
}

/* ---- the client ---- */

/* Makes the file, returns its checksum. */
static uint64_t write_file(int fd, size_t size)
{
	uint64_t *words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t sum;

	if (words == MAP_FAILED)
		die("mmap", errno);
	for (size_t i = 0; i < size / sizeof(*words); i++)
		words[i] = i * 0x9e3779b97f4a7c15;
	sum = checksum(words, size);
	munmap(words, size);	/* what is mapped for writing cannot be sealed */
	return sum;
}

static void send_file(int endpoint, size_t size)
{
	int ret, file = kipc_memfd("bigfile", size);
	uint64_t sum, answer = 0;
	struct iovec in = { &answer, sizeof(answer) };
	const struct kipc_msg request = { .fds = &file, .nfds = 1 };
	const struct kipc_msg reply = { .iov = &in, .iovcnt = 1 };
	ssize_t got;

	if (file < 0)
		die("kipc_memfd", -file);
	sum = write_file(file, size);
	ret = kipc_seal(file);
	if (ret)
		die("kipc_seal", -ret);
	got = kipc_rpcmsg(endpoint, &request, &reply, NULL, 60000);
	close(file);
	if (got != sizeof(answer))
		die("kipc_rpcmsg", got < 0 ? (int)-got : EPROTO);
	printf("the other side read %s\n", answer == sum ? "the same" : "something else");
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 100) * MIB;
	const struct kipc_attr small = { .max_size = 64 };
	int status, endpoint, client;
	struct kipc_endpoint state;
	char address[16];
	pid_t pid;
	int ret;

	/* With FILES it takes descriptors; that is not for every endpoint. */
	endpoint = kipc_create(NULL, KIPC_OPEN_FILES, 0600, &small);
	if (endpoint < 0)
		die("kipc_create", -endpoint);
	ret = kipc_stat(endpoint, 0, &state);
	if (ret)
		die("kipc_stat", -ret);
	snprintf(address, sizeof(address), "id:%u", state.id);
	client = kipc_open(address, KIPC_RIGHT_SEND, 0);
	if (client < 0)
		die("kipc_open", -client);

	pid = fork();
	if (pid < 0)
		die("fork", errno);
	if (pid == 0) {
		serve(endpoint);
		_exit(0);
	}
	close(endpoint);	/* if the server dies now, the call says so */
	send_file(client, size);
	return waitpid(pid, &status, 0) == pid && !status ? 0 : 1;
}
