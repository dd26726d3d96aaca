// SPDX-License-Identifier: GPL-2.0-or-later
/* The demo's sums: see audit.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>

#include <kipc.h>

#include "audit.h"
#include "util.h"

static const struct ledger *ledger;
static unsigned int faults;

static void __attribute__((format(printf, 2, 3)))
expect_that(bool good, const char *format, ...)
{
	va_list arguments;

	if (good)
		return;
	faults++;
	va_start(arguments, format);
	printf("WRONG: ");
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
}

static int compare_samples(const void *a, const void *b)
{
	uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;

	return first < second ? -1 : first > second;
}

static void show_times(struct ledger *all)
{
	struct timespec step;

	printf("\n%-11s %8s %8s %8s %8s\n", "round trips", "p50 us", "p90", "p99", "max");
	for (int i = 0; i < CLIENTS; i++) {
		uint32_t *samples = all->clients[i].samples;
		unsigned int count = all->clients[i].nr_samples;

		if (count > SAMPLES_MAX)
			count = SAMPLES_MAX;
		if (!count)
			continue;
		qsort(samples, count, sizeof(*samples), compare_samples);
		printf("%-11s %8u %8u %8u %8u\n", client_names[i],
		       samples[count / 2], samples[count * 9 / 10],
		       samples[count * 99 / 100], samples[count - 1]);
	}
	printf("Of answered calls, waiting in the queue included. No benchmark: an emulated\n"
	       "machine's time is not a real one's.\n");
	clock_getres(CLOCK_MONOTONIC, &step);
	if (step.tv_nsec > 1000)
		printf("This machine's timers go in steps of %ld us.\n", step.tv_nsec / 1000);
}

static void show_calls(void)
{
	unsigned int sum[OUTCOMES] = { 0 }, calls = 0;

	printf("\n%-11s %5s %6s", "client", "uid", "calls");
	for (int i = 0; i < OUTCOMES; i++)
		printf(" %9s", outcome_names[i]);
	putchar('\n');
	for (int i = 0; i < CLIENTS; i++) {
		const struct client_account *account = &ledger->clients[i];

		calls += account->started;
		printf("%-11s %5u %6u", client_names[i], account->uid, account->started);
		for (int j = 0; j < OUTCOMES; j++) {
			sum[j] += account->outcomes[j];
			printf(" %9u", account->outcomes[j]);
		}
		putchar('\n');
	}
	printf("%-11s %5s %6u", "all", "", calls);
	for (int i = 0; i < OUTCOMES; i++)
		printf(" %9u", sum[i]);
	printf("\nreset: the server died with it; lost: the caller did; both were asked again.\n");
}

static void check_calls(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		const struct client_account *account = &ledger->clients[i];
		const atomic_uint *outcomes = account->outcomes;

		expect_that(account->started == ledger_ended(account),
			    "%s: %u calls, but %u outcomes", client_names[i],
			    account->started, ledger_ended(account));
		expect_that(account->settled == account->planned, "%s: %u of %u questions settled",
			    client_names[i], account->settled, account->planned);
		expect_that(!outcomes[OUTCOME_WRONG], "%s: %u wrong answers",
			    client_names[i], outcomes[OUTCOME_WRONG]);
		expect_that(!outcomes[OUTCOME_FAILED], "%s: %u failed calls",
			    client_names[i], outcomes[OUTCOME_FAILED]);
		expect_that(outcomes[OUTCOME_LOST] == (i == CLIENT_KILLED),
			    "%s: %u calls lost", client_names[i], outcomes[OUTCOME_LOST]);
	}
	expect_that(ledger->clients[CLIENT_DEADLINE].outcomes[OUTCOME_EXPIRED],
		    "no call expired");
}

static unsigned int sum_of(enum outcome outcome)
{
	unsigned int sum = 0;

	for (int i = 0; i < CLIENTS; i++)
		sum += ledger->clients[i].outcomes[outcome];
	return sum;
}

/* The two sides must tell the same story. */
static void check_server(void)
{
	const struct server_account *first = &ledger->servers[0];
	const struct server_account *second = &ledger->servers[1];
	unsigned int plain = ledger->held_plain, idempotent = ledger->held_idempotent;
	unsigned int fickle = ledger->held_fickle;
	unsigned int held = plain + idempotent + fickle + ledger->held_given_up;
	unsigned int replied = first->replied + second->replied;
	unsigned int unwanted = first->unwanted + second->unwanted;
	unsigned int got = sum_of(OUTCOME_ANSWERED) + sum_of(OUTCOME_REFUSED) +
			   sum_of(OUTCOME_WRONG);
	/* What a caller gave up may have been answered a moment before. */
	unsigned int given_up = sum_of(OUTCOME_CANCELLED) + sum_of(OUTCOME_LOST);

	printf("\n%-11s %6s %11s %8s %9s\n", "server", "taken", "redelivered", "replied",
	       "unwanted");
	for (int i = 0; i < SERVERS; i++)
		printf("%-11s %6u %11u %8u %9u\n", i ? "restarted" : "killed",
		       ledger->servers[i].taken, ledger->servers[i].redelivered,
		       ledger->servers[i].replied, ledger->servers[i].unwanted);

	expect_that(first->taken == first->replied + held,
		    "the first server took %u calls, replied to %u and held %u",
		    first->taken, first->replied, held);
	expect_that(second->taken == second->replied,
		    "the second server took %u calls and replied to %u",
		    second->taken, second->replied);
	/* What a fickle caller gave up at the last moment is neither. */
	expect_that(sum_of(OUTCOME_RESET) >= plain && sum_of(OUTCOME_RESET) <= plain + fickle,
		    "the server died with %u calls that cannot be repeated, but %u were reset",
		    plain, sum_of(OUTCOME_RESET));
	expect_that(second->redelivered >= idempotent &&
		    second->redelivered <= idempotent + fickle,
		    "the server died with %u idempotent calls, but %u were redelivered",
		    idempotent, second->redelivered);
	/* The first server may have died before it noticed who had gone. */
	expect_that(replied - unwanted >= got &&
		    replied - unwanted <= got + given_up + WORKERS,
		    "%u replies for callers, but these got %u and gave up %u",
		    replied - unwanted, got, given_up);
}

static void check_log(void)
{
	static const char *const names[LOG_LEVELS] = {
		[LOG_ERROR] = "error", [LOG_WARNING] = "warning",
		[LOG_NOTICE] = "notice", [LOG_DEBUG] = "debug",
	};

	printf("\n%-11s %6s %9s\n", "log", "sent", "received");
	for (int level = LOG_ERROR; level < LOG_LEVELS; level++) {
		unsigned int sent = 0, received = 0;

		for (unsigned int i = 0; i < ledger->nr_sources; i++) {
			const struct log_source *source = &ledger->sources[i];

			sent += source->sent[level];
			received += source->received[level];
			/* One that was killed may have died in a send. */
			expect_that(source->received[level] >= source->sent[level] &&
				    source->received[level] <= source->begun[level],
				    "%s sent %u (of %u begun) log messages of level %s, received were %u",
				    source->name, source->sent[level], source->begun[level],
				    names[level], source->received[level]);
		}
		printf("%-11s %6u %9u\n", names[level], sent, received);
	}
	expect_that(!ledger->log_faults, "%u log messages wrong, doubled or out of order",
		    ledger->log_faults);
}

static void check_gone(void)
{
	int fd = kipc_open(INDEX_ADDRESS, KIPC_RIGHT_SEND, 0);

	expect_that(fd == -ENOENT, "%s is still there", INDEX_ADDRESS);
	fd = kipc_open(LOG_ADDRESS, KIPC_RIGHT_SEND, 0);
	expect_that(fd == -ENOENT, "%s is still there", LOG_ADDRESS);
}

unsigned int audit(struct ledger *all)
{
	ledger = all;
	show_calls();
	show_times(all);
	check_calls();
	check_server();
	check_log();
	check_gone();
	return faults;
}
