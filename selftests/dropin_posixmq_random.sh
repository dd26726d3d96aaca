#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sequences of calls by chance have the same results on the kernel's own queues and on kipc's
. ./dropin.sh
dropin posixmq dropin_posixmq_random
