/* SPDX-License-Identifier: BSD-3-Clause
 * engine_thread.c - an engine on a thread inside somebody else's program
 *
 * Everything that the engine opens belongs to its thread's table of
 * descriptors (own_files.c), so it is opened, run and closed there. The
 * starter waits for the result of opening, then lets it run. Opening does not
 * wait for the network, but for a disk it may: a starter that has waited long
 * enough goes, and the thread, when it comes back, undoes its work.
 *
 * To wake a loop takes a write to one of its descriptors, which other threads
 * of the program do not have. So a second thread, made by the first, shares
 * its table and sleeps until somebody wants the engine to end, or a function to
 * be called on its thread, and passes that on.
 *
 * What all need is in a block of its own that the last of them frees.
 */
#include "core/engine/engine_thread.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/fork_gate.h"
#include "core/engine/own_files.h"

enum {
	STACK_BYTES = 512 * 1024,
	MESSENGER_STACK_BYTES = 64 * 1024,
	OPEN_WAIT_S = 30,
};

enum phase { OPENING, OPENED, FAILED, RUNNING, ABANDONED };

struct call {
	struct call *next;
	void (*fn)(struct ts_engine *engine, void *ctx);
	void *ctx;
	bool is_done;
	int err;
};

struct ts_engine_control {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum phase phase;
	int users;
	struct ts_config config;
	void (*begin)(void);
	ts_engine_state_fn state;
	void *state_ctx;
	struct ts_engine *engine;
	bool shares_files;
	sem_t wish; /* the messenger waits for it */
	bool wants_stop, is_over;
	struct call *calls; /* that have not begun */
	int code;
	char err[256];
};

static void release(struct ts_engine_control *s)
{
	int left;

	pthread_mutex_lock(&s->lock);
	left = --s->users;
	pthread_mutex_unlock(&s->lock);
	if (left > 0)
		return;
	sem_destroy(&s->wish);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	ts_config_deinit(&s->config);
	free(s);
}

/* -- the thread ----------------------------------------------------------- */

static void open_engine(struct ts_engine_control *s)
{
	int err = own_files_take();

	s->shares_files = err != 0;
	s->code = ts_engine_open(&s->engine, &s->config,
				 err ? TS_ENGINE_SHARES_FILES
				     : TS_ENGINE_OWN_FILES,
				 s->err);
	if (!s->code && err)
		log_info("engine: no descriptors of its own, the program's "
			 "closefrom() would end it: %s",
			 ts_strerror(err));
}

/* true: run. */
static bool report(struct ts_engine_control *s)
{
	bool runs;

	pthread_mutex_lock(&s->lock);
	if (s->phase == OPENING)
		s->phase = s->code ? FAILED : OPENED;
	pthread_cond_broadcast(&s->changed);
	while (s->phase == OPENED)
		pthread_cond_wait(&s->changed, &s->lock);
	runs = s->phase == RUNNING;
	pthread_mutex_unlock(&s->lock);
	return runs;
}

/* -- from other threads --------------------------------------------------- */

static void end_call(struct ts_engine_control *s, struct call *call, int err)
{
	pthread_mutex_lock(&s->lock);
	call->err = err;
	call->is_done = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static struct call *take_call(struct ts_engine_control *s)
{
	struct call *call;

	pthread_mutex_lock(&s->lock);
	call = s->calls;
	if (call)
		s->calls = call->next;
	pthread_mutex_unlock(&s->lock);
	return call;
}

/* On the engine's thread. */
static void make_calls(void *ctx)
{
	struct ts_engine_control *s = ctx;
	struct call *call;

	while ((call = take_call(s))) {
		call->fn(s->engine, call->ctx);
		end_call(s, call, 0);
	}
}

static void refuse_calls(struct ts_engine_control *s, int err)
{
	struct call *call;

	while ((call = take_call(s)))
		end_call(s, call, err);
}

/* Until the engine has ended: on its way there it may wait for calls, too. */
static void *messenger(void *ctx)
{
	struct ts_engine_control *s = ctx;
	bool wants_stop, was_told = false, is_over = false, has_calls;

	while (!is_over) {
		if (sem_wait(&s->wish) != 0)
			continue; /* EINTR */
		pthread_mutex_lock(&s->lock);
		wants_stop = s->wants_stop;
		is_over = s->is_over;
		has_calls = s->calls;
		pthread_mutex_unlock(&s->lock);
		if (has_calls &&
		    ts_loop_post(ts_engine_loop(s->engine), make_calls, s))
			refuse_calls(s, -ENOMEM);
		if (wants_stop && !was_told)
			ts_engine_stop(s->engine);
		was_told |= wants_stop;
	}
	return NULL;
}

static void wish_stop(struct ts_engine_control *s)
{
	pthread_mutex_lock(&s->lock);
	s->wants_stop = true;
	pthread_mutex_unlock(&s->lock);
	sem_post(&s->wish);
}

static void take_no_more_calls(struct ts_engine_control *s)
{
	pthread_mutex_lock(&s->lock);
	s->is_over = true;
	pthread_mutex_unlock(&s->lock);
	sem_post(&s->wish);
	refuse_calls(s, -ENETDOWN);
}

/* -- the thread's own life ------------------------------------------------ */

static int create(pthread_t *thread, void *(*fn)(void *ctx), void *ctx,
		  size_t stack_bytes)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int err;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_bytes);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, &attr, fn, ctx);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!err)
		pthread_setname_np(*thread, "tsnet");
	return -err;
}

static void open_with_messenger(struct ts_engine_control *s, pthread_t *helper)
{
	open_engine(s);
	if (s->code)
		return;
	s->code = create(helper, messenger, s, MESSENGER_STACK_BYTES);
	if (!s->code)
		return;
	snprintf(s->err, sizeof(s->err), "cannot start a thread: %s",
		 ts_strerror(s->code));
	ts_engine_close(s->engine);
	s->engine = NULL;
}

static void *run(void *ctx)
{
	struct ts_engine_control *s = ctx;
	bool is_wanted;
	pthread_t helper;

	if (s->begin)
		s->begin();
	fork_gate_enter();
	open_with_messenger(s, &helper);
	if (s->engine)
		ts_loop_around_wait(ts_engine_loop(s->engine),
				    fork_gate_leave, fork_gate_enter);
	is_wanted = report(s);
	/* Who has gone may have freed what its function would be given. */
	if (is_wanted && s->state)
		ts_engine_watch_state(s->engine, s->state, s->state_ctx);
	if (!is_wanted && s->engine)
		wish_stop(s);
	if (s->engine) {
		ts_engine_run(s->engine);
		take_no_more_calls(s);
		pthread_join(helper, NULL);
		ts_engine_close(s->engine);
	}
	fork_gate_leave();
	release(s);
	return NULL;
}

/* -- who starts it -------------------------------------------------------- */

static int wait_opened(struct ts_engine_control *s,
		       struct ts_engine_thread *out, char err[static 256])
{
	struct timespec end;
	int late = 0, code;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += OPEN_WAIT_S;
	pthread_mutex_lock(&s->lock);
	while (s->phase == OPENING && !late)
		late = pthread_cond_timedwait(&s->changed, &s->lock, &end);
	if (s->phase == OPENED) {
		out->engine = s->engine;
		out->control = s;
		out->shares_files = s->shares_files;
		s->phase = RUNNING;
		code = 0;
	} else if (s->phase == FAILED) {
		snprintf(err, 256, "%s", s->err);
		code = s->code;
	} else {
		snprintf(err, 256, "the state directory does not answer");
		s->phase = ABANDONED;
		code = -ETIMEDOUT;
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return code;
}

static struct ts_engine_control *new_start(struct ts_config *config)
{
	struct ts_engine_control *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	sem_init(&s->wish, 0, 0);
	s->users = 2;
	s->config = *config;
	memset(config, 0, sizeof(*config));
	return s;
}

int ts_engine_thread_open(struct ts_engine_thread *out,
			  struct ts_config *config, void (*begin)(void),
			  ts_engine_state_fn state, void *state_ctx,
			  char err[static 256])
{
	struct ts_engine_control *s = new_start(config);
	int code;

	if (!s) {
		ts_config_deinit(config);
		snprintf(err, 256, "out of memory");
		return -ENOMEM;
	}
	fork_gate_watch();
	s->begin = begin;
	s->state = state;
	s->state_ctx = state_ctx;
	code = create(&out->thread, run, s, STACK_BYTES);
	if (code) {
		snprintf(err, 256, "cannot start a thread: %s",
			 ts_strerror(code));
		release(s); /* the thread's part */
		release(s);
		return code;
	}
	code = wait_opened(s, out, err);
	if (!code)
		return 0;
	release(s);
	if (code == -ETIMEDOUT)
		pthread_detach(out->thread);
	else
		pthread_join(out->thread, NULL);
	return code;
}

int ts_engine_thread_call(const struct ts_engine_thread *t,
			  void (*fn)(struct ts_engine *engine, void *ctx),
			  void *ctx)
{
	struct ts_engine_control *s = t->control;
	struct call call = {.fn = fn, .ctx = ctx, .err = -ENETDOWN};

	pthread_mutex_lock(&s->lock);
	if (!s->is_over) {
		struct call **at = &s->calls;

		while (*at)
			at = &(*at)->next;
		*at = &call;
		sem_post(&s->wish);
		while (!call.is_done)
			pthread_cond_wait(&s->changed, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return call.err;
}

void ts_engine_thread_stop(struct ts_engine_thread *t)
{
	wish_stop(t->control);
	pthread_join(t->thread, NULL);
	t->engine = NULL;
}

void ts_engine_thread_close(struct ts_engine_thread *t)
{
	if (t->engine)
		ts_engine_thread_stop(t);
	release(t->control);
	t->control = NULL;
}
