#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Queues of System V, the kernel's own and kipc's
. ./dropin.sh
dropin sysv dropin_sysv
