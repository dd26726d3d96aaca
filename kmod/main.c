// SPDX-License-Identifier: GPL-2.0-only
/* The module: brings its parts up in order, and down in reverse. */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "call.h"
#include "endpoint.h"
#include "file.h"
#include "limits.h"
#include "pool.h"
#include "ns.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Packages open it to others by a udev rule */
static struct miscdevice kipc_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kipc",
	.fops = &kipc_device_fops,
	.mode = 0600,
};

struct kipc_part {
	int (*init)(void);
	void (*exit)(void);
};

static int kipc_device_init(void)
{
	return misc_register(&kipc_device);
}

static void kipc_device_exit(void)
{
	misc_deregister(&kipc_device);
}

/* The device is last: with it users come in */
static const struct kipc_part kipc_parts[] = {
	{ kipc_pool_init, kipc_pool_exit },
	{ kipc_endpoint_init, kipc_endpoint_exit },
	{ kipc_file_init, kipc_file_exit },
	{ kipc_call_init, kipc_call_exit },
	{ kipc_ns_init, kipc_ns_exit },
	{ kipc_device_init, kipc_device_exit },
};

static void kipc_parts_exit(int i)
{
	while (i--)
		kipc_parts[i].exit();
}

static int __init kipc_init(void)
{
	int i, err;

	kipc_limits_init();
	for (i = 0; i < ARRAY_SIZE(kipc_parts); i++) {
		err = kipc_parts[i].init();
		if (err) {
			kipc_parts_exit(i);
			return err;
		}
	}
	return 0;
}

static void __exit kipc_exit(void)
{
	kipc_parts_exit(ARRAY_SIZE(kipc_parts));
}

module_init(kipc_init);
module_exit(kipc_exit);

MODULE_DESCRIPTION("Message passing between processes");
MODULE_AUTHOR("the kipc maintainers");
MODULE_LICENSE("GPL");
/* From the file VERSION, by Kbuild */
MODULE_VERSION(KIPC_VERSION);
