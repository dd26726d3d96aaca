/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: users and accounts
 *
 * A *user* is what one kernel uid is charged in all namespaces together. It
 * exists while anything is charged or an account refers to it; a counter that
 * is not zero at its end is a bug and warned about.
 *
 * An *account* is who pays when a process is charged: its effective uid and,
 * because user namespaces hand out uids freely, the owner of its user namespace
 * and of each ancestor. A charge is taken from all of them or from none. The
 * owner uid 0 of the initial namespace is counted but never refused.
 *
 * Accounts are immutable and reference counted. Charges are atomic; nothing
 * here is touched on the message path of synchronous operations.
 */
#ifndef _KIPC_USER_H
#define _KIPC_USER_H

#include <linux/cred.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/uidgid.h>

enum kipc_charge {
	KIPC_CHARGE_ENDPOINTS,
	KIPC_CHARGE_CAPACITY,
	KIPC_CHARGE_CALLS,
	KIPC_CHARGE_REPLY_ROOM,
	KIPC_CHARGE_FILES,
	KIPC_CHARGES
};

struct kipc_user;

/**
 * struct kipc_account - who pays for one uid in one user namespace
 * @ref: holders
 * @uid: the uid it was made for
 * @user_ns: the namespace it was made for; held, so that its address stays its own
 * @nr: entries in @users
 * @users: distinct payers, the uid itself first
 */
struct kipc_account {
	refcount_t ref;
	kuid_t uid;
	struct user_namespace *user_ns;
	unsigned int nr;
	struct kipc_user *users[];
};

/* The account of the calling process, or ERR_PTR(-ENOMEM). May sleep. */
struct kipc_account *kipc_account_current(void);
/* Is it the calling process's? */
bool kipc_account_is_current(const struct kipc_account *account);
/* The same, but @cached with one more reference if that is it */
struct kipc_account *kipc_account_current_cached(struct kipc_account *cached);
struct kipc_account *kipc_account_get(struct kipc_account *account);
void kipc_account_put(struct kipc_account *account);

/*
 * Charge @amount, or -EDQUOT if a payer would exceed the limit and the calling
 * process has no CAP_SYS_RESOURCE in the initial user namespace.
 */
int kipc_account_charge(struct kipc_account *account, enum kipc_charge what, u64 amount);
/*
 * Charge it if a quarter of each payer's limit stays free, for what payers choose themselves: the
 * calling process need not be one of them, and what it may does not matter.
 */
bool kipc_account_try(struct kipc_account *account, enum kipc_charge what, u64 amount);
/* Charge what cannot be refused any more */
void kipc_account_force(struct kipc_account *account, enum kipc_charge what, u64 amount);
void kipc_account_uncharge(struct kipc_account *account, enum kipc_charge what, u64 amount);
/* What would be charged now; U64_MAX: any amount */
u64 kipc_account_left(const struct kipc_account *account, enum kipc_charge what);
/* -EDQUOT if a payer is above the limit already (only force does that), likewise */
int kipc_account_check(struct kipc_account *account, enum kipc_charge what);

#endif /* _KIPC_USER_H */
