#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# POSIX message queues as files, the kernel's own and kipc's
. ./dropin.sh
dropin posixmq dropin_posixmq_file
