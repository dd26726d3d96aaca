/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kselftest harness, with more time for each test than its own 30 s. The limit is for
 * what hangs. On the kernels of the debug tier, emulated by a busy machine, what takes two
 * seconds elsewhere may take a minute.
 */
#ifndef KIPC_SELFTESTS_HARNESS_H
#define KIPC_SELFTESTS_HARNESS_H

#include "kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 180

#endif /* KIPC_SELFTESTS_HARNESS_H */
