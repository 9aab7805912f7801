/* SPDX-License-Identifier: BSD-3-Clause
 * notify_wait.c - calls that are held: connect, accept, bind before the netmap
 *
 * The program's thread waits for our answer, we wait for its socket (or for
 * the node). Each time something happened the call is tried again. A thread
 * that stopped waiting, since a signal came or it was killed, tells nobody;
 * so held calls are looked at in growing intervals, and before every bind,
 * which may want the address of a socket that only we still have open.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/host/notify.h"

enum { SWEEP_MIN_MS = 50, SWEEP_MAX_MS = 1000 };

struct notify_wait {
	struct ts_link link;
	struct notify_call call;
	struct notify_hold hold;
	struct ts_watch *watch;
	struct ts_timer *timer;
};

static void free_wait(struct notify_wait *wait)
{
	ts_list_remove(&wait->link);
	ts_watch_free(wait->watch);
	ts_timer_free(wait->timer);
	ts_hurry_drop(wait->hold.fd);
	free(wait);
}

static void finish(struct notify_wait *wait, int result)
{
	const struct notify_call call = wait->call;

	free_wait(wait); /* the program may close its socket at once */
	if (result != NOTIFY_LATER)
		ts_notify_answer(&call, result);
}

static void try_again(struct notify_wait *wait)
{
	int result;

	if (!ts_notify_is_valid(&wait->call)) {
		free_wait(wait);
		return;
	}
	wait->call.tree->notify->caller = wait->call.tid;
	result = wait->hold.fn(&wait->call, wait->hold.fd);
	if (result == -EAGAIN)
		return; /* somebody else was faster: still held */
	finish(wait, result);
}

static struct notify_wait *wait_at(struct ts_link *at)
{
	return TS_LINK_OWNER(at, struct notify_wait, link);
}

/* epoll would wake the latest comer first, and that again and again. */
static struct notify_wait *first_in_queue(struct notify_wait *wait)
{
	struct ts_link *waits = &wait->call.tree->notify->waits;

	for (struct ts_link *at = waits->next; at != waits; at = at->next)
		if (wait_at(at)->hold.queue == wait->hold.queue)
			return wait_at(at);
	return wait;
}

static void on_event(void *ctx, unsigned events)
{
	struct notify_wait *wait = ctx;

	(void)events;
	try_again(wait->hold.queue ? first_in_queue(wait) : wait);
}

static void on_limit(void *ctx)
{
	struct notify_wait *wait = ctx;

	if (ts_notify_is_valid(&wait->call))
		finish(wait, wait->hold.limit_result);
	else
		free_wait(wait);
}

static void arm_sweep(struct ts_notify *notify, uint64_t interval_ms)
{
	notify->sweep_ms = interval_ms;
	ts_timer_set(notify->sweep, ts_host_now_ms(notify->host) + interval_ms);
}

static int prepare(struct notify_wait *wait)
{
	struct ts_host *host = wait->call.tree->host;
	const struct notify_hold *hold = &wait->hold;

	if (hold->events) {
		wait->watch = ts_watch_new(host->loop, hold->fd, hold->events,
					   on_event, wait);
		if (!wait->watch)
			return -ENOMEM;
	}
	if (hold->limit_ms) {
		wait->timer = ts_timer_new(host->loop, on_limit, wait);
		if (!wait->timer)
			return -ENOMEM;
		ts_timer_set(wait->timer,
			     ts_host_now_ms(host) + hold->limit_ms);
	}
	return 0;
}

int ts_notify_hold(const struct notify_call *call,
		   const struct notify_hold *hold)
{
	struct ts_notify *notify = call->tree->notify;
	struct notify_wait *wait = calloc(1, sizeof(*wait));

	if (!wait) {
		ts_hurry_drop(hold->fd);
		return -ENOMEM;
	}
	wait->call = *call;
	wait->hold = *hold;
	ts_list_insert(&notify->waits, &wait->link);
	if (prepare(wait)) {
		free_wait(wait);
		return -ENOMEM;
	}
	arm_sweep(notify, SWEEP_MIN_MS);
	return NOTIFY_LATER;
}

static void drop_orphans(struct ts_notify *notify)
{
	uint64_t now_ms = ts_host_now_ms(notify->host);
	struct ts_link *at, *next;

	for (at = notify->orphans.next; at != &notify->orphans; at = next) {
		struct notify_orphan *o =
			TS_LINK_OWNER(at, struct notify_orphan, link);

		next = at->next;
		if (o->until_ms > now_ms)
			continue;
		ts_list_remove(&o->link);
		ts_hurry_drop(o->fd);
		notify->orphan_count--;
		free(o);
	}
}

void ts_notify_sweep(struct ts_notify *notify)
{
	uint64_t next_ms = 2 * notify->sweep_ms;
	struct ts_link *at, *next;

	for (at = notify->waits.next; at != &notify->waits; at = next) {
		next = at->next;
		if (!ts_notify_is_valid(&wait_at(at)->call))
			free_wait(wait_at(at));
	}
	drop_orphans(notify);
	if (next_ms > SWEEP_MAX_MS)
		next_ms = SWEEP_MAX_MS;
	if (!ts_list_is_empty(&notify->waits) || notify->orphan_count > 0)
		arm_sweep(notify, next_ms);
}

void ts_notify_drop_waits(struct ts_notify *notify,
			  const struct notify_tree *tree)
{
	struct ts_link *at, *next;

	for (at = notify->waits.next; at != &notify->waits; at = next) {
		next = at->next;
		if (!tree || wait_at(at)->call.tree == tree)
			free_wait(wait_at(at));
	}
}

void ts_notify_retry_waits(struct ts_notify *notify)
{
	struct ts_link *at, *next;

	for (at = notify->waits.next; at != &notify->waits; at = next) {
		next = at->next;
		if (wait_at(at)->hold.events == 0)
			try_again(wait_at(at));
	}
}
