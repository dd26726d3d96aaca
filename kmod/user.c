// SPDX-License-Identifier: GPL-2.0-only
/* See user.h. */
#include <linux/capability.h>
#include <linux/hashtable.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/user_namespace.h>

#include "limits.h"
#include "user.h"

/**
 * struct kipc_user - what one uid is charged
 * @node: link in kipc_users, protected by kipc_users_lock
 * @ref: accounts that name it, protected by kipc_users_lock
 * @uid: whose
 * @charged: amounts, by enum kipc_charge
 */
struct kipc_user {
	struct hlist_node node;
	unsigned long ref;
	kuid_t uid;
	atomic64_t charged[KIPC_CHARGES];
};

static DEFINE_HASHTABLE(kipc_users, 7);
static DEFINE_SPINLOCK(kipc_users_lock);

static u64 kipc_charge_limit(enum kipc_charge what)
{
	switch (what) {
	case KIPC_CHARGE_ENDPOINTS:
		return READ_ONCE(kipc_user_endpoints_max);
	case KIPC_CHARGE_CAPACITY:
		return READ_ONCE(kipc_user_capacity_max);
	case KIPC_CHARGE_CALLS:
		return READ_ONCE(kipc_user_calls_max);
	case KIPC_CHARGE_REPLY_ROOM:
		return READ_ONCE(kipc_user_reply_room_max);
	case KIPC_CHARGE_FILES:
		return READ_ONCE(kipc_user_files_max);
	case KIPC_CHARGES:
		break;
	}
	return 0;
}

static struct kipc_user *kipc_user_find(kuid_t uid)
{
	struct kipc_user *user;

	lockdep_assert_held(&kipc_users_lock);
	hash_for_each_possible(kipc_users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

static struct kipc_user *kipc_user_get(kuid_t uid)
{
	struct kipc_user *user, *fresh = NULL;

	for (;;) {
		spin_lock(&kipc_users_lock);
		user = kipc_user_find(uid);
		if (!user && fresh) {
			user = fresh;
			fresh = NULL;
			hash_add(kipc_users, &user->node, __kuid_val(uid));
		}
		if (user)
			user->ref++;
		spin_unlock(&kipc_users_lock);
		if (user)
			break;
		fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
		if (!fresh)
			return NULL;
		fresh->uid = uid;
	}
	kfree(fresh);
	return user;
}

static void kipc_user_put(struct kipc_user *user)
{
	int what;

	spin_lock(&kipc_users_lock);
	if (--user->ref) {
		spin_unlock(&kipc_users_lock);
		return;
	}
	hash_del(&user->node);
	spin_unlock(&kipc_users_lock);
	for (what = 0; what < KIPC_CHARGES; what++)
		WARN_ON_ONCE(atomic64_read(&user->charged[what]));
	kfree(user);
}

static bool kipc_account_names(const struct kipc_account *account, kuid_t uid)
{
	unsigned int i;

	for (i = 0; i < account->nr; i++)
		if (uid_eq(account->users[i]->uid, uid))
			return true;
	return false;
}

static int kipc_account_add(struct kipc_account *account, kuid_t uid)
{
	struct kipc_user *user;

	if (kipc_account_names(account, uid))
		return 0;
	user = kipc_user_get(uid);
	if (!user)
		return -ENOMEM;
	account->users[account->nr++] = user;
	return 0;
}

noinline struct kipc_account *kipc_account_current(void)
{
	struct user_namespace *leaf = current_user_ns(), *ns;
	struct kipc_account *account;
	unsigned int levels = 1;
	int err;

	for (ns = leaf; ns->parent; ns = ns->parent)
		levels++;
	account = kzalloc(struct_size(account, users, levels), GFP_KERNEL_ACCOUNT);
	if (!account)
		return ERR_PTR(-ENOMEM);
	refcount_set(&account->ref, 1);
	account->uid = current_euid();
	account->user_ns = get_user_ns(leaf);
	err = kipc_account_add(account, account->uid);
	for (ns = leaf; !err && ns->parent; ns = ns->parent)
		err = kipc_account_add(account, ns->owner);
	if (err) {
		kipc_account_put(account);
		return ERR_PTR(err);
	}
	return account;
}

bool kipc_account_is_current(const struct kipc_account *account)
{
	return uid_eq(account->uid, current_euid()) && account->user_ns == current_user_ns();
}

struct kipc_account *kipc_account_current_cached(struct kipc_account *cached)
{
	if (kipc_account_is_current(cached))
		return kipc_account_get(cached);
	return kipc_account_current();
}

struct kipc_account *kipc_account_get(struct kipc_account *account)
{
	refcount_inc(&account->ref);
	return account;
}

noinline void kipc_account_put(struct kipc_account *account)
{
	unsigned int i;

	if (!account || !refcount_dec_and_test(&account->ref))
		return;
	for (i = 0; i < account->nr; i++)
		kipc_user_put(account->users[i]);
	put_user_ns(account->user_ns);
	kfree(account);
}

static void kipc_uncharge_first(struct kipc_account *account, unsigned int nr,
				enum kipc_charge what, u64 amount)
{
	while (nr--)
		WARN_ON_ONCE(atomic64_sub_return(amount, &account->users[nr]->charged[what]) < 0);
}

static bool kipc_charge_over(const struct kipc_user *user, u64 sum, u64 limit)
{
	return sum > limit && !uid_eq(user->uid, GLOBAL_ROOT_UID);
}

/* Look and add in one step: a charge that is refused here was never added */
static bool kipc_user_try(struct kipc_user *user, enum kipc_charge what, u64 amount, u64 limit)
{
	s64 charged = atomic64_read(&user->charged[what]);

	do {
		if (kipc_charge_over(user, charged + amount, limit))
			return false;
	} while (!atomic64_try_cmpxchg(&user->charged[what], &charged, charged + amount));
	return true;
}

static bool kipc_account_within(struct kipc_account *account, enum kipc_charge what, u64 amount,
				u64 limit)
{
	unsigned int i;

	for (i = 0; i < account->nr; i++) {
		if (!kipc_user_try(account->users[i], what, amount, limit)) {
			kipc_uncharge_first(account, i, what, amount);
			return false;
		}
	}
	return true;
}

bool kipc_account_try(struct kipc_account *account, enum kipc_charge what, u64 amount)
{
	u64 limit = kipc_charge_limit(what);

	return kipc_account_within(account, what, amount, limit - limit / 4);
}

int kipc_account_charge(struct kipc_account *account, enum kipc_charge what, u64 amount)
{
	if (kipc_account_within(account, what, amount, kipc_charge_limit(what)))
		return 0;
	if (!capable(CAP_SYS_RESOURCE))
		return -EDQUOT;
	kipc_account_force(account, what, amount);
	return 0;
}

void kipc_account_force(struct kipc_account *account, enum kipc_charge what, u64 amount)
{
	unsigned int i;

	for (i = 0; i < account->nr; i++)
		atomic64_add(amount, &account->users[i]->charged[what]);
}

u64 kipc_account_left(const struct kipc_account *account, enum kipc_charge what)
{
	u64 limit = kipc_charge_limit(what), left = U64_MAX;
	unsigned int i;

	for (i = 0; i < account->nr; i++) {
		const struct kipc_user *user = account->users[i];
		u64 charged = atomic64_read(&user->charged[what]);

		if (!uid_eq(user->uid, GLOBAL_ROOT_UID))
			left = min(left, limit > charged ? limit - charged : 0);
	}
	/* To be told is no use of it */
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE) ? U64_MAX : left;
}

int kipc_account_check(struct kipc_account *account, enum kipc_charge what)
{
	u64 limit = kipc_charge_limit(what);
	unsigned int i;

	for (i = 0; i < account->nr; i++) {
		struct kipc_user *user = account->users[i];

		if (kipc_charge_over(user, atomic64_read(&user->charged[what]), limit))
			return capable(CAP_SYS_RESOURCE) ? 0 : -EDQUOT;
	}
	return 0;
}

void kipc_account_uncharge(struct kipc_account *account, enum kipc_charge what, u64 amount)
{
	kipc_uncharge_first(account, account->nr, what, amount);
}
