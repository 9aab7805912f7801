/* SPDX-License-Identifier: BSD-3-Clause
 * fork_gate.c - no fork() while an engine is in the middle of something
 *
 * A child has a copy of everything that is in memory, and of the threads only
 * the one that called fork(). libc sees to its own locks; OpenSSL, libcurl and
 * the rest do not: a lock that the engine's thread held stays locked in the
 * child for ever, and so does the node that the child starts when its parent
 * has ended. So an engine is "inside" unless it sleeps in epoll_wait(), where
 * it holds nothing, and fork() waits until all are outside: some microseconds.
 *
 * A process may have several engines, each on a thread of its own, and lwIP has
 * globals: so one at a time is inside, in the order in which they came. What an
 * engine does between two waits takes microseconds; a disk that does not answer
 * holds up all of them.
 *
 * Who forks holds the lock from then until the fork is done; to come in takes
 * the lock, so that even an engine that hardly sleeps is outside within a turn
 * of its loop. To leave takes none. Whoever does not succeed within a second (a
 * disk that does not answer, an engine's own callback that forks) forks as it
 * would without us.
 *
 * fork() may be called from a signal handler: of a thread that is in the middle
 * of a fork itself, too. So there is nothing here that waits without a limit,
 * and nothing thread-local, which would be allocated at its first use.
 */
#include "core/engine/fork_gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { TRIES = 6000, TRY_US = 100 }; /* a second, as pauses are longer */

static struct {
	pthread_mutex_t lock;
	atomic_int inside;
	atomic_uintptr_t closer; /* the thread whose fork holds the lock */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
	pthread_mutex_t lock; /* of what follows; held for moments */
	pthread_cond_t changed;
	uint64_t next, serving; /* tickets */
} turn = {.lock = PTHREAD_MUTEX_INITIALIZER,
	  .changed = PTHREAD_COND_INITIALIZER};

static void await_turn(void)
{
	uint64_t mine;

	pthread_mutex_lock(&turn.lock);
	mine = turn.next++;
	while (turn.serving != mine)
		pthread_cond_wait(&turn.changed, &turn.lock);
	pthread_mutex_unlock(&turn.lock);
}

static void give_turn(void)
{
	pthread_mutex_lock(&turn.lock);
	turn.serving++;
	if (turn.serving != turn.next)
		pthread_cond_broadcast(&turn.changed);
	pthread_mutex_unlock(&turn.lock);
}

void fork_gate_enter(void)
{
	await_turn();
	pthread_mutex_lock(&gate.lock);
	atomic_fetch_add(&gate.inside, 1);
	pthread_mutex_unlock(&gate.lock);
}

void fork_gate_leave(void)
{
	atomic_fetch_sub(&gate.inside, 1);
	give_turn();
}

static bool may_try_again(int *tries)
{
	const struct timespec pause = {.tv_nsec = TRY_US * 1000};

	nanosleep(&pause, NULL);
	return ++*tries < TRIES;
}

static void before_fork(void)
{
	uintptr_t self = (uintptr_t)pthread_self();
	int saved_errno = errno, tries = 0;
	bool is_closed = false;

	if (atomic_load(&gate.closer) == self) /* a signal's handler */
		return;
	do {
		is_closed = pthread_mutex_trylock(&gate.lock) == 0;
	} while (!is_closed && may_try_again(&tries));
	if (is_closed)
		atomic_store(&gate.closer, self);
	while (is_closed && atomic_load(&gate.inside) > 0 &&
	       may_try_again(&tries))
		;
	errno = saved_errno;
}

static void in_parent(void)
{
	if (atomic_load(&gate.closer) != (uintptr_t)pthread_self())
		return;
	atomic_store(&gate.closer, 0);
	pthread_mutex_unlock(&gate.lock);
}

/* No engine's thread is here. */
static void in_child(void)
{
	pthread_mutex_init(&gate.lock, NULL);
	pthread_mutex_init(&turn.lock, NULL);
	pthread_cond_init(&turn.changed, NULL);
	turn.next = turn.serving = 0;
	atomic_store(&gate.inside, 0);
	atomic_store(&gate.closer, 0);
}

static void watch(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

void fork_gate_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch);
}
