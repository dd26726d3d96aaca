// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mq_notify(3).
 *
 * Registering is the kernel's affair, see KIPC_IOC_NOTIFY, and so is its end: by the
 * notice, mq_notify() with NULL, close(2), exec(3) or exit(3). Only for SIGEV_THREAD is there
 * something to do here: a thread, the watcher, waits for one of two eventfds, of
 * which the kernel counts one when the notice comes and the other one when it never will. So it
 * lives no longer than what it waits for. With the notice it starts the thread that the program
 * has asked for.
 */
#include "posixmq.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>

/* Beside the least that a thread needs: calls of a few functions */
#define WATCHER_STACK	32768

enum { NOTICE, END, EVENTS };

/* What the program wants to be run */
struct call {
	void (*function)(union sigval value);
	union sigval value;
};

/**
 * struct watch - one registration with SIGEV_THREAD
 * @next: the watches of this process; protected by @watches_lock
 * @prev: where @next of the one before is, or @watches; likewise
 * @events: the eventfds, -1: none
 * @forked: of those, what a process that is forked now has to close; protected likewise
 * @watcher: who waits for them; that thread has put its mark on them
 * @started: posted when it has
 * @attributes: of the thread to start
 * @call: what it runs
 */
struct watch {
	struct watch *next;
	struct watch **prev;
	int events[EVENTS];
	int forked[EVENTS];
	pid_t watcher;
	sem_t started;
	pthread_attr_t attributes;
	struct call *call;
};

/*
 * Held wherever there are eventfds that are in no watch on the list, so that a fork closes
 * all; with signals blocked, as handlers may fork.
 */
static pthread_mutex_t watches_lock = PTHREAD_MUTEX_INITIALIZER;
static struct watch *watches;
static sigset_t before_fork;

/*
 * Whether a number still is our descriptor: the program may have closed all it
 * did not know, and opened something else. Who owns a file is of no effect for an eventfd, and
 * nobody else names that thread.
 */
static bool is_ours(int fd, pid_t watcher)
{
	struct f_owner_ex owner;

	return !fcntl(fd, F_GETOWN_EX, &owner) && owner.type == F_OWNER_TID &&
	       owner.pid == watcher;
}

static void close_fds(int *fds)
{
	for (int i = 0; i < EVENTS; i++) {
		if (fds[i] >= 0)
			libkipc_close(fds[i]);
		fds[i] = -1;
	}
}

/* Of the eventfds those that the program has not closed */
static void find_events(struct watch *watch, int *fds)
{
	for (int i = 0; i < EVENTS; i++)
		fds[i] = is_ours(watch->events[i], watch->watcher) ? watch->events[i] : -1;
}

static int open_events(struct watch *watch)
{
	int error;

	watch->events[NOTICE] = eventfd(0, EFD_CLOEXEC);
	if (watch->events[NOTICE] < 0)
		return -errno;
	watch->events[END] = eventfd(0, EFD_CLOEXEC);
	if (watch->events[END] >= 0)
		return 0;
	error = errno;
	close_fds(watch->events);
	return -error;
}

static void watch_free(struct watch *watch)
{
	sem_destroy(&watch->started);
	pthread_attr_destroy(&watch->attributes);
	free(watch->call);
	free(watch);
}

static void watch_add(struct watch *watch)
{
	watch->next = watches;
	watch->prev = &watches;
	if (watches)
		watches->prev = &watch->next;
	watches = watch;
}

static void watch_remove(struct watch *watch)
{
	*watch->prev = watch->next;
	if (watch->next)
		watch->next->prev = watch->prev;
}

static void block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

/*
 * The child of a fork is not registered, and nobody waits there for what its parent will be
 * told. The marks can no longer be seen there when a watcher has ended meanwhile.
 */
static void fork_prepare(void)
{
	int saved = errno;
	sigset_t before;

	block_signals(&before);
	pthread_mutex_lock(&watches_lock);
	before_fork = before;
	for (struct watch *watch = watches; watch; watch = watch->next)
		find_events(watch, watch->forked);
	errno = saved;
}

static void fork_done(void)
{
	const sigset_t before = before_fork;

	pthread_mutex_unlock(&watches_lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void fork_child(void)
{
	struct watch *next;

	for (struct watch *watch = watches; watch; watch = next) {
		next = watch->next;
		close_fds(watch->forked);
		watch_free(watch);
	}
	watches = NULL;
	fork_done();
}

/* With the program: a fork that has begun already runs no handler that comes meanwhile */
static __attribute__((constructor)) void watches_init(void)
{
	/* If there is no memory for that, children have a few descriptors too many */
	pthread_atfork(fork_prepare, fork_done, fork_child);
}

/* The program's attributes are its own again once mq_notify() returns */

static int copy_affinity(pthread_attr_t *to, const pthread_attr_t *from)
{
	unsigned char all[1024], set[sizeof(all)];
	int ret = pthread_attr_getaffinity_np(from, sizeof(set), (cpu_set_t *)(void *)set);

	memset(all, 0xff, sizeof(all));
	/* All is what is shown when none were chosen */
	if (ret || !memcmp(set, all, sizeof(all)))
		return ret;
	return pthread_attr_setaffinity_np(to, sizeof(set), (cpu_set_t *)(void *)set);
}

static int copy_stack(pthread_attr_t *to, const pthread_attr_t *from)
{
	size_t size = 0, guard;
	void *stack = NULL;
	int ret = pthread_attr_getstack(from, &stack, &size);

	/* When none was chosen its end is at 0 */
	if (!ret && (uintptr_t)stack + size)
		return pthread_attr_setstack(to, stack, size);
	if (!ret)
		ret = pthread_attr_getstacksize(from, &size);
	if (!ret)
		ret = pthread_attr_setstacksize(to, size);
	if (!ret)
		ret = pthread_attr_getguardsize(from, &guard);
	return ret ? ret : pthread_attr_setguardsize(to, guard);
}

static int copy_scheduling(pthread_attr_t *to, const pthread_attr_t *from)
{
	struct sched_param param;
	int inherit, policy, ret;

	ret = pthread_attr_getinheritsched(from, &inherit);
	if (!ret)
		ret = pthread_attr_setinheritsched(to, inherit);
	if (!ret)
		ret = pthread_attr_getschedpolicy(from, &policy);
	if (!ret)
		ret = pthread_attr_setschedpolicy(to, policy);
	if (!ret)
		ret = pthread_attr_getschedparam(from, &param);
	return ret ? ret : pthread_attr_setschedparam(to, &param);
}

/* Return: 0 or a positive errno, as of the functions of pthreads(7) */
static int copy_attributes(pthread_attr_t *to, const pthread_attr_t *from)
{
	int ret = pthread_attr_init(to);

	if (ret)
		return ret;
	if (from) {
		ret = copy_stack(to, from);
		if (!ret)
			ret = copy_scheduling(to, from);
		if (!ret)
			ret = copy_affinity(to, from);
	}
	/* Nobody knows of this thread, to join it */
	if (!ret)
		ret = pthread_attr_setdetachstate(to, PTHREAD_CREATE_DETACHED);
	if (ret)
		pthread_attr_destroy(to);
	return ret;
}

static struct watch *watch_new(const struct sigevent *event, int *error)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	struct call *call = malloc(sizeof(*call));

	*error = watch && call ? -copy_attributes(&watch->attributes,
						  event->sigev_notify_attributes) : -ENOMEM;
	if (*error) {
		free(call);
		free(watch);
		return NULL;
	}
	*call = (struct call){ event->sigev_notify_function, event->sigev_value };
	watch->call = call;
	sem_init(&watch->started, 0, 0);
	return watch;
}

/* The thread that the program has asked for: no signal is blocked there */
static void *run(void *arg)
{
	struct call call = *(struct call *)arg;
	sigset_t all;

	free(arg);
	sigfillset(&all);
	pthread_sigmask(SIG_UNBLOCK, &all, NULL);
	call.function(call.value);
	return NULL;
}

static void *watcher(void *arg)
{
	struct watch *watch = arg;
	struct f_owner_ex mark = { .type = F_OWNER_TID, .pid = gettid() };
	struct pollfd polled[EVENTS];
	pthread_t thread;
	int fds[EVENTS];
	bool notice;

	for (int i = 0; i < EVENTS; i++) {
		fcntl(watch->events[i], F_SETOWN_EX, &mark);
		polled[i] = (struct pollfd){ .fd = watch->events[i], .events = POLLIN };
	}
	watch->watcher = mark.pid;
	sem_post(&watch->started);

	/*
	 * All signals are blocked but those that the C library has for itself. A stop begins it
	 * anew, too; that fails for ever if the program's RLIMIT_NOFILE is less than two by then.
	 */
	while (poll(polled, EVENTS, -1) < 0 && errno == EINTR)
		;

	/* When the program's function runs all is as if there had been no watch */
	pthread_mutex_lock(&watches_lock);
	find_events(watch, fds);
	notice = polled[NOTICE].revents & POLLIN && fds[NOTICE] >= 0;
	close_fds(fds);
	watch_remove(watch);
	pthread_mutex_unlock(&watches_lock);
	if (notice && !pthread_create(&thread, &watch->attributes, run, watch->call))
		watch->call = NULL;
	watch_free(watch);
	return NULL;
}

/* Return: 0 or a positive errno */
static int start_watcher(struct watch *watch)
{
	pthread_attr_t attributes;
	size_t usual = 0;
	pthread_t thread;
	int ret = pthread_attr_init(&attributes);

	if (ret)
		return ret;
	pthread_attr_getstacksize(&attributes, &usual);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN + WATCHER_STACK);
	ret = pthread_create(&thread, &attributes, watcher, watch);
	if (ret == EINVAL) {
		/* Too little for the thread-local variables of this program */
		pthread_attr_setstacksize(&attributes, usual);
		ret = pthread_create(&thread, &attributes, watcher, watch);
	}
	pthread_attr_destroy(&attributes);
	return ret;
}

static int notify_ioctl(mqd_t queue, const struct kipc_op_notify *op)
{
	struct kipc_op_notify copy = *op;

	return posixmq_error(libkipc_ioctl(queue, KIPC_IOC_NOTIFY, &copy));
}

static int watch_start(struct watch *watch, mqd_t queue)
{
	int ret = open_events(watch);

	if (ret)
		return ret;
	ret = notify_ioctl(queue, &(struct kipc_op_notify){
		.how = KIPC_NOTIFY_EVENTFD,
		.flags = KIPC_NOTIFY_TELL_END,
		.value = (uint32_t)watch->events[NOTICE],
		.end = (uint32_t)watch->events[END],
	});
	if (!ret) {
		ret = -start_watcher(watch);
		if (ret)
			notify_ioctl(queue, &(struct kipc_op_notify){ .how = KIPC_NOTIFY_END });
	}
	if (ret) {
		close_fds(watch->events);
		return ret;
	}
	/* Until it has put its mark on them the descriptors cannot be told from others */
	while (sem_wait(&watch->started))
		;
	watch_add(watch);
	return 0;
}

static int notify_thread(mqd_t queue, const struct sigevent *event)
{
	int saved = errno, cancel, ret;
	struct watch *watch;
	sigset_t before;

	watch = watch_new(event, &ret);
	if (!watch)
		return ret;

	/* mq_notify() is no cancellation point. The watcher inherits the mask. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	block_signals(&before);
	pthread_mutex_lock(&watches_lock);
	ret = watch_start(watch, queue);
	pthread_mutex_unlock(&watches_lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_setcancelstate(cancel, NULL);
	if (ret)
		watch_free(watch);
	errno = saved;
	return ret;
}

static int notify_signal(mqd_t queue, const struct sigevent *event)
{
	if (event->sigev_signo < 0 || event->sigev_signo >= _NSIG)
		return -EINVAL;
	return notify_ioctl(queue, &(struct kipc_op_notify){
		.how = KIPC_NOTIFY_SIGNAL,
		.signo = (uint32_t)event->sigev_signo,
		.value = libkipc_pointer(event->sigev_value.sival_ptr),
	});
}

static int notify(mqd_t queue, const struct sigevent *event)
{
	if (!event)
		return notify_ioctl(queue, &(struct kipc_op_notify){ .how = KIPC_NOTIFY_END });
	switch (event->sigev_notify) {
	case SIGEV_NONE:
		return notify_ioctl(queue, &(struct kipc_op_notify){ .how = KIPC_NOTIFY_NONE });
	case SIGEV_SIGNAL:
		return notify_signal(queue, event);
	case SIGEV_THREAD:
		return notify_thread(queue, event);
	default:
		return -EINVAL;
	}
}

typedef int notify_fn(mqd_t queue, const struct sigevent *event);
notify_fn posixmq_notify __asm__("mq_notify") DROPIN_PUBLIC;

int posixmq_notify(mqd_t queue, const struct sigevent *event)
{
	int ret = notify(queue, event);

	if (ret == -ENOTTY)
		return POSIXMQ_NEXT(notify_fn, "mq_notify")(queue, event);
	return dropin_return(ret);
}
