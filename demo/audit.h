/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * At the end: prints the ledger as tables and holds its sides against each
 * other.
 */
#ifndef DEMO_AUDIT_H
#define DEMO_AUDIT_H

#include "ledger.h"

/* Returns how much is wrong. Sorts the samples. */
unsigned int audit(struct ledger *all);

#endif /* DEMO_AUDIT_H */
