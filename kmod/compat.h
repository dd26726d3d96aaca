/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: the only place that knows kernel versions
 *
 * Everything here is written for the oldest kernel supported, 6.1; newer ones
 * are adapted here and nowhere else.
 */
#ifndef _KIPC_COMPAT_H
#define _KIPC_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "kipc needs Linux 6.1 or newer"
#endif

#endif /* _KIPC_COMPAT_H */
