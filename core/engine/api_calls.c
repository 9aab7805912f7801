/* SPDX-License-Identifier: BSD-3-Clause
 * api_calls.c - the functions that a program gave us, and their thread
 *
 * The engine's thread must not wait, and has descriptors of its own: a
 * program's function that writes to its log file would find another file there,
 * or none. So these functions have a thread, one for each server that was given
 * any. It has the program's descriptors, as it was made by one of its threads,
 * and runs one function at a time: lines of the log first.
 *
 * Lines wait in a queue of LINES_MAX; what comes when it is full is dropped and
 * counted. The store's requests come one at a time, or a few.
 *
 * The end is the engine's first: whatever it has said and asked until then is
 * done. A program that never comes back from its own function waits in
 * tsnet_close() for ever.
 */
#include "core/engine/api_calls.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"

enum {
	LINES_MAX = 1000,
	VALUE_FIRST_BYTES = 16 * 1024,
	VALUE_MAX = 16 * 1024 * 1024,
};

struct line {
	struct line *next;
	enum ts_log_level level;
	bool is_user;
	char text[];
};

struct job {
	struct job *next;
	bool is_read;
	char *key;
	uint8_t *data; /* write: NULL: it goes; read: what came */
	size_t len;
	void (*then)(void *ctx, int code); /* NULL: somebody waits */
	void *then_ctx;
	int code;
	bool is_done, is_left; /* who waited has gone */
};

struct api_calls {
	struct ts_program_ops ops;
	struct api_given given;
	struct ts_engine_thread *host;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool is_over;
	struct line *first_line, *last_line;
	size_t line_count, dropped;
	struct job *jobs;
};

/* Whose thread this is; NULL: nobody's. */
static __thread const struct ts_engine_thread *here;

/* -- the log -------------------------------------------------------------- */

static void push_line(struct api_calls *c, enum ts_log_level level,
		      bool is_user, const char *text)
{
	size_t len = strlen(text) + 1;
	struct line *line = malloc(sizeof(*line) + len);

	if (line) {
		line->next = NULL;
		line->level = level;
		line->is_user = is_user;
		memcpy(line->text, text, len);
	}
	pthread_mutex_lock(&c->lock);
	if (!line || c->is_over || c->line_count == LINES_MAX) {
		c->dropped++;
		free(line);
	} else {
		if (c->last_line)
			c->last_line->next = line;
		else
			c->first_line = line;
		c->last_line = line;
		c->line_count++;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

static void take_log(void *ctx, enum ts_log_level level, const char *text)
{
	push_line(ctx, level, false, text);
}

void api_calls_tell_user(struct api_calls *c, enum ts_log_level level,
			 const char *text)
{
	if (c && c->given.user_log)
		push_line(c, level, true, text);
}

static void say(const struct api_calls *c, bool is_user, int level,
		const char *text)
{
	if (is_user)
		c->given.user_log(c->given.user_log_ctx, level, text);
	else if (c->given.log)
		c->given.log(c->given.log_ctx, level, text);
}

/* Under lock, which is given up meanwhile. */
static void say_first(struct api_calls *c)
{
	struct line *line = c->first_line;
	size_t dropped = c->dropped;
	char text[80];

	c->first_line = line->next;
	if (!c->first_line)
		c->last_line = NULL;
	c->line_count--;
	c->dropped = 0;
	pthread_mutex_unlock(&c->lock);
	if (dropped > 0) {
		snprintf(text, sizeof(text), "log: %zu lines were lost: the "
			 "program is slow to take them", dropped);
		say(c, false, TSNET_LOG_WARN, text);
	}
	say(c, line->is_user, (int)line->level, line->text);
	free(line);
	pthread_mutex_lock(&c->lock);
}

/* -- the store ------------------------------------------------------------ */

static void free_job(struct job *job)
{
	if (job->data)
		ts_wipe(job->data, job->len);
	free(job->data);
	free(job->key);
	free(job);
}

static struct job *new_job(const char *key, const void *data, size_t len)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->key = strdup(key);
	job->len = len;
	if (data)
		job->data = malloc(len + 1);
	if (!job->key || (data && !job->data)) {
		free(job->data);
		free(job->key);
		free(job);
		return NULL;
	}
	if (data)
		memcpy(job->data, data, len);
	return job;
}

/* What a program returns that is no errno is an error all the same. */
static int as_error(ssize_t code)
{
	return code < 0 && code > -4096 ? (int)code : -EIO;
}

/* A value that is longer than there is room for is asked for again. */
static int read_value(const struct tsnet_store *store, struct job *job)
{
	size_t cap = VALUE_FIRST_BYTES;

	while (cap <= VALUE_MAX) {
		uint8_t *room = malloc(cap);
		ssize_t n;

		if (!room)
			return -ENOMEM;
		n = store->read(store->ctx, job->key, room, cap);
		if (n >= 0 && (size_t)n <= cap) {
			job->data = room;
			job->len = (size_t)n;
			return 0;
		}
		ts_wipe(room, cap);
		free(room);
		if (n < 0)
			return as_error(n);
		cap = (size_t)n;
	}
	return -EMSGSIZE;
}

static int do_job(const struct tsnet_store *store, struct job *job)
{
	int code;

	if (job->is_read)
		return read_value(store, job);
	code = job->data ? store->write(store->ctx, job->key, job->data,
					job->len)
			 : store->remove(store->ctx, job->key);
	if (!job->data && code == -ENOENT)
		return 0;
	return code == 0 ? 0 : as_error(code);
}

static void on_engine(struct ts_engine *engine, void *ctx)
{
	struct job *job = ctx;

	(void)engine;
	job->then(job->then_ctx, job->code);
}

/* Under lock, which is given up meanwhile. */
static void do_first(struct api_calls *c)
{
	struct job *job = c->jobs;
	bool is_ours;

	c->jobs = job->next;
	pthread_mutex_unlock(&c->lock);
	job->code = do_job(&c->given.store, job);
	if (job->then) /* refused: the engine has gone, and knows */
		(void)ts_engine_thread_call(c->host, on_engine, job);
	pthread_mutex_lock(&c->lock);
	job->is_done = true;
	is_ours = job->then || job->is_left;
	pthread_cond_broadcast(&c->changed);
	if (is_ours)
		free_job(job);
}

/* 0, or -ESHUTDOWN: nobody is there. */
static int push_job(struct api_calls *c, struct job *job)
{
	struct job **at = &c->jobs;
	bool is_over;

	pthread_mutex_lock(&c->lock);
	is_over = c->is_over;
	while (*at)
		at = &(*at)->next;
	if (!is_over)
		*at = job;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return is_over ? -ESHUTDOWN : 0;
}

static struct timespec deadline(unsigned wait_ms)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += wait_ms / 1000;
	end.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	return end;
}

/* What it came to, and the job is ours again; -ETIMEDOUT and NULL: it is the
 * thread's, which may have freed it by now. */
static int await(struct api_calls *c, struct job **job, unsigned wait_ms)
{
	const struct timespec end = deadline(wait_ms);
	int late = 0, code;

	pthread_mutex_lock(&c->lock);
	while (!(*job)->is_done && !late)
		late = pthread_cond_timedwait(&c->changed, &c->lock, &end);
	code = (*job)->is_done ? (*job)->code : -ETIMEDOUT;
	if (!(*job)->is_done) {
		(*job)->is_left = true;
		*job = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	return code;
}

static int read_op(void *ctx, const char *key, unsigned wait_ms,
		   uint8_t **out, size_t *len)
{
	struct job *job = new_job(key, NULL, 0);
	int code = job ? 0 : -ENOMEM;

	*out = NULL;
	if (code)
		return code;
	job->is_read = true;
	code = push_job(ctx, job);
	if (!code)
		code = await(ctx, &job, wait_ms);
	if (!job)
		return code;
	if (!code) {
		*out = job->data;
		*len = job->len;
		job->data = NULL;
	}
	free_job(job);
	return code;
}

static int write_op(void *ctx, const char *key, const void *data, size_t len,
		    unsigned wait_ms, void (*then)(void *ctx, int code),
		    void *then_ctx)
{
	struct job *job = new_job(key, data, len);
	int code = job ? 0 : -ENOMEM;

	if (code)
		return code;
	job->then = then;
	job->then_ctx = then_ctx;
	code = push_job(ctx, job);
	if (!code && then)
		return 0;
	if (!code)
		code = await(ctx, &job, wait_ms);
	if (job)
		free_job(job);
	return code;
}

/* -- the thread ----------------------------------------------------------- */

static void *run(void *ctx)
{
	struct api_calls *c = ctx;

	here = c->host;
	pthread_mutex_lock(&c->lock);
	while (c->first_line || c->jobs || !c->is_over) {
		if (c->first_line)
			say_first(c);
		else if (c->jobs)
			do_first(c);
		else
			pthread_cond_wait(&c->changed, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int create(pthread_t *thread, struct api_calls *c)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pthread_setname_np(*thread, "tsnet-calls");
	return -err;
}

static void free_calls(struct api_calls *c)
{
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int api_calls_start(struct api_calls **out, const struct api_given *given,
		    struct ts_engine_thread *host)
{
	struct api_calls *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int err;

	if (!c)
		return -ENOMEM;
	c->given = *given;
	c->host = host;
	c->ops.ctx = c;
	c->ops.log = given->log ? take_log : NULL;
	c->ops.read = given->has_store ? read_op : NULL;
	c->ops.write = given->has_store ? write_op : NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	err = create(&c->thread, c);
	if (!err)
		*out = c;
	else
		free_calls(c);
	return err;
}

const struct ts_program_ops *api_calls_ops(const struct api_calls *c)
{
	return &c->ops;
}

bool api_calls_is_here(const struct ts_engine_thread *host)
{
	return here == host;
}

static void end(struct api_calls *c)
{
	pthread_mutex_lock(&c->lock);
	c->is_over = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void api_calls_stop(struct api_calls *c)
{
	if (!c)
		return;
	end(c);
	pthread_join(c->thread, NULL);
	free_calls(c);
}

void api_calls_abandon(struct api_calls *c)
{
	if (!c)
		return;
	end(c);
	pthread_detach(c->thread);
}
