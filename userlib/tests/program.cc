// SPDX-License-Identifier: GPL-2.0-or-later
//
// A C++ program against the installed header and library.

#include <kipc.h>

#include <cerrno>
#include <cstdio>
#include <string>

namespace {

class Handle {
public:
	explicit Handle(int fd) : fd_(fd) {}
	ssize_t call(const std::string &request, std::string &answer, kipc_result &result) const
	{
		iovec in = { const_cast<char *>(request.data()), request.size() };
		iovec out = { &answer[0], answer.size() };
		kipc_msg req = kipc_msg(), reply = kipc_msg();

		req.type = 1;
		req.flags = KIPC_IDEMPOTENT;
		req.iov = &in;
		req.iovcnt = 1;
		reply.flags = KIPC_TRUNCATE;
		reply.iov = &out;
		reply.iovcnt = 1;
		return kipc_rpcmsg(fd_, &req, &reply, &result, 1000);
	}
	int take(std::string &room, kipc_result *results, unsigned int count) const
	{
		iovec out = { &room[0], room.size() };
		kipc_msg batch = kipc_msg();

		batch.iov = &out;
		batch.iovcnt = 1;
		return kipc_recv_batch(fd_, &batch, results, count, 0);
	}
	int fd() const { return fd_; }

private:
	int fd_;
};

ssize_t handle(void *context, const void *, size_t size, const kipc_result *, void *, size_t)
{
	return static_cast<std::string *>(context)->empty() ? -EINVAL : static_cast<ssize_t>(size);
}

} // namespace

int main()
{
	std::string answer(64, ' ');
	kipc_result result = kipc_result();
	kipc_attr attr = kipc_attr();

	attr.max_size = 64;
	errno = EXDEV;

	Handle none(kipc_create("id:1", KIPC_OPEN_PERSIST, 0600, &attr));
	if (none.fd() != -EINVAL || errno != EXDEV) {
		std::printf("# kipc_create: %d, errno %d\n", none.fd(), errno);
		return 1;
	}

	ssize_t size = none.call("question", answer, result);
	if (size != -EBADF || result.flags & KIPC_RESULT_DELIVERED || errno != EXDEV) {
		std::printf("# kipc_rpcmsg: %ld, errno %d\n", static_cast<long>(size), errno);
		return 1;
	}

	kipc_result results[2] = {};
	int count = none.take(answer, results, 2);
	if (count != -EBADF || kipc_batch_next(0, results[0].size) || errno != EXDEV) {
		std::printf("# kipc_recv_batch: %d, errno %d\n", count, errno);
		return 1;
	}

	int end = kipc_serve(-1, 2, handle, &answer);
	if (end != -EBADF || errno != EXDEV) {
		std::printf("# kipc_serve: %d, errno %d\n", end, errno);
		return 1;
	}

	const void *data = nullptr;
	size_t length = 0;
	int memory = kipc_memfd("program", 10);
	int mapped = kipc_seal(memory) ? -1 : kipc_map(memory, &data, &length);
	if (mapped || length != 10 || kipc_unmap(data, length) || errno != EXDEV) {
		std::printf("# kipc_map: %d, errno %d\n", mapped, errno);
		return 1;
	}
	return 0;
}
