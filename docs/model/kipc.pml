/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How messages go from hand to hand in kipc: kmod/queue.c, call.c and transfer.c,
 * with the sleeping and waking of after.c and deadline.c, for two clients, two
 * servers and one who removes the endpoint.
 *
 * An inline kipc_*() does what the function of the module with that name does.
 * An atomic sequence from kipc_lock() to kipc_unlock() is a critical section of
 * ep->lock. Inside it others run only where outcome_stored() lets them: after the
 * stores that are read without the lock.
 *
 * transition(m, FROM, TO) stands where a message's state changes; the comment
 * behind it, "event: function", is a row of the table in kmod/call.h. An assertion
 * has the property that it checks in the comment behind it. README.md says what is
 * left out; scripts/check-model holds model, table and code together.
 */

/* What a configuration sets with -D: scripts/model has the configurations */

#ifndef SLOTS
#define SLOTS		2	/* messages that can exist at once; 0 is client 0's */
#endif
#ifndef MAX_MSGS
#define MAX_MSGS	1	/* capacity of the endpoint */
#endif
#ifndef BATCH
#define BATCH		2	/* KIPC_BATCH */
#endif
#ifndef LINGER_MAX
#define LINGER_MAX	1	/* KIPC_LINGER_MAX */
#endif
#ifndef REDELIVER_MAX
#define REDELIVER_MAX	1	/* KIPC_REDELIVER_MAX */
#endif
#ifndef SENDS
#define SENDS		1	/* messages that client 1 sends, one after the other */
#endif
#ifndef PRIO0
#define PRIO0		0	/* 1: client 0's go before client 1's */
#endif
/* Whom an event may meet, a bit for each task; each event comes at most once */
#ifndef SIGNALS
#define SIGNALS		0
#endif
#ifndef KILLS
#define KILLS		0
#endif
#ifndef TIMERS
#define TIMERS		0	/* whose deadline may pass */
#endif
#ifndef FAULTS
#define FAULTS		0	/* how often user memory may be missing */
#endif

#ifdef CALLS		/* client 1 calls too; else it sends */
#define CLIENT1		caller
#define is_call(m)	true
#else
#define CLIENT1		sender
#define is_call(m)	((m) == 0)
#endif
#ifdef IDEMPOTENT
#define idempotent	true
#else
#define idempotent	false
#endif
#ifdef ASYNC		/* client 0 starts its call, and collects it then */
#define is_async(m)	((m) == 0)
#else
#define is_async(m)	false
#endif
#ifdef SYNC		/* client 1 waits for the receipt */
#define is_sync(m)	(!is_call(m))
#else
#define is_sync(m)	false
#endif
#ifdef RENDEZVOUS
#define rendezvous	true
#else
#define rendezvous	false
#endif
#ifdef SHARED_FILE	/* one server is a fork of the other */
#define file_of(s)	0
#define FILES		1
#else
#define file_of(s)	(s)
#define FILES		2
#endif

/* Who sent a message, and whose share of the queue pays for it */
#define sender_of(m)	((m) == 0 -> 0 : 1)
#ifdef ONE_USER
#define share_of(m)	0
#else
#define share_of(m)	sender_of(m)
#endif

#define NO_MSG		SLOTS
#define NO_RECEIVER	2
#define FOREVER		255	/* of places: U64_MAX */

/* Tasks: the clients, the servers, and those who never sleep in kipc */
#define CLIENT(c)	(c)
#define SERVER(s)	((s) + 2)
#define REMOVER		4
#define WORKER		5
#define CANCELLER	6
#define SETTER		7
#define CLOSER		7	/* not in one model with the setter */
#define SLEEPERS	4
#define bit_of(task)	(1 << (task))
#define FILE_BIT	bit_of(SLEEPERS)	/* in the notes: client 0's file */

/* enum kipc_msg_state; 0: there is no message in this slot */
mtype = { NEW, BLOCKED, QUEUED, CLAIMED, DELIVERED, REPLIED, BROKEN, CANCELLED };
#define FREE		0

/* What became of a call whose wait was interrupted */
#define DONE		1
#define OUTLIVES	2
#define WITHDRAWN	3

/* Errors; 0: none */
mtype = { EINTR, ETIMEDOUT, EIDRM, ECANCELED, ECONNRESET, EACCES, EAGAIN, EFAULT, ENOENT, EBUSY };

/* struct kipc_msg and struct kipc_call */
typedef message {
	mtype state;
	mtype error;
	byte place;
	byte token;		/* of the delivery */
	unsigned ref : 3;
	unsigned deliveries : 2;
	unsigned taker : 2;	/* the server that took it, + 1 */
	bool charged;
	bool abort;
	bool waiting;
	bool waiter;		/* the sender is to be woken */
	bool done;
	bool share;		/* held */
	bool queued;		/* in the queue's trees */
	bool blocked;		/* in its share's tree of blocked messages */
	bool claims;		/* in ep->claims */
	bool delivery;		/* in ep->deliveries */
	bool lingering;		/* in ep->lingering */
	bool reply;
	bool outlives;		/* call->file is set */
	bool listed;		/* in file->calls */
	bool busy;
	bool cancelled;
	bool ended;
	bool finished;		/* in file->finished */
	mtype seen;		/* what the last transition() made of it */
};

/* struct kipc_receiver, on its server's stack */
typedef receiver {
	bool live;		/* the stack frame exists */
	bool waiting;
	byte place;
	byte msg;		/* handed over, + 1 */
	mtype error;
};

message msg[SLOTS];
receiver rcv[2];

/* struct kipc_ep */
bool locked;
byte contenders;		/* for the lock */
bool dead;
byte ep_msgs;
byte share_msgs[2];
byte waiters;
#if BATCH < SLOTS
byte arrivals = 1;
#endif
byte full_from = FOREVER;
byte nr_blocked;		/* messages */
byte nr_lingering;
byte nr_taken[2];		/* of the servers' files */
byte handles = FILES;		/* files that may receive */
byte holders = 2;		/* SHARED_FILE: who has the file */
bool revoked;			/* client 1 has lost its right to send */

/* Tasks */
bool sleeping[SLEEPERS];	/* TASK_INTERRUPTIBLE; a wake-up clears it */
byte pending[SLEEPERS];		/* a signal */
#define SIGNAL		1
#define KILL		2
bool fired[SLEEPERS];		/* the deadline has passed */
bool gone[SLEEPERS];		/* the task has exited, */
byte held[SLEEPERS];		/* but is kept by RCU sections that these had begun */
byte rcu;			/* who is in an RCU section */
bool next_wait;			/* client 0 is in its file's next_wait */
bool stored;			/* client 0 has got its caller token */
bool closed;			/* client 0's file */
bool cancelling;		/* another thread of client 0 is in CANCEL */
byte timer;			/* of client 0's ASYNC call */
#define ARMED		1
#define EXPIRED		2
byte faults = FAULTS;
byte op_token[2];		/* in a server's memory: the delivery to be answered; 0: none, */
byte token[2];			/* and the one that it is receiving */
#ifdef CLOSE
bool has_fd[2] = true;		/* the server's process has a descriptor of its file */
byte closes[FILES];		/* of the file */
byte open_closes[FILES];
byte open_files[FILES];
#endif

/* What only the properties need */
byte passes;			/* passes of kipc_admit() between two batches */
bool answered[2];		/* a REPLY to the client's call has returned 0 */
bool taken[2];			/* the client's call has been delivered */
short owed;			/* SENDs that returned 0, less messages received */

/* Used within one step only */
hidden byte i, j;

/* Of the holder of the lock: its notes, struct kipc_after, and scratch */
byte wake;			/* tasks to wake */
byte frees;			/* messages to free */
bool room;
byte at;			/* how far kipc_admit() has come */
bool more;			/* it has more to do */
byte step, x, r;
bool fits, dropped;

/* Of each process: what is left to do after kipc_unlock(), and results */
#define LOCALS		byte tasks, dead_msgs, pass; bool again; mtype err

/*
 * A subroutine is a process of its own, or the model would be too large. The call
 * and the return are rendezvous in atomic sequences: nobody else runs meanwhile.
 */
chan giveup = [0] of { byte, mtype };
chan offer = [0] of { byte };
chan leave = [0] of { byte };
chan put = [0] of { byte };
chan after = [0] of { byte, byte };
#define kipc_giveup(m, error)	giveup!m, error; giveup?0, 0
#define kipc_offer(m)		offer!m; offer?0
#define kipc_msg_put(m)		put!m; put?0
#define kipc_after_free_all()	after!me, dead_msgs; after?0, 0; dead_msgs = 0

#define kipc_fits()	(ep_msgs < MAX_MSGS)
#define kipc_stalled()	(nr_blocked > 0)

/* Client 0 owns the endpoint: its share has no bound */
#define kipc_share_fits(m)	(share_of(m) == 0 || share_msgs[1] == 0 ||		\
				 (MAX_MSGS > share_msgs[0] &&				\
				  (share_msgs[1] + 1) * 2 <= MAX_MSGS - share_msgs[0]))

#define kipc_sender_allowed(m)	(msg[m].charged || !revoked || sender_of(m) == 0)

#ifdef CLOSE
#define kipc_file_known_open(s)	(open_files[file_of(s)] == s + 1 &&		\
				 open_closes[file_of(s)] == closes[file_of(s)])
#else
#define kipc_file_known_open(s)	true
#endif

#define kipc_queue_next(place_, found)	first_behind(place_, found)
/* Servers take whatever is first */
#define kipc_select(found)	first_behind(0, found)

/* Each change of a state goes through one of these: check_queue() looks */
#define transition(m, from, to)						\
	d_step {							\
		assert(msg[m].seen == from);				\
		msg[m].seen = to;					\
		printf("message %d: %e -> %e\n", m, from, to)		\
	}

/*
 * Every process is one atomic sequence, in which others run only where it stops:
 * before it takes the lock, when it sleeps, and where it calls one of these. The
 * rendezvous with scheduler() costs no state of its own.
 */
chan resume = [0] of { bit };
chan acquire = [0] of { bit };

proctype scheduler()
{
	do
	:: resume!0
	:: atomic { contenders && !locked -> acquire!0 }
	od
}

/* Others may run: here, whatever the configuration, */
#define others_run()	resume?0

/* and here, where only a FINE one shows what the code must not rely on */
#ifdef FINE
#define others_may_run()	resume?0
#else
#define others_may_run()	skip
#endif

/* Another thread of client 0 may know the token, and use the file */
#ifdef CANCEL
#define token_stored()	stored = stored || me == CLIENT(0); resume?0
#define file_closes()	resume?0; me != CLIENT(0) || !cancelling;	\
			closed = closed || me == CLIENT(0)
#else
#define token_stored()	skip
#define file_closes()	skip
#endif

/*
 * A server may be killed while it runs its program. Another thread may close the
 * descriptor after the system call has looked it up.
 */
#if KILLS & 12 || defined(CLOSE)
#define program_runs()	resume?0
#else
#define program_runs()	skip
#endif
#ifdef CLOSE
#define looked_up()	resume?0
#else
#define looked_up()	skip
#endif

#ifdef ASYNC
#define rpc_new(m)							\
	if								\
	:: is_async(m) -> kipc_rpc_start(m)				\
	:: else -> kipc_rpc_sync(m)					\
	fi
#else
#define rpc_new(m)	kipc_rpc_sync(m)
#endif

/* ---- after.c ---- */

inline kipc_lock()
{
	contenders++;
	acquire?0;
	d_step {
		contenders--;
		assert(!locked);	/* the model is right */
		locked = true;
		/* Where no preemption is, is an RCU section */
		rcu = rcu | bit_of(me)
	}
}

inline wake_up_process(task)
{
	assert(!gone[task] || held[task] & bit_of(me));	/* no use after done */
	sleeping[task] = false
}

inline wake_up_tasks()
{
	do
	:: tasks ->
		others_run();
		d_step {
			i = 0;
			do
			:: tasks & bit_of(i) -> break
			:: else -> i++
			od;
			tasks = tasks & ~bit_of(i);
			if
			:: i < SLEEPERS -> wake_up_process(i)
			:: else ->	/* client 0's file */
				if
				:: next_wait -> sleeping[CLIENT(0)] = false
				:: else
				fi
			fi;
			skip
		}
	:: else -> break
	od
}

inline kipc_after_wake(task)
{
	assert(!gone[task]);	/* no use after done */
	wake = wake | bit_of(task)
}

/* Only the freeing is left to after the lock */
inline kipc_after_put(m)
{
	d_step {
		assert(msg[m].ref > 0);	/* references */
		msg[m].ref--;
		if
		:: msg[m].ref == 0 -> frees = frees | bit_of(m)
		:: else
		fi
	}
}

inline kipc_msg_free(m)
{
	assert(!msg[m].share && !msg[m].waiter && !msg[m].claims &&
	       !msg[m].queued && !msg[m].blocked && !msg[m].delivery &&
	       !msg[m].listed && !msg[m].finished);	/* references */
	msg[m].state = FREE;
	msg[m].seen = FREE;
	msg[m].error = 0;
	msg[m].place = 0;
	msg[m].token = 0;
	msg[m].deliveries = 0;
	msg[m].abort = false;
	msg[m].done = false;
	msg[m].lingering = false;
	msg[m].reply = false;
	msg[m].outlives = false;
	msg[m].busy = false;
	msg[m].cancelled = false;
	msg[m].ended = false
}

inline do_kipc_msg_put(m)
{
	assert(msg[m].ref > 0);	/* references */
	msg[m].ref--;
	if
	:: msg[m].ref == 0 -> kipc_msg_free(m)
	:: else
	fi
}

/* After the wake-ups */
inline do_kipc_after_free_all(task, msgs)
{
	d_step {
		rcu = rcu & ~bit_of(task);
		i = 0;
		do
		:: i < SLEEPERS -> held[i] = held[i] & ~bit_of(task); i++
		:: else -> break
		od;
		j = 0;
		do
		:: j < SLOTS ->
			if
			:: msgs & bit_of(j) -> kipc_msg_free(j)
			:: else
			fi;
			j++
		:: else -> break
		od;
		task = 0;
		msgs = 0
	}
}

/* The invariants of queue.h */
inline check_queue()
{
	d_step {
		i = 0;
		j = 0;
		do
		:: i < SLOTS ->
			assert(msg[i].queued == (msg[i].state == BLOCKED || msg[i].state == QUEUED) &&
			       msg[i].claims == (msg[i].state == CLAIMED && !msg[i].abort) &&
			       msg[i].blocked == (msg[i].state == BLOCKED) &&
			       (msg[i].state != BLOCKED || !msg[i].charged) &&
			       (msg[i].state != QUEUED || msg[i].charged));	/* queue */
			assert(!msg[i].queued || !(rcv[0].waiting || rcv[1].waiting));	/* queue */
			assert(msg[i].seen == msg[i].state);	/* the model is right */
			assert(!msg[i].blocked || dead || rendezvous || passes || !kipc_fits() ||
			       !kipc_share_fits(i));	/* queue */
			j = j + msg[i].waiting;
			i++
		:: else -> break
		od;
		assert(waiters == j + rcv[0].waiting + rcv[1].waiting);	/* no waiter left */
		i = 0;
		j = 0;
		do
		:: i < SLOTS -> j = j + msg[i].charged; i++
		:: else -> break
		od;
		assert(ep_msgs == j && ep_msgs == share_msgs[0] + share_msgs[1]);	/* queue */
		/* kipc_unlock() does not look for room when nobody is blocked */
		assert(full_from == FOREVER || kipc_stalled() || passes || dead)	/* queue */
	}
}

/* A pass that has begun goes on; one begins only if somebody waits for the room */
inline do_kipc_unlock()
{
	if
	:: at || (room && kipc_stalled()) -> kipc_admit()
	:: else
	fi;
	d_step {
		passes = passes + more;
		check_queue();
		room = false;
		step = 0;
		x = 0;
		r = 0;
		fits = false;
		dropped = false
	}
}

/* pass: where an admission is to go on */
inline kipc_unlock_and_do()
{
	d_step {
		tasks = wake;
		dead_msgs = frees;
		pass = (more -> at : 0);
		wake = 0;
		frees = 0;
		at = 0;
		more = false;
#ifdef MUTANT_NO_RCU
		rcu = rcu & ~bit_of(me);
#endif
		locked = false
	};
	wake_up_tasks();
	kipc_after_free_all()
}

inline kipc_unlock()
{
	leave!0;
	leave?0;
	do
	:: kipc_unlock_and_do();
	   if
	   :: pass ->
		kipc_lock();
		at = pass;
		passes--;
		leave!0;
		leave?0
	   :: else -> break
	   fi
	od;
	skip
}

/* ---- endpoint.c: who waits is counted ---- */

inline kipc_share_wait()
{
	waiters++
}

inline kipc_share_unwait()
{
	assert(waiters > 0);	/* no waiter left */
	waiters--
}

/* ---- queue.c ---- */

/* The first of the queue behind a place, or NO_MSG */
inline first_behind(place_, found)
{
	d_step {
		found = NO_MSG;
		i = 0;
		do
		:: i < SLOTS ->
			if
			:: msg[i].queued && msg[i].place > place_ &&
			   (found == NO_MSG || msg[i].place < msg[found].place) ->
				found = i
			:: else
			fi;
			i++
		:: else -> break
		od;
		skip
	}
}

/* The first blocked message of the share that is first from a place on, or NO_MSG */
inline kipc_stalled_from(place_, found)
{
	d_step {
		found = NO_MSG;
		i = 0;
		do
		:: i < SLOTS ->
			j = 0;
			do
			:: j < SLOTS && !(msg[j].blocked && share_of(j) == share_of(i) &&
					  msg[j].place < msg[i].place) -> j++
			:: else -> break
			od;
			if
			:: j == SLOTS && msg[i].blocked && msg[i].place >= place_ &&
			   (found == NO_MSG || msg[i].place < msg[found].place) -> found = i
			:: else
			fi;
			i++
		:: else -> break
		od;
		skip
	}
}

/* The receiver that waits longest, or NO_RECEIVER */
inline kipc_match(found)
{
	if
	:: rcv[0].waiting && !(rcv[1].waiting && rcv[1].place < rcv[0].place) -> found = 0
	:: rcv[1].waiting && !(rcv[0].waiting && rcv[0].place < rcv[1].place) -> found = 1
	:: !rcv[0].waiting && !rcv[1].waiting -> found = NO_RECEIVER
	fi
}

inline kipc_admissible(m, place_)
{
	fits = kipc_fits() && kipc_share_fits(m);
	if
	:: fits && !rendezvous ->
		d_step {
			fits = place_ <= full_from;
			i = 0;
			do
			:: i < SLOTS ->
				fits = fits && !(msg[i].blocked && share_of(i) == share_of(m) &&
						 msg[i].place <= place_);
				i++
			:: else -> break
			od;
			skip
		}
	:: else
	fi
}

inline kipc_charge(m)
{
	assert(!msg[m].charged && msg[m].share);	/* queue */
	ep_msgs++;
	share_msgs[share_of(m)]++;
	msg[m].charged = true
}

inline kipc_uncharge(m)
{
	if
	:: msg[m].charged ->
		ep_msgs--;
		share_msgs[share_of(m)]--;
		msg[m].charged = false;
		room = true
	:: else
	fi
}

inline kipc_unwait(m)
{
	if
	:: msg[m].waiting ->
		msg[m].waiting = false;
#ifndef MUTANT_NO_UNWAIT
		kipc_share_unwait()
#endif
	:: else
	fi
}

inline kipc_settle(m)
{
	assert(msg[m].ref > 0 && msg[m].share);	/* references */
	kipc_unwait(m);
	kipc_uncharge(m);
	msg[m].share = false
}

inline kipc_block(m)
{
	msg[m].blocked = true;
	nr_blocked++;
	if
	:: !rendezvous && !kipc_fits() && kipc_share_fits(m) && msg[m].place < full_from ->
		full_from = msg[m].place
	:: else
	fi
}

inline kipc_unblock(m)
{
	assert(msg[m].blocked);	/* queue */
	msg[m].blocked = false;
	nr_blocked--;
#ifndef MUTANT_STAYS_FULL
	if
	:: !kipc_stalled() -> full_from = FOREVER
	:: else
	fi
#endif
}

inline kipc_enqueue(m)
{
	assert(!msg[m].queued && !msg[m].claims && !msg[m].delivery);	/* queue */
	msg[m].queued = true;
	msg[m].state = (msg[m].charged -> QUEUED : BLOCKED);
	if
	:: !msg[m].charged -> kipc_block(m)
	:: else
	fi
}

inline kipc_dequeue(m)
{
	assert(msg[m].queued);	/* queue */
	msg[m].queued = false;
	if
	:: msg[m].state == BLOCKED ->
		kipc_unblock(m);
		room = true	/* others may have stood behind it */
	:: else
	fi
}

/*
 * One that nobody remembers. The module never uses one again; as tokens are only
 * ever compared with those that somebody remembers, this is the same.
 */
inline new_token(m)
{
	d_step {
		msg[m].token = 0;
		i = 1;
		j = 0;
		do
		:: j < SLOTS ->
			if
			:: msg[j].token == i || op_token[0] == i || op_token[1] == i ||
			   token[0] == i || token[1] == i -> i++; j = 0
			:: else -> j++
			fi
		:: else -> break
		od;
		msg[m].token = i
	}
}

inline kipc_begin_claim(m)
{
	assert(!msg[m].claims && !msg[m].delivery && !msg[m].queued);	/* queue */
	msg[m].state = CLAIMED;
	msg[m].claims = true;
	if
	:: is_call(m) -> new_token(m)
	:: else
	fi
}

inline kipc_claim(m)
{
	if
	:: msg[m].state == BLOCKED ->
		transition(m, BLOCKED, CLAIMED)	/* a receiver takes it: kipc_claim */
	:: msg[m].state == QUEUED ->
		transition(m, QUEUED, CLAIMED)	/* a receiver takes it: kipc_claim */
	fi;
	kipc_dequeue(m);
	kipc_begin_claim(m)
}

inline kipc_hand_over(m, s)
{
	kipc_begin_claim(m);
#ifdef MUTANT_TOUCH_LATE
	rcv[s].msg = m + 1;
	others_may_run();
#endif
	kipc_receiver_remove(s);
	kipc_after_wake(SERVER(s));
	/* The last access to the receiver */
	rcv[s].msg = m + 1;
	others_may_run()	/* who sleeps for it can see it, without the lock */
}

inline do_kipc_offer(m)
{
	kipc_match(r);
#ifdef MUTANT_NO_HANDOFF
	r = NO_RECEIVER;
#endif
	if
	:: r == NO_RECEIVER -> kipc_enqueue(m)
	:: else -> kipc_hand_over(m, r)
	fi
}

/*
 * Behind all that somebody remembers, which is the same as behind all that ever
 * were. (A pass of kipc_admit() between two batches remembers one, too.)
 */
inline new_place(m)
{
	d_step {
#if BATCH < SLOTS
		msg[m].place = arrivals;
		arrivals++;
#else
		msg[m].place = (full_from == FOREVER -> 1 : full_from % 64 + 1);
		i = 0;
		do
		:: i < SLOTS ->
			if
			:: i != m && msg[i].place % 64 >= msg[m].place ->
				msg[m].place = msg[i].place % 64 + 1
			:: else
			fi;
			i++
		:: else -> break
		od;
#endif
		msg[m].place = msg[m].place + (PRIO0 && sender_of(m) == 0 -> 0 : 64)
	}
}

/* err: EAGAIN, or 0 */
inline kipc_post(m, nowait)
{
	new_place(m);
	kipc_admissible(m, msg[m].place);
	if
	:: rendezvous -> kipc_match(r); fits = fits && r != NO_RECEIVER
	:: else
	fi;
	if
	:: !fits && nowait -> err = EAGAIN
	:: else ->
		if
		:: !nowait && (!fits || is_call(m) || is_sync(m)) ->
			kipc_share_wait();
			msg[m].waiting = true;
			msg[m].waiter = true;
			msg[m].ref++
		:: else
		fi;
		msg[m].share = true;
		if
		:: fits -> kipc_charge(m)
		:: else
		fi;
		assert(msg[m].state == NEW);	/* queue */
		kipc_offer(m);
		if
		:: msg[m].state == BLOCKED ->
			transition(m, NEW, BLOCKED)	/* posted, no room: kipc_post */
		:: msg[m].state == QUEUED ->
			transition(m, NEW, QUEUED)	/* posted: kipc_post */
		:: msg[m].state == CLAIMED ->
			transition(m, NEW, CLAIMED)	/* posted, a receiver waits: kipc_post */
		fi
	fi
}

inline kipc_requeue(m)
{
	kipc_charge(m);
	kipc_offer(m)
}

/* more: there may be more to admit, from at on */
inline kipc_admit()
{
	more = false;
	if
	:: dead || rendezvous
	:: !dead && !rendezvous && at && full_from < at
	:: else ->
		full_from = FOREVER;
		step = 0;
		do
		:: step == BATCH ->
			full_from = at;
			more = true;
			break
		:: else ->
			kipc_stalled_from(at, x);
			if
			:: x == NO_MSG -> break
			:: else ->
				at = msg[x].place;
				if
				:: kipc_share_fits(x) && !kipc_fits() -> full_from = at; break
				:: else
				fi;
				at++;
				if
				:: !kipc_share_fits(x)	/* it has its share */
#ifdef REVOKE
				:: kipc_share_fits(x) && !kipc_sender_allowed(x) -> kipc_giveup(x, EACCES)
#endif
				:: kipc_share_fits(x) && kipc_sender_allowed(x) ->
					transition(x, BLOCKED, QUEUED)	/* room: kipc_admit */;
#ifndef MUTANT_DOUBLE_ADMIT
					kipc_unblock(x);
#endif
					kipc_charge(x);
					msg[x].state = QUEUED;
					if
					:: !is_call(x) && !is_sync(x) -> kipc_done(x, 0)
					:: else
					fi
				fi
			fi;
			step++
		od
	fi
}

inline kipc_done(m, error_)
{
	assert(msg[m].ref > 0);	/* references */
	if
	:: msg[m].done
	:: else ->
		msg[m].error = error_;
		kipc_unwait(m);
		if
		:: is_call(m) -> kipc_call_finished(m)
		:: else
		fi;
		if
		:: msg[m].waiter -> msg[m].waiter = false;
#ifndef MUTANT_LOST_WAKEUP
			kipc_after_wake(CLIENT(sender_of(m)))
#endif
		:: else
		fi;
		msg[m].done = true;
		others_may_run()	/* who sleeps for it can see it, without the lock */
	fi
}

inline kipc_drop(m)
{
	kipc_settle(m);
	kipc_after_put(m)
}

inline do_kipc_giveup(m, error_)
{
	if
	:: msg[m].state == BLOCKED || msg[m].state == QUEUED ->
		kipc_dequeue(m);
		if
		:: msg[m].state == BLOCKED ->
			transition(m, BLOCKED, CANCELLED)	/* given up: kipc_giveup */
		:: else ->
			transition(m, QUEUED, CANCELLED)	/* given up: kipc_giveup */
		fi;
		msg[m].state = CANCELLED;
		kipc_done(m, error_);
		kipc_drop(m)
	:: msg[m].state == CLAIMED ->
		if
		:: msg[m].abort
		:: else ->
			msg[m].abort = true;
			msg[m].claims = false;
			kipc_done(m, error_)
		fi
	:: msg[m].state == DELIVERED ->
		if
		:: is_call(m) ->
			transition(m, DELIVERED, CANCELLED)	/* given up: kipc_giveup */;
			msg[m].state = CANCELLED;
			kipc_done(m, error_);
			kipc_settle(m);
			kipc_call_linger(m)
		:: else
		fi
	:: else
	fi
}

/* dropped: the claim's message is dropped */
inline kipc_claim_void(m)
{
	if
	:: dead -> kipc_giveup(m, EIDRM)
	:: else
	fi;
	dropped = msg[m].abort;
#ifdef MUTANT_NO_ABORT
	dropped = dropped && dead;
#endif
	if
	:: dropped ->
		transition(m, CLAIMED, CANCELLED)	/* aborted, the receiver is done: kipc_claim_void */;
		msg[m].state = CANCELLED;
		kipc_drop(m)
	:: else
	fi
}

inline kipc_unclaim(m)
{
	assert(msg[m].state == CLAIMED);	/* queue */
#ifdef REVOKE
	if
	:: !kipc_sender_allowed(m) -> kipc_giveup(m, EACCES)
	:: else
	fi;
#endif
	kipc_claim_void(m);
	if
	:: dropped
	:: else ->
		msg[m].claims = false;
		if
		:: !msg[m].charged -> room = true	/* it may be admitted by now */
		:: else
		fi;
		kipc_offer(m);
		if
		:: msg[m].state == BLOCKED ->
			transition(m, CLAIMED, BLOCKED)	/* receiver failed, not admitted: kipc_unclaim */
		:: msg[m].state == QUEUED ->
			transition(m, CLAIMED, QUEUED)	/* receiver failed, admitted: kipc_unclaim */
		:: msg[m].state == CLAIMED ->
			transition(m, CLAIMED, CLAIMED)	/* receiver failed, another waits: kipc_unclaim */
		fi
	fi
}

/* dropped: receive another */
inline kipc_commit(m, s)
{
	assert(msg[m].state == CLAIMED);	/* queue */
	kipc_claim_void(m);
	if
	:: dropped
	:: else ->
		msg[m].claims = false;
		msg[m].deliveries++;
		transition(m, CLAIMED, DELIVERED)	/* copied: kipc_commit */;
		msg[m].state = DELIVERED;
		assert(!msg[m].done || !msg[m].error);	/* one fate */
		if
		:: is_call(m) ->
			assert(idempotent || !taken[sender_of(m)]);	/* one fate */
			taken[sender_of(m)] = true;
			kipc_uncharge(m);
			kipc_call_deliver(m, s)
		:: else ->
			owed--;
			kipc_done(m, 0);
			kipc_settle(m)
		fi
	fi
}

inline kipc_receiver_wait(s)
{
	kipc_share_wait();
	rcv[s].live = true;
	rcv[s].waiting = true;
	/* Behind the other, if that waits */
	rcv[s].place = 1 + rcv[1 - s].waiting;
	rcv[1 - s].place = rcv[1 - s].waiting
}

inline kipc_receiver_remove(s)
{
	assert(rcv[s].live);	/* no use after done */
	assert(rcv[s].waiting);	/* queue */
	rcv[s].waiting = false;
	rcv[s].place = 0;
	kipc_share_unwait()
}

inline kipc_receiver_fail(s, error_)
{
	kipc_receiver_remove(s);
	kipc_after_wake(SERVER(s));
	/* As in kipc_hand_over() */
	rcv[s].error = error_;
	others_may_run()	/* who sleeps for it can see it, without the lock */
}

inline kipc_drain_next(found)
{
	kipc_queue_next(0, found);
	if
	:: found == NO_MSG ->
		d_step {
			i = 0;
			do
			:: i < SLOTS && !msg[i].claims -> i++
			:: else -> break
			od;
			if
			:: i == SLOTS ->
				i = 0;
				do
				:: i < SLOTS && !(msg[i].delivery && !msg[i].lingering) -> i++
				:: else -> break
				od
			:: else
			fi;
			found = i
		}
	:: else
	fi
}

/* again: there may be more to end */
inline kipc_drain()
{
	step = 0;
	again = true;
	do
	:: step == BATCH -> break
	:: else ->
		if
		:: rcv[0].waiting -> kipc_receiver_fail(0, EIDRM)
		:: !rcv[0].waiting && rcv[1].waiting -> kipc_receiver_fail(1, EIDRM)
		:: else ->
			kipc_drain_next(x);
			if
#ifndef MUTANT_ENDLESS
			:: x == NO_MSG -> again = false; break
#else
			:: x == NO_MSG -> break
#endif
			:: else -> kipc_giveup(x, EIDRM)
			fi
		fi;
		step++
	od
}

/* ---- deadline.c ---- */

/* err: why not to sleep any more, or 0: awake, look again */
inline kipc_deadline_sleep()
{
	if
	:: pending[me] -> err = (fired[me] -> ETIMEDOUT : EINTR)
	:: !pending[me] && fired[me] -> err = ETIMEDOUT
	:: else -> !sleeping[me] || pending[me]	/* schedule() */
	fi
}

#define kipc_deadline_end()	sleeping[me] = false

/* err, or 0; who asks only now and then goes on either way */
inline kipc_deadline_check()
{
	if
	:: err = (fired[me] -> ETIMEDOUT : EINTR)
	:: true
	fi
}

inline kipc_wait_done(m)
{
	err = 0;
	do
	:: !err ->
		assert(msg[m].ref > 0);	/* references */
#ifndef MUTANT_LOOK_FIRST
		sleeping[me] = true;
		others_may_run();
#endif
		if
		:: msg[m].done -> break
		:: else
		fi;
#ifdef MUTANT_LOOK_FIRST
		others_may_run();
		sleeping[me] = true;
#endif
		kipc_deadline_sleep()
	:: else -> break
	od;
	kipc_deadline_end()
}

/* ---- call.c ---- */

/* The delivery with this token, or NO_MSG */
inline kipc_delivery_find(token_, found)
{
	d_step {
		found = 0;
		do
		:: found < SLOTS && !(msg[found].delivery && msg[found].token == token_) -> found++
		:: else -> break
		od;
		skip
	}
}

inline kipc_call_deliver(m, s)
{
	d_step {
		msg[m].delivery = true;
		nr_taken[file_of(s)]++;
		msg[m].taker = s + 1
	}
}

inline kipc_call_undeliver(m)
{
	d_step {
		assert(msg[m].delivery && msg[m].ref > 0);	/* references */
		msg[m].delivery = false;
		nr_lingering = nr_lingering - msg[m].lingering;
		msg[m].lingering = false;
		nr_taken[file_of(msg[m].taker - 1)]--;
		msg[m].taker = 0;
		msg[m].token = 0
	}
}

inline kipc_call_linger(m)
{
	msg[m].lingering = true;
	nr_lingering++;
	if
	:: nr_lingering > LINGER_MAX ->
		/* The oldest: the other client's, if that lingers too */
		i = (is_call(1) && m < 2 && msg[1 - m].lingering -> 1 - m : m);
		kipc_call_undeliver(i);
		kipc_after_put(i)
	:: else
	fi
}

inline kipc_call_break(m)
{
	assert(msg[m].ref > 0);	/* references */
	dropped = msg[m].state == DELIVERED;
	kipc_call_undeliver(m);
	if
	:: dropped && idempotent && !dead && msg[m].deliveries <= REDELIVER_MAX ->
		kipc_requeue(m);
		if
		:: msg[m].state == QUEUED ->
			transition(m, DELIVERED, QUEUED)	/* server gone, to be redelivered: kipc_call_break */
		:: msg[m].state == CLAIMED ->
			transition(m, DELIVERED, CLAIMED)	/* the same, a receiver waits: kipc_call_break */
		fi
	:: else ->
		if
		:: dropped ->
			transition(m, DELIVERED, BROKEN)	/* server gone: kipc_call_break */;
			msg[m].state = BROKEN;
			kipc_done(m, ECONNRESET);
			kipc_settle(m)
		:: else
		fi;
		kipc_after_put(m)
	fi
}

/* What server s took, or (all) what was taken through its file */
inline kipc_calls_break_of(s, all)
{
	if
	:: nr_taken[file_of(s)] ->
		kipc_lock();
		step = 0;
		do
		:: step == SLOTS -> break
		:: else ->
			if
			:: msg[step].delivery &&
			   (all && file_of(msg[step].taker - 1) == file_of(s) ||
			    msg[step].taker == s + 1) ->
				kipc_call_break(step)
			:: else
			fi;
			step++
		od;
		kipc_unlock()
	:: else
	fi
}

/*
 * The table of client 0's file. What file->lock protects is done in one step, as
 * no lock is taken inside it.
 */

/* With the caller's reference, which it is busy with */
inline kipc_call_outlive(m)
{
	msg[m].outlives = true;
	msg[m].listed = true;
	msg[m].busy = true
}

inline kipc_call_finished(m)
{
	if
	:: msg[m].outlives && is_async(m) ->
		msg[m].ended = true;
		if
		:: msg[m].listed && !msg[m].busy ->
			msg[m].finished = true;
			wake = wake | FILE_BIT
		:: else
		fi
	:: else
	fi
}

/* err: ENOENT, EBUSY, or 0: with a reference */
inline kipc_call_grab(m)
{
	if
	:: !msg[m].listed -> err = ENOENT
	:: msg[m].listed && msg[m].busy -> err = EBUSY
	:: else ->
		err = 0;
		msg[m].busy = true;
		msg[m].finished = false;
		msg[m].ref++
	fi
}

/* One that has finished, so that nobody is busy with it */
inline kipc_call_grab_next(m)
{
	assert(msg[m].listed && !msg[m].busy);	/* references */
	msg[m].busy = true;
	msg[m].finished = false;
	msg[m].ref++
}

inline wake_up_next_wait()
{
	if
	:: next_wait -> sleeping[CLIENT(0)] = false
	:: else
	fi
}

inline kipc_call_retire(m)
{
	assert(msg[m].listed && msg[m].busy);	/* references */
	msg[m].listed = false;
	msg[m].finished = false;
	wake_up_next_wait();
	if
	:: is_async(m) && timer == ARMED -> timer = 0; kipc_msg_put(m)
	:: else
	fi;
	kipc_msg_put(m)
}

inline kipc_call_ungrab(m)
{
	msg[m].busy = msg[m].cancelled;
	if
	:: msg[m].ended && !msg[m].cancelled ->
		msg[m].finished = true;
		wake_up_next_wait()
	:: else
	fi;
	if
	:: msg[m].cancelled -> kipc_call_retire(m)
	:: else
	fi;
	kipc_msg_put(m)
}

inline kipc_call_abandon(m, error)
{
	kipc_lock();
	assert(msg[m].ref > 0 && msg[m].outlives);	/* references */
	if
	:: !msg[m].done -> kipc_giveup(m, error)
	:: else
	fi;
	kipc_unlock()
}

inline kipc_calls_cancel(m)
{
	if
	:: msg[m].listed ->
		msg[m].busy = true;
		msg[m].ref++;
		kipc_call_abandon(m, ECANCELED);
		kipc_call_retire(m);
		kipc_msg_put(m)
	:: else
	fi
}

/* User memory may be missing: err is EFAULT then, and else as it was */
inline touch_user()
{
	if
	:: faults > 0 -> faults--; err = EFAULT
	:: true
	fi
}

/* The fate of a call that is done; err: it could not be told */
inline kipc_rpc_fate(m)
{
	assert(msg[m].done && msg[m].ref > 0);	/* references */
	assert(msg[m].reply == (msg[m].error == 0));	/* one fate */
	assert(msg[m].reply == answered[me]);	/* one fate */
	err = 0;
	touch_user()
}

/* has_token: the call goes on; else it is no more, and err tells why */
inline kipc_rpc_outlived(m)
{
	if
	:: faults > 0 ->
		faults--;
		err = EFAULT;
		kipc_call_abandon(m, ECANCELED);
		msg[m].ref++;
		kipc_call_retire(m);
		kipc_msg_put(m)
	:: true ->
		has_token = true;
		token_stored();
		msg[m].ref++;
		kipc_call_ungrab(m)
	fi
}

/* The call is done: told, or has_token or err as above */
inline kipc_rpc_finish(m)
{
	kipc_rpc_fate(m);
	if
	:: err ->
		kipc_lock();
		kipc_call_outlive(m);
		kipc_unlock();
		kipc_rpc_outlived(m)
	:: else -> kipc_msg_put(m)
	fi
}

/* The wait of a call ended with err, before the call or not */
inline kipc_rpc_interrupted(m)
{
	kipc_lock();
	if
	:: msg[m].done -> outcome = DONE
	:: !msg[m].done && err == EINTR && pending[me] != KILL &&
#ifndef MUTANT_REPEAT_CALL
	   (msg[m].deliveries || !msg[m].queued) ->
#else
	   msg[m].deliveries ->
#endif
		outcome = OUTLIVES;
		msg[m].waiter = false;
		msg[m].waiting = false;
		kipc_share_unwait();
		kipc_call_outlive(m)
	:: else ->
		outcome = WITHDRAWN;
		kipc_giveup(m, err)
	fi;
	kipc_unlock();
	if
	:: outcome == OUTLIVES -> outcome = 0; kipc_rpc_outlived(m)
	:: outcome == DONE -> outcome = 0; kipc_rpc_finish(m)
	:: else -> outcome = 0; kipc_msg_put(m)
	fi
}

inline kipc_msg_new(m)
{
	assert(msg[m].state == FREE);	/* one fate */
	err = 0;
	touch_user();
	if
	:: err
	:: else ->
		msg[m].state = NEW;
		msg[m].seen = NEW;
		msg[m].ref = 1
	fi
}

inline kipc_rpc_sync(m)
{
	kipc_lock();
	if
	:: dead -> err = EIDRM
	:: else -> kipc_post(m, false)
	fi;
	kipc_unlock();
	if
	:: err -> kipc_msg_put(m)
	:: else ->
		kipc_wait_done(m);
		if
		:: err -> kipc_rpc_interrupted(m)
		:: else -> kipc_rpc_finish(m)
		fi
	fi
}

#ifdef ASYNC
inline kipc_rpc_start(m)
{
	kipc_lock();
	if
	:: dead -> err = EIDRM
	:: else -> kipc_post(m, true)
	fi;
	if
	:: err
	:: else ->
		/* Ours while it is busy, and the table's */
		msg[m].ref = msg[m].ref + 2;
		kipc_call_outlive(m)
	fi;
	kipc_unlock();
	if
	:: err -> kipc_msg_put(m)
	:: !err && faults > 0 ->
		faults--;
		err = EFAULT;
		kipc_call_abandon(m, ECANCELED);
		kipc_call_retire(m);
		kipc_msg_put(m)
	:: !err ->
		has_token = true;
		token_stored();
		timer = ARMED;
		msg[m].ref++;
		kipc_call_ungrab(m)
	fi
}
#endif

/* err: EINTR, EAGAIN, or 0: it is done */
inline kipc_collect_wait(m)
{
	kipc_lock();
	if
	:: msg[m].done
	:: else -> msg[m].waiter = true
	fi;
	kipc_unlock();
	kipc_wait_done(m);
	if
	:: err ->
		kipc_lock();
		msg[m].waiter = false;
		if
		:: !msg[m].done && err != EINTR && !is_async(m) -> kipc_giveup(m, err)
		:: else
		fi;
		if
		:: msg[m].done -> err = 0
		:: !msg[m].done && err == ETIMEDOUT -> err = EAGAIN	/* the wait is over, not the call */
		:: else
		fi;
		kipc_unlock()
	:: else
	fi
}

#ifdef NEXT
/* err: ENOENT, EAGAIN, EINTR, or 0: with a reference */
inline kipc_collect_next(m)
{
	do
	:: !err ->
		next_wait = true;
		sleeping[me] = true;
		others_may_run();
		if
		:: msg[m].finished -> kipc_call_grab_next(m); break
		:: !msg[m].finished && !msg[m].listed -> err = ENOENT
		:: else -> kipc_deadline_sleep()
		fi
	:: else -> break
	od;
	next_wait = false;
	kipc_deadline_end();
	if
	:: err == ETIMEDOUT -> err = EAGAIN
	:: else
	fi
}
#endif

inline kipc_rpc_collect(m)
{
	err = 0;
#ifdef NEXT
	kipc_collect_next(m);
#else
	kipc_call_grab(m);
#endif
	if
	:: err
	:: else ->
		kipc_collect_wait(m);
		if
		:: err
		:: else -> kipc_rpc_fate(m)
		fi;
		if
		:: err -> kipc_call_ungrab(m)
		:: else ->
			has_token = false;
			/* ECANCELED, if CANCEL came by meanwhile */
			kipc_call_retire(m);
			kipc_msg_put(m)
		fi
	fi
}

/* err: ENOENT, EIDRM, ECANCELED, or 0 */
inline kipc_reply_commit(token_)
{
	kipc_delivery_find(token_, x);
	if
	:: x == NO_MSG -> err = (dead -> EIDRM : ENOENT)
	:: x != NO_MSG && msg[x].state != DELIVERED ->
		kipc_call_undeliver(x);
		kipc_after_put(x);
		err = ECANCELED
	:: else ->
		err = 0;
		assert(!answered[sender_of(x)]);	/* no call answered twice */
		answered[sender_of(x)] = true;
		msg[x].reply = true;
#ifndef MUTANT_ANSWER_TWICE
		kipc_call_undeliver(x);
		transition(x, DELIVERED, REPLIED)	/* reply: kipc_reply_commit */;
		msg[x].state = REPLIED;
#endif
#ifndef MUTANT_DONE_EARLY
		kipc_settle(x);
#endif
#ifndef MUTANT_ANSWER_TWICE
		kipc_after_put(x);
#endif
		/* The last access: the caller may see it, and let go */
		kipc_done(x, 0);
#ifdef MUTANT_DONE_EARLY
		kipc_settle(x)
#endif
	fi
}

/* err: as above */
inline kipc_reply(token_)
{
	kipc_lock();
	kipc_reply_commit(token_);
	kipc_unlock()
}

/* Another thread cancels the call */
inline kipc_cancel(m)
{
	if
	:: msg[m].listed && !msg[m].cancelled ->
		was_busy = msg[m].busy;
		msg[m].ref++;
		msg[m].busy = true;
		msg[m].cancelled = true;
		msg[m].finished = false;
		kipc_call_abandon(m, ECANCELED);
		/* Who is busy with it is told, and retires it */
		if
		:: was_busy
		:: else -> kipc_call_retire(m)
		fi;
		was_busy = false;
		kipc_msg_put(m)
	:: else
	fi
}

/* ---- transfer.c ---- */

inline kipc_send_wait(m)
{
	kipc_wait_done(m);
	if
	:: err ->
		kipc_lock();
		if
		:: msg[m].done -> err = 0
		:: else -> kipc_giveup(m, err)
		fi;
		kipc_unlock()
	:: else
	fi;
	if
	:: err
	:: else -> err = msg[m].error
	fi;
	kipc_msg_put(m)
}

inline kipc_send_msg(m)
{
	kipc_lock();
	if
	:: dead -> err = EIDRM
	:: !dead && revoked -> err = EACCES
	:: else -> kipc_post(m, false)
	fi;
	waits = !err && msg[m].waiting;
	kipc_unlock();
	if
	:: waits -> waits = false; kipc_send_wait(m)
	:: !waits && err -> kipc_msg_put(m)
	:: else
	fi
}

/* m: what may be taken, or NO_MSG; again: there may be more to end */
inline kipc_select_allowed(m)
{
	again = false;
	kipc_select(m);
#ifdef REVOKE
	step = 0;
	do
	:: m == NO_MSG || kipc_sender_allowed(m) -> break
	:: else ->
		kipc_giveup(m, EACCES);
		step++;
		if
		:: step == BATCH -> again = true; m = NO_MSG
		:: else -> kipc_select(m)
		fi
	od
#endif
}

/* Sleep until given a message: m, or NO_MSG with err */
inline kipc_take(m, s)
{
	do
	:: !err ->
		sleeping[me] = true;
		others_may_run();
		if
		:: rcv[s].msg || rcv[s].error -> break
		:: else -> kipc_deadline_sleep()
		fi
	:: else -> break
	od;
	kipc_deadline_end();
	if
	:: err ->
		kipc_lock();
		if
		:: rcv[s].waiting -> kipc_receiver_remove(s)
		:: else
		fi;
		kipc_unlock()
	:: else
	fi;
	d_step {
		if
		:: rcv[s].msg -> m = rcv[s].msg - 1; err = 0
		:: !rcv[s].msg && rcv[s].error -> err = rcv[s].error
		:: else
		fi;
		rcv[s].msg = 0;
		rcv[s].error = 0;
		rcv[s].live = false
	}
}

/* made: now, or before in this system call; or err: ENOENT, EIDRM */
inline kipc_half_commit(s)
{
	if
	:: op_token[s] && !made ->
		assert(!replied);	/* no reply twice */
		kipc_reply_commit(op_token[s]);
		if
		:: err == ECANCELED -> err = 0
		:: else
		fi;
		made = !err;
		replied = made
	:: else
	fi
}

/* A restart finds no token. Or EFAULT, whatever err was: then the token is still there. */
inline kipc_half_store(s)
{
	if
	:: made && op_token[s] ->
		if
		:: faults > 0 -> faults--; err = EFAULT
		:: true ->
#ifndef MUTANT_REPLY_TWICE
			op_token[s] = 0
#endif
		fi
	:: else
	fi
}

/* m, or again, or err, or none of them: the receiver waits */
inline kipc_recv_begin(m, s)
{
	kipc_lock();
	kipc_half_commit(s);
	if
	:: err
	:: !err && dead -> err = EIDRM
	:: else ->
		kipc_select_allowed(m);
		if
		:: m != NO_MSG -> kipc_claim(m)
		:: m == NO_MSG && !again -> kipc_receiver_wait(s)
		:: else
		fi
	fi;
	kipc_unlock()
}

/* m, or NO_MSG with err */
inline kipc_recv_claim(m, s)
{
	do
	:: kipc_recv_begin(m, s);
	   if
	   :: again -> again = false
	   :: else -> break
	   fi
	od;
	if
	:: m == NO_MSG && !err -> kipc_take(m, s)
	:: else
	fi
}

/* took, or err, or neither: receive another */
inline kipc_recv_commit(m, s)
{
	kipc_lock();
	if
	:: !err && pending[me] == KILL -> err = EINTR
	:: else
	fi;
	if
	:: err -> kipc_unclaim(m)
	:: else -> kipc_commit(m, s); took = !dropped
	fi;
	known_open = !is_call(m) || kipc_file_known_open(s);
	if
	:: took && !is_call(m)
	:: else -> m = NO_MSG
	fi;
	kipc_unlock();
	if
	:: m != NO_MSG ->
#ifndef MUTANT_NO_PUT
		kipc_msg_put(m);
#endif
		m = NO_MSG
	:: else
	fi
}

/* err, or 0 with the delivery's token, or 0 */
inline kipc_recv_take(m, s)
{
#ifdef MUTANT_CLOSE_UNSEEN
	open_closes[file_of(s)] = closes[file_of(s)];
	open_files[file_of(s)] = s + 1;
#endif
	do
	:: !err && !took ->
		kipc_recv_claim(m, s);
#ifdef MUTANT_STORE_LATE
		if
		:: err -> break
		:: else
		fi;
#endif
		kipc_half_store(s);
		if
		:: m == NO_MSG
		:: else ->
			/* Copied out without the lock */
			assert(msg[m].ref > 0 && msg[m].state == CLAIMED);	/* references */
			if
			:: err
			:: else -> token[s] = msg[m].token; touch_user()
			fi;
			kipc_recv_commit(m, s);
			if
			:: err || took || !(pending[me] || fired[me])
			:: else -> kipc_deadline_check()	/* at times */
			fi
		fi
	:: else -> break
	od;
	if
	:: took && !known_open -> kipc_file_check_open(s)
	:: else
	fi;
	known_open = false
}

/* ---- ioctl.c ---- */

/* The system call, of a program that may want to answer; took, or err */
inline reply_recv(m, s)
{
	err = 0;
	/* Who cannot be told that the token is used up keeps it */
	if
	:: op_token[s] -> touch_user()
	:: else
	fi;
	if
	:: err
	:: else -> kipc_recv_take(m, s)
	fi;
	made = false
}

/* ---- endpoint.c ---- */

/* again: it has died of this, and must be buried */
inline kipc_ep_kill()
{
	again = !dead;
	dead = true
}

inline kipc_ep_bury()
{
#ifdef MUTANT_NO_DRAIN
	again = false;
#endif
	do
	:: again ->
		kipc_lock();
		kipc_drain();
		kipc_unlock()
	:: else -> break
	od
}

inline kipc_ep_remove()
{
	kipc_lock();
	kipc_ep_kill();
	kipc_unlock();
	kipc_ep_bury()
}

inline kipc_ep_leave()
{
	handles--;
	if
	:: handles == 0 -> kipc_ep_kill()
	:: else
	fi
}

/* A batch, from the place walked on; again: there may be more */
inline kipc_recheck_senders()
{
	step = 0;
	again = true;
	do
	:: step == BATCH -> break
	:: else ->
		kipc_queue_next(walked, x);
		if
		:: x == NO_MSG -> again = false; break
		:: else ->
			walked = msg[x].place;
			if
			:: kipc_sender_allowed(x)
			:: else -> kipc_giveup(x, EACCES)
			fi
		fi;
		step++
	od
}

/* SET takes client 1's right to send away */
inline kipc_ep_set()
{
	kipc_lock();
	revoked = true;
	room = true;
	kipc_unlock();
	again = true;
	do
	:: again ->
		kipc_lock();
		kipc_recheck_senders();
		kipc_unlock()
	:: else -> break
	od;
	walked = 0
}

/* ---- file.c ---- */

/* A descriptor closes, the last that the process of server s has of its file */
inline kipc_handle_flush(s)
{
#ifdef CLOSE
	/* Its table is the same as the closer's, or has gone with the process */
	!locked ->
	closes[file_of(s)]++;
#endif
	kipc_calls_break_of(s, false)
}

/* Does the process of server s have a descriptor still? It does unless CLOSE. */
inline kipc_file_check_open(s)
{
#ifdef CLOSE
	others_run();
	!locked ->
	seen = closes[file_of(s)];
	others_run();
	if
	:: has_fd[s] ->
		others_run();
		!locked ->
		open_files[file_of(s)] = s + 1;
		open_closes[file_of(s)] = seen
	:: else -> kipc_calls_break_of(s, false)
	fi;
	seen = 0
#else
	skip
#endif
}

/* The file ends, unless another process has it too */
inline kipc_file_release(s)
{
	kipc_calls_break_of(s, true);
	kipc_lock();
	kipc_ep_leave();
	kipc_unlock();
	kipc_ep_bury()
}

/* ---- The subroutines ---- */

proctype giving_up()
{
	byte m;
	mtype error_;

	do
	:: atomic {
		giveup?m, error_;
		do_kipc_giveup(m, error_);
		m = 0;
		error_ = 0;
		giveup!0, 0
	   }
	od
}

proctype offering()
{
	byte m;

	do
	:: atomic {
		offer?m;
		do_kipc_offer(m);
		m = 0;
		offer!0
	   }
	od
}

proctype putting()
{
	byte m;

	do
	:: atomic {
		put?m;
		d_step { do_kipc_msg_put(m); m = 0 };
		put!0
	   }
	od
}

proctype freeing()
{
	byte task, msgs;

	do
	:: atomic {
		after?task, msgs;
		do_kipc_after_free_all(task, msgs);
		after!0, 0
	   }
	od
}

proctype leaving()
{
	do
	:: atomic {
		leave?0;
		do_kipc_unlock();
		leave!0
	   }
	od
}

/* ---- The tasks ---- */

/* The handler of a signal that is not SIGKILL runs when the system call returns */
inline return_to_user()
{
	if
	:: pending[me] == SIGNAL -> pending[me] = 0
	:: else
	fi
}

inline task_exits()
{
	d_step {
		gone[me] = true;
		held[me] = rcu;
		pending[me] = 0;
		fired[me] = false
	}
}

/* A client that calls; what a signal interrupted it goes on with */
proctype caller(byte me)
{
	LOCALS;
	bool has_token;	/* the call's caller token, in the program's memory */
	byte outcome;

	atomic {
		do
		:: has_token ->
			others_run();
			kipc_rpc_collect(me);
			return_to_user();
			if
			:: pending[me] == KILL -> break
			:: !pending[me] && (err == EINTR || has_token && err == EFAULT)
			:: else -> break
			fi
		:: else ->
			kipc_msg_new(me);
			if
			:: err
			:: else -> rpc_new(me)
			fi;
			return_to_user();
			if
			:: pending[me] == KILL -> break
			:: !pending[me] && (err == EINTR || has_token)
			:: else -> break
			fi
		od;
		err = 0;
		has_token = false;
		/* Its file closes when no other thread uses it */
		file_closes();
		kipc_calls_cancel(me);
		task_exits()
	}
}

/* A client that sends; what a signal interrupted it does again */
proctype sender(byte me)
{
	LOCALS;
	bool waits;
	byte m, left = SENDS;

	atomic {
		do
		:: left ->
			m = 1;
			do
			:: m < SLOTS && msg[m].state != FREE -> m++
			:: else -> break
			od;
			assert(m < SLOTS);	/* the model is right */
			kipc_msg_new(m);
			if
			:: err
			:: else -> kipc_send_msg(m)
			fi;
			m = 0;
			owed = owed + !err;
			return_to_user();
			if
			:: pending[me] == KILL -> left = 0
			:: !pending[me] && err != EINTR -> left--; fired[me] = false
			:: else
			fi;
			err = 0
		:: else -> break
		od;
		task_exits()
	}
}

/* A server: REPLY_RECV for ever, until it is killed or the endpoint has ended */
proctype server(byte me)
{
	LOCALS;
	byte m = NO_MSG;
	bool took, known_open;
#ifdef CLOSE
	byte seen;
#endif
	bool made;	/* struct kipc_reply_half's */
	bool replied;	/* what was to be answered has been, by this system call or before
			   a restart */
#ifdef REPLY_TWICE
	bool twice;
#endif

#define s	(me - SERVER(0))
	atomic {
		do
		:: pending[me] == KILL -> break
#ifdef CLOSE
		:: pending[me] != KILL && !has_fd[s] -> break
#endif
		:: else ->
			looked_up();
#ifdef REPLY_TWICE
			/* A program that answers twice, the first time by REPLY */
			if
			:: op_token[s] -> twice = true; kipc_reply(op_token[s])
			:: else
			fi;
#endif
			reply_recv(m, s);
#ifdef REPLY_TWICE
			assert(!twice || err == ENOENT || err == EIDRM);	/* no call answered twice */
			twice = false;
#endif
			if
			:: err == EIDRM -> break
			:: else
			fi;
			return_to_user();
			if
			:: !pending[me] && err == EINTR	/* restarted */
			:: else ->
				if
				:: took -> op_token[s] = token[s]
				:: err == ENOENT -> op_token[s] = 0	/* by the program */
				:: else
				fi;
				replied = false;
				fired[me] = false
			fi;
			err = 0;
			token[s] = 0;
			took = false;
			program_runs()
		od;
		err = 0;
		op_token[s] = 0;
		token[s] = 0;
		replied = false;
		took = false;
#ifdef CLOSE
		if
		:: has_fd[s] -> has_fd[s] = false; kipc_handle_flush(s)
		:: else
		fi;
#else
		kipc_handle_flush(s);
#endif
		holders--;
		if
		:: FILES == 2 || holders == 0 -> kipc_file_release(s)
		:: else
		fi;
		task_exits()
	}
#undef s
}

proctype remover(byte me)
{
	LOCALS;

	if
#ifdef REMOVE
	:: atomic { kipc_ep_remove() }
#endif
	:: true
	fi
}

#ifdef REVOKE
proctype setter(byte me)
{
	LOCALS;
	byte walked;

	if
	:: atomic { kipc_ep_set() }
	:: true
	fi
}
#endif

#ifdef CANCEL
/* Another thread of client 0 */
proctype canceller(byte me)
{
	LOCALS;
	bool was_busy;

	if
	:: atomic {
		stored && !closed -> cancelling = true;
		kipc_cancel(0);
		cancelling = false
	   }
	:: true
	fi
}
#endif

#ifdef CLOSE
/* Another thread of server 0's process closes its last descriptor of the file */
proctype closer(byte me)
{
	LOCALS;

	if
	:: atomic {
		has_fd[0] -> has_fd[0] = false;
		others_run();
		kipc_handle_flush(0)
	   }
	:: true
	fi
}
#endif

#ifdef ASYNC
/* The work that the timer of client 0's call queues */
proctype kipc_call_expire(byte me)
{
	LOCALS;

	atomic {
		timer == EXPIRED -> timer = 0;
		kipc_call_abandon(0, ETIMEDOUT);
		kipc_msg_put(0)
	}
}
#endif

/* ---- What comes from outside ---- */

inline signal(task, what)
{
	if
	:: !gone[task] && pending[task] != KILL -> pending[task] = what; sleeping[task] = false
	:: else
	fi
}

inline time_passes(task)
{
	fired[task] = !gone[task];
	sleeping[task] = false
}

#define EVENTS(task)									\
	:: atomic { signals & bit_of(task) -> signals = signals & ~bit_of(task);	\
		    signal(task, SIGNAL) }						\
	:: atomic { kills & bit_of(task) -> kills = kills & ~bit_of(task);		\
		    signal(task, KILL) }						\
	:: atomic { timers & bit_of(task) -> timers = timers & ~bit_of(task);		\
		    time_passes(task) }

proctype events()
{
	byte signals = SIGNALS, kills = KILLS, timers = TIMERS;

	do
	EVENTS(0)
	EVENTS(1)
	EVENTS(2)
	EVENTS(3)
	:: atomic { timers & bit_of(WORKER) && timer == ARMED -> timer = EXPIRED }
	:: atomic { true -> signals = 0; kills = 0; timers = 0; break }
	od
}

init
{
	atomic {
		run CLIENT1(CLIENT(1));
		run caller(CLIENT(0));
		run server(SERVER(0));
		run server(SERVER(1));
		run remover(REMOVER);
#ifdef REVOKE
		run setter(SETTER);
#endif
#ifdef ASYNC
		run kipc_call_expire(WORKER);
#endif
#ifdef CANCEL
		run canceller(CANCELLER);
#endif
#ifdef CLOSE
		run closer(CLOSER);
#endif
		run scheduler();
		run giving_up();
		run offering();
		run leaving();
		run putting();
		run freeing();
		run events()
	};
	timeout;
	/* Nothing will happen any more: who sleeps now sleeps for ever */
	atomic {
		i = 0;
		do
		:: i < SLOTS ->
			assert(!(msg[i].done && !gone[sender_of(i)] && sleeping[sender_of(i)]));
									/* no lost wake-up */
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < 2 ->
			assert(!(rcv[i].live && (rcv[i].msg || rcv[i].error)));	/* no lost wake-up */
			assert(gone[SERVER(i)] || (rcv[i].waiting && !dead));	/* no waiter left */
			i++
		:: else -> break
		od;
		assert(gone[CLIENT(0)] && gone[CLIENT(1)]);	/* no waiter left */
		assert(waiters == rcv[0].waiting + rcv[1].waiting);	/* no waiter left */
		assert(!locked && !passes && !rcu && !nr_lingering && !ep_msgs);	/* queue */
		assert(!nr_taken[0] && !nr_taken[1]);	/* references */
		i = 0;
		do
		:: i < SLOTS -> assert(msg[i].state == FREE); i++	/* references */
		:: else -> break
		od;
		assert(owed == 0 || (owed > 0 && dead && !is_sync(1)))	/* one fate */
	}
}
