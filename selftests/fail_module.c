// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Failures while the module starts in a network namespace, and while it is loaded. What
 * failed has left nothing behind, and the next try succeeds. No other program of
 * the suite runs meanwhile, and at the end of each test the module is loaded.
 */
#include <glob.h>
#include <sys/syscall.h>

#include "fail.h"
#include "harness.h"

#define MODULE "/lib/modules/kipc.ko"

static int kmsg = -1;
static char stacks[1 << 16];

/*
 * Only the kernel knows which function a failure met: it can say so in its log, but on
 * the console a stack would look like a bug. Left so; fail_setup() undoes it.
 */
static void show_stacks(void)
{
	/* It logs at level 4 */
	kt_write_file("/proc/sys/kernel/printk", "4");
	for (unsigned int i = 0; i < FAIL_FACILITIES; i++) {
		fail_set(fail_facilities[i].name, "verbose", "2");
		fail_set(fail_facilities[i].name, "verbose_ratelimit_interval_ms", "0");
	}
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	kt_need(kmsg >= 0);
}

static void forget_stacks(void)
{
	kt_need(lseek(kmsg, 0, SEEK_END) == 0);
}

/* Whether @function called what failed, by what read_stacks() has found */
static bool stack_has(const char *function)
{
	char line[64];

	/* One behind a question mark happens to be on the stack */
	snprintf(line, sizeof(line), "; %s+0x", function);
	return strstr(stacks, line);
}

static void read_stacks(void)
{
	size_t len = 0;
	ssize_t n;

	/* A record with each read */
	while ((n = read(kmsg, stacks + len, sizeof(stacks) - 1 - len)) > 0)
		len += (size_t)n;
	stacks[len] = 0;
}

static bool works(void)
{
	int dev = open("/dev/kipc", O_RDWR | O_CLOEXEC), fd;
	struct kipc_endpoint info;
	char text[1024], buf[8];
	long ret;

	if (dev < 0)
		return false;
	fd = kt_private(dev, 0, NULL);
	info = kt_stat(fd);
	ret = kt_send(fd, 0, 1, 0, "x", 1);
	if (!ret)
		ret = kt_recv(fd, 0, 0, 0, buf, sizeof(buf), NULL);
	close(fd);
	close(dev);
	return ret == 1 && info.handles == 1 &&
	       kt_read_file("/proc/net/kipc", text, sizeof(text)) > 0;
}

/* ---- namespaces ---- */

/*
 * Our points are in the middle of hundreds, of which each costs a tenth of a second.
 * These are ours and their neighbours; if another kernel has them elsewhere, the
 * last checks say so.
 */
#define NS_FIRST 175
#define NS_LAST 225

FIXTURE(namespace) {
	char printk[64];
};

FIXTURE_SETUP(namespace)
{
	fail_setup();
	ASSERT_GT(kt_read_file("/proc/sys/kernel/printk", self->printk, sizeof(self->printk)), 0);
	show_stacks();
}

FIXTURE_TEARDOWN(namespace)
{
	kt_write_file("/proc/sys/kernel/printk", self->printk);
}

TEST_F(namespace, made)
{
	unsigned int table = 0, proc = 0, first = 0, last = 0;
	struct sweep s = SWEEP;
	long ret;

	for (s.nth = NS_FIRST; sweep_round(&s);) {
		forget_stacks();
		ret = FAILING(&s, fail_errno(unshare(CLONE_NEWNET)));
		read_stacks();
		if (ret && stack_has("kipc_net_init"))
			ASSERT_TRUE(sweep_failed(&s, ret));
		if (stack_has("kipc_net_init")) {
			/* The kernel goes on to a smaller table */
			table += stack_has("rhashtable_init");
			proc += stack_has("kipc_proc_init");
			first = first ? first : s.nth;
			last = s.nth;
		}
		/* In the one before, or in the new one */
		ASSERT_TRUE(works());
		if (s.nth == NS_LAST)
			sweep_last(&s);
	}
	kt_complain("ours are the points %u to %u", first, last);
	EXPECT_GT(first, NS_FIRST);
	EXPECT_LT(last, NS_LAST);
	EXPECT_GE(table, 1);
	EXPECT_GE(proc, 1);
	/* Ours, and its file in /proc */
	EXPECT_TRUE(sweep_covered(&s, 2, 0));
}

/* ---- loading ---- */

static long load(void)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	long ret;

	kt_need(fd >= 0);
	ret = fail_errno(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
	return ret;
}

static long unload(void)
{
	return fail_errno(syscall(SYS_delete_module, "kipc", O_NONBLOCK));
}

static bool nothing_left(void)
{
	static const char *const paths[] = {
		"/dev/kipc", "/sys/module/kipc", "/proc/net/kipc", "/sys/class/misc/kipc",
		"/sys/kernel/slab/kipc_*", "/sys/kernel/tracing/events/kipc",
	};
	bool nothing = true;
	glob_t found;

	for (unsigned int i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (glob(paths[i], 0, NULL, &found))
			continue;
		kt_complain("left: %s", found.gl_pathv[0]);
		globfree(&found);
		nothing = false;
	}
	return nothing;
}

FIXTURE(loading) {
	char printk[64];
};

FIXTURE_SETUP(loading)
{
	fail_setup();
	ASSERT_GT(kt_read_file("/proc/sys/kernel/printk", self->printk, sizeof(self->printk)), 0);
	show_stacks();
	ASSERT_TRUE(kt_until(unload() == 0));
}

FIXTURE_TEARDOWN(loading)
{
	if (access("/dev/kipc", F_OK))
		EXPECT_EQ(0, load());
	kt_write_file("/proc/sys/kernel/printk", self->printk);
	EXPECT_TRUE(works());
}

/*
 * The points from @from to @to, counted from the end. The first thousand are not ours:
 * the kernel's loader, and the slab caches, of which this kernel leaks the name when it
 * cannot show one in sysfs. How many points there are differs by a few from load to
 * load. @function is to be met in between.
 */
static void sweep_load(struct __test_metadata *_metadata, unsigned int from, unsigned int to,
		       const char *function)
{
	struct sweep all = { .name = "count", .nth = 1000000 }, s = SWEEP;
	unsigned int met = 0;
	long ret;

	ASSERT_TRUE(nothing_left());
	ASSERT_EQ(0, FAILING(&all, load()));
	ASSERT_TRUE(works());
	ASSERT_EQ(0, unload());
	for (s.nth = all.points - from; sweep_round(&s);) {
		forget_stacks();
		ret = FAILING(&s, load());
		read_stacks();
		if (stack_has("kmem_cache_create_usercopy"))
			kt_complain("point %u of %u is one of a slab cache", s.nth, all.points);
		ASSERT_FALSE(stack_has("kmem_cache_create_usercopy"));
		if (ret) {
			ASSERT_TRUE(sweep_failed(&s, ret));
			ASSERT_TRUE(stack_has("kipc_init"));
			met += stack_has(function);
		} else {
			ASSERT_TRUE(works());
			ASSERT_TRUE(kt_until(unload() == 0));
		}
		ASSERT_TRUE(nothing_left());
		if (s.nth == all.points - to)
			sweep_last(&s);
	}
	EXPECT_TRUE(sweep_covered(&s, 3, 0));
	EXPECT_GE(met, 1);
}

TEST_F(loading, workqueue)
{
	sweep_load(_metadata, 54, 40, "kipc_call_init");
}

TEST_F(loading, namespaces)
{
	sweep_load(_metadata, 41, 30, "kipc_net_init");
}

TEST_F(loading, device)
{
	sweep_load(_metadata, 31, 16, "kipc_device_init");
}

TEST_F(loading, device_in_sysfs)
{
	sweep_load(_metadata, 17, 2, "misc_register");
}

TEST_HARNESS_MAIN
