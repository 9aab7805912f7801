/* SPDX-License-Identifier: BSD-3-Clause
 * loop.c - one thread's event loop on libev
 *
 * The loop may live inside somebody else's process, so it is a private one:
 * never libev's default loop (that one reaps children), no signal masks
 * touched, no LIBEV_FLAGS read.
 *
 * Three always-active watchers carry it. The async watcher is the only way in
 * for other threads: posts wait in a locked list, and stopping is an atomic
 * flag, because a signal handler must not take a lock. The check watcher reads
 * the clock once after each wait, so all callbacks of one turn agree on the
 * time. The prepare watcher runs the before-sleep functions.
 *
 * Timers whose deadline only moves away (a connection's idle limit, pushed on
 * every packet) do not touch libev's heap: the old alarm fires, sees that it
 * is early and arms itself again.
 */
#include "core/loop/loop.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct post {
	struct post *next;
	void (*fn)(void *ctx);
	void *ctx;
};

struct before_sleep {
	struct before_sleep *next;
	void (*fn)(void *ctx); /* NULL: removed, swept after the round */
	void *ctx;
};

struct on_signal {
	ev_signal ev; /* first: libev hands back its address */
	struct on_signal *next;
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

struct ts_loop {
	struct ev_loop *ev;
	ev_async wake;
	ev_check check;
	ev_prepare prepare;
	uint64_t now_ms;
	atomic_bool stop;
	pthread_mutex_t lock; /* guards first_post, last_post */
	struct post *first_post, **last_post;
	struct before_sleep *before_sleep;
	struct on_signal *on_signal;
	void (*leave)(void), (*enter)(void); /* around each wait */
};

struct ts_watch {
	ev_io ev; /* first: libev hands back its address */
	struct ts_loop *loop;
	void (*fn)(void *ctx, unsigned events);
	void *ctx;
};

struct ts_timer {
	ev_timer ev; /* first: libev hands back its address */
	struct ts_loop *loop;
	uint64_t at_ms;    /* wanted; UINT64_MAX: disarmed */
	uint64_t armed_ms; /* what libev knows; UINT64_MAX: nothing */
	void (*fn)(void *ctx);
	void *ctx;
};

static uint64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* -- posts and stopping --------------------------------------------------- */

static struct post *take_posts(struct ts_loop *loop)
{
	struct post *list;

	pthread_mutex_lock(&loop->lock);
	list = loop->first_post;
	loop->first_post = NULL;
	loop->last_post = &loop->first_post;
	pthread_mutex_unlock(&loop->lock);
	return list;
}

static void on_wake(struct ev_loop *ev, ev_async *w, int revents)
{
	struct ts_loop *loop = w->data;
	struct post *post = take_posts(loop);

	(void)revents;
	while (post) {
		struct post done = *post;

		free(post);
		done.fn(done.ctx);
		post = done.next;
	}
	if (atomic_exchange(&loop->stop, false))
		ev_break(ev, EVBREAK_ALL);
}

int ts_loop_post(struct ts_loop *loop, void (*fn)(void *ctx), void *ctx)
{
	struct post *post = malloc(sizeof(*post));

	if (!post)
		return -ENOMEM;
	*post = (struct post){.fn = fn, .ctx = ctx};
	pthread_mutex_lock(&loop->lock);
	*loop->last_post = post;
	loop->last_post = &post->next;
	pthread_mutex_unlock(&loop->lock);
	ev_async_send(loop->ev, &loop->wake);
	return 0;
}

void ts_loop_stop(struct ts_loop *loop)
{
	atomic_store(&loop->stop, true);
	ev_async_send(loop->ev, &loop->wake);
}

/* -- once a turn ---------------------------------------------------------- */

static void on_check(struct ev_loop *ev, ev_check *w, int revents)
{
	struct ts_loop *loop = w->data;

	(void)ev;
	(void)revents;
	loop->now_ms = monotonic_ms();
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int revents)
{
	struct ts_loop *loop = w->data;
	struct before_sleep **at;

	(void)ev;
	(void)revents;
	for (struct before_sleep *b = loop->before_sleep; b; b = b->next)
		if (b->fn)
			b->fn(b->ctx);
	at = &loop->before_sleep;
	while (*at) {
		struct before_sleep *b = *at;

		if (b->fn) {
			at = &b->next;
			continue;
		}
		*at = b->next;
		free(b);
	}
}

int ts_loop_before_sleep(struct ts_loop *loop, void (*fn)(void *ctx), void *ctx)
{
	struct before_sleep *b = malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	*b = (struct before_sleep){.next = loop->before_sleep,
				   .fn = fn,
				   .ctx = ctx};
	loop->before_sleep = b;
	return 0;
}

void ts_loop_before_sleep_remove(struct ts_loop *loop, void (*fn)(void *ctx),
				 void *ctx)
{
	for (struct before_sleep *b = loop->before_sleep; b; b = b->next) {
		if (b->fn != fn || b->ctx != ctx)
			continue;
		b->fn = NULL;
		return;
	}
}

static void on_wait(struct ev_loop *ev)
{
	((struct ts_loop *)ev_userdata(ev))->leave();
}

static void on_waited(struct ev_loop *ev)
{
	((struct ts_loop *)ev_userdata(ev))->enter();
}

void ts_loop_around_wait(struct ts_loop *loop, void (*leave)(void),
			 void (*enter)(void))
{
	loop->leave = leave;
	loop->enter = enter;
	ev_set_userdata(loop->ev, loop);
	ev_set_loop_release_cb(loop->ev, on_wait, on_waited);
}

/* -- the loop ------------------------------------------------------------- */

static void start_own_watchers(struct ts_loop *loop)
{
	ev_async_init(&loop->wake, on_wake);
	loop->wake.data = loop;
	ev_async_start(loop->ev, &loop->wake);

	ev_check_init(&loop->check, on_check);
	ev_set_priority(&loop->check, EV_MAXPRI); /* before all callbacks */
	loop->check.data = loop;
	ev_check_start(loop->ev, &loop->check);

	ev_prepare_init(&loop->prepare, on_prepare);
	loop->prepare.data = loop;
	ev_prepare_start(loop->ev, &loop->prepare);
}

struct ts_loop *ts_loop_new(void)
{
	struct ts_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->ev = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK |
			       EVBACKEND_EPOLL | EVBACKEND_POLL);
	if (!loop->ev || pthread_mutex_init(&loop->lock, NULL)) {
		if (loop->ev)
			ev_loop_destroy(loop->ev);
		free(loop);
		return NULL;
	}
	loop->last_post = &loop->first_post;
	loop->now_ms = monotonic_ms();
	start_own_watchers(loop);
	return loop;
}

void ts_loop_free(struct ts_loop *loop)
{
	struct post *post;

	if (!loop)
		return;
	post = take_posts(loop);
	while (post) {
		struct post *next = post->next;

		free(post);
		post = next;
	}
	while (loop->before_sleep) {
		struct before_sleep *b = loop->before_sleep;

		loop->before_sleep = b->next;
		free(b);
	}
	while (loop->on_signal) {
		struct on_signal *s = loop->on_signal;

		loop->on_signal = s->next;
		ev_signal_stop(loop->ev, &s->ev);
		free(s);
	}
	ev_prepare_stop(loop->ev, &loop->prepare);
	ev_check_stop(loop->ev, &loop->check);
	ev_async_stop(loop->ev, &loop->wake);
	ev_loop_destroy(loop->ev);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

void ts_loop_run(struct ts_loop *loop)
{
	ts_loop_update(loop);
	ev_run(loop->ev, 0);
}

uint64_t ts_loop_now_ms(const struct ts_loop *loop)
{
	return loop->now_ms;
}

void ts_loop_update(struct ts_loop *loop)
{
	ev_now_update(loop->ev);
	loop->now_ms = monotonic_ms();
}

/* -- file descriptors ----------------------------------------------------- */

static int to_libev(unsigned events)
{
	return (events & TS_READABLE ? EV_READ : 0) |
	       (events & TS_WRITABLE ? EV_WRITE : 0);
}

static void on_io(struct ev_loop *ev, ev_io *io, int revents)
{
	struct ts_watch *w = (struct ts_watch *)io;
	unsigned events = 0;

	(void)ev;
	if (revents & EV_READ)
		events |= TS_READABLE;
	if (revents & EV_WRITE)
		events |= TS_WRITABLE;
	w->fn(w->ctx, events); /* w may be gone now */
}

struct ts_watch *ts_watch_new(struct ts_loop *loop, int fd, unsigned events,
			      void (*fn)(void *ctx, unsigned events), void *ctx)
{
	struct ts_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->loop = loop;
	w->fn = fn;
	w->ctx = ctx;
	ev_io_init(&w->ev, on_io, fd, to_libev(events));
	if (events)
		ev_io_start(loop->ev, &w->ev);
	return w;
}

void ts_watch_set(struct ts_watch *w, unsigned events)
{
	int wanted = to_libev(events);
	int current = 0;

	if (ev_is_active(&w->ev))
		current = w->ev.events & (EV_READ | EV_WRITE);
	if (current == wanted)
		return;
	ev_io_stop(w->loop->ev, &w->ev);
	ev_io_set(&w->ev, w->ev.fd, wanted);
	if (wanted)
		ev_io_start(w->loop->ev, &w->ev);
}

void ts_watch_free(struct ts_watch *w)
{
	if (!w)
		return;
	ev_io_stop(w->loop->ev, &w->ev);
	free(w);
}

/* -- timers --------------------------------------------------------------- */

static void disarm(struct ts_timer *t)
{
	ev_timer_stop(t->loop->ev, &t->ev);
	t->armed_ms = UINT64_MAX;
}

static void arm(struct ts_timer *t)
{
	uint64_t now_ms = t->loop->now_ms;
	uint64_t wait_ms = t->at_ms > now_ms ? t->at_ms - now_ms : 0;

	disarm(t);
	ev_timer_set(&t->ev, (double)wait_ms / 1000.0, 0.0);
	ev_timer_start(t->loop->ev, &t->ev);
	t->armed_ms = t->at_ms;
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int revents)
{
	struct ts_timer *t = (struct ts_timer *)timer;

	(void)ev;
	(void)revents;
	t->armed_ms = UINT64_MAX;
	if (t->at_ms == UINT64_MAX)
		return;
	if (t->at_ms > t->loop->now_ms) { /* pushed back since */
		arm(t);
		return;
	}
	t->at_ms = UINT64_MAX;
	t->fn(t->ctx); /* t may be gone now */
}

struct ts_timer *ts_timer_new(struct ts_loop *loop, void (*fn)(void *ctx),
			      void *ctx)
{
	struct ts_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = loop;
	t->fn = fn;
	t->ctx = ctx;
	t->at_ms = t->armed_ms = UINT64_MAX;
	ev_timer_init(&t->ev, on_timer, 0.0, 0.0);
	return t;
}

void ts_timer_set(struct ts_timer *t, uint64_t at_ms)
{
	t->at_ms = at_ms;
	if (at_ms == UINT64_MAX)
		disarm(t);
	else if (at_ms < t->armed_ms)
		arm(t);
}

void ts_timer_free(struct ts_timer *t)
{
	if (!t)
		return;
	ev_timer_stop(t->loop->ev, &t->ev);
	free(t);
}

/* -- signals -------------------------------------------------------------- */

static void on_signal_event(struct ev_loop *ev, ev_signal *w, int revents)
{
	struct on_signal *s = (struct on_signal *)w;

	(void)ev;
	(void)revents;
	s->fn(s->ctx, w->signum);
}

int ts_loop_on_signal(struct ts_loop *loop, int signo,
		      void (*fn)(void *ctx, int signo), void *ctx)
{
	struct on_signal *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fn = fn;
	s->ctx = ctx;
	ev_signal_init(&s->ev, on_signal_event, signo);
	ev_signal_start(loop->ev, &s->ev);
	s->next = loop->on_signal;
	loop->on_signal = s;
	return 0;
}
