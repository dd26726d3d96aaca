// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who has looked up what: a record for each badge.
 *
 * A badge is the uid of who looked the name up, in its upper half, and a number that is
 * never 0. A group of users has a ring of records, in which the number says the place, so
 * that no index is needed and the newest of a group are known. Which users share a group
 * is random: nobody can choose whose records are forgotten for his, but those of few.
 */
#include "named.h"

static unsigned int group_of(uint32_t uid)
{
	return (unsigned int)(((uid ^ state->key) * 0x9e3779b97f4a7c15ULL) >> 32) % CLIENT_GROUPS;
}

uint64_t clients_add(const struct registration *registration, const struct kipc_result *who)
{
	unsigned int group = group_of(who->uid);
	struct client *client;
	uint32_t number = ++state->badges[group];

	if (!number)
		number = ++state->badges[group];
	client = &state->clients[group][number % GROUP_CLIENTS];
	*client = (struct client){
		.badge = (uint64_t)who->uid << 32 | number,
		.uid = who->uid,
		.gid = who->gid,
		.pid = who->pid,
		.owner = registration->uid,
		.registration = registration->registration,
	};
	return client->badge;
}

const struct client *clients_find(uint64_t badge)
{
	const struct client *client = &state->clients[group_of((uint32_t)(badge >> 32))]
						     [(uint32_t)badge % GROUP_CLIENTS];

	return client->registration && client->badge == badge ? client : NULL;
}
