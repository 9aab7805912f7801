/* SPDX-License-Identifier: BSD-3-Clause
 * loop.h - the event loop; libev stays behind this door
 *
 * One loop, one thread. Everything but ts_loop_post() and ts_loop_stop() is
 * called on that thread. Callbacks may free their own watch or timer.
 */
#ifndef CORE_LOOP_LOOP_H
#define CORE_LOOP_LOOP_H

#include <stdint.h>

enum { TS_READABLE = 1, TS_WRITABLE = 2 };

struct ts_loop;
struct ts_watch;
struct ts_timer;

struct ts_loop *ts_loop_new(void);
void ts_loop_free(struct ts_loop *loop);
void ts_loop_run(struct ts_loop *loop); /* until ts_loop_stop() */
/* Any thread that shares this one's descriptors, signal-safe. */
void ts_loop_stop(struct ts_loop *loop);
/* Monotonic milliseconds, as of this turn of the loop. */
uint64_t ts_loop_now_ms(const struct ts_loop *loop);
/* Read the clock again (after long work). */
void ts_loop_update(struct ts_loop *loop);
/* Run fn(ctx) on the loop's thread soon; callable from any thread that shares
 * its descriptors. 0/-ENOMEM */
int ts_loop_post(struct ts_loop *loop, void (*fn)(void *ctx), void *ctx);
/* fn runs once before each sleep (flush batches, re-arm deadlines). Who was
 * added last runs first: it may give work to those below it. */
int ts_loop_before_sleep(struct ts_loop *loop, void (*fn)(void *ctx),
			 void *ctx);
/* leave runs when the loop is about to wait for events, enter when it is back;
 * both on the loop's thread, nothing of the loop may be called from them. */
void ts_loop_around_wait(struct ts_loop *loop, void (*leave)(void),
			 void (*enter)(void));
void ts_loop_before_sleep_remove(struct ts_loop *loop, void (*fn)(void *ctx),
				 void *ctx);

/* events: TS_READABLE | TS_WRITABLE, may be 0. NULL: out of memory. */
struct ts_watch *ts_watch_new(struct ts_loop *loop, int fd, unsigned events,
			      void (*fn)(void *ctx, unsigned events),
			      void *ctx);
void ts_watch_set(struct ts_watch *w, unsigned events);
void ts_watch_free(struct ts_watch *w); /* NULL is fine; fd stays open */

struct ts_timer *ts_timer_new(struct ts_loop *loop, void (*fn)(void *ctx),
			      void *ctx);
/* Fires once at or after at_ms (UINT64_MAX: disarm). */
void ts_timer_set(struct ts_timer *t, uint64_t at_ms);
void ts_timer_free(struct ts_timer *t);

/* fn(ctx, signo) on the loop's thread; for processes that own their signals
 * (tsnet-host) only. */
int ts_loop_on_signal(struct ts_loop *loop, int signo,
		      void (*fn)(void *ctx, int signo), void *ctx);

#endif
