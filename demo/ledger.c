// SPDX-License-Identifier: GPL-2.0-or-later
/* The ledger in shared memory: see ledger.h. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger.h"
#include "util.h"

const char *const client_names[CLIENTS] = {
	[CLIENT_SEQUENTIAL] = "sequential",
	[CLIENT_PARALLEL] = "parallel",
	[CLIENT_DEADLINE] = "deadlines",
	[CLIENT_KILLED] = "mortal",
};

const char *const outcome_names[OUTCOMES] = {
	[OUTCOME_ANSWERED] = "answered",
	[OUTCOME_REFUSED] = "refused",
	[OUTCOME_EXPIRED] = "expired",
	[OUTCOME_CANCELLED] = "cancelled",
	[OUTCOME_RESET] = "reset",
	[OUTCOME_LOST] = "lost",
	[OUTCOME_WRONG] = "wrong",
	[OUTCOME_FAILED] = "failed",
};

struct ledger *ledger_map(int fd)
{
	struct ledger *ledger;

	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger == MAP_FAILED)
		die(-errno, "ledger");
	return ledger;
}

struct ledger *ledger_create(int *fd)
{
	*fd = memfd_create("demo-ledger", 0);
	if (*fd < 0 || ftruncate(*fd, sizeof(struct ledger)))
		die(-errno, "ledger");
	return ledger_map(*fd);
}

unsigned int ledger_ended(const struct client_account *account)
{
	unsigned int ended = 0;

	for (int i = 0; i < OUTCOMES; i++)
		ended += account->outcomes[i];
	return ended;
}

bool ledger_half_done(const struct client_account *account)
{
	return account->settled >= account->planned / 2;
}
