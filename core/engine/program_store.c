/* SPDX-License-Identifier: BSD-3-Clause
 * program_store.c - the state in a store of the program's own
 * Source: ipn/store.go (StateStore), ipn/ipnlocal/profiles.go (its keys)
 *
 * Such a store knows keys and values, and does not tell which there are. So
 * the keys that always are there are read, and those of the profiles that they
 * name. What differs from what the store has is written, one value at a time
 * and one under way: what others name comes before who names it, and goes
 * after it, so that a program which dies in between has a state that makes
 * sense. What fails is tried again.
 *
 * While the program reads and writes for somebody who waits, the engine holds
 * nothing that others of this process need (fork_gate.h).
 */
#include "core/engine/program_store.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/fork_gate.h"
#include "core/state/profile_list.h"

enum {
	LOAD_MS = 20000,
	SAVE_NOW_MS = 10000,
	RETRY_FIRST_MS = 1000,
	RETRY_MAX_MS = 60000,
	KEY_CAP = 256,
	VALUE_MAX = 16 * 1024 * 1024,
};

struct program_store {
	struct state_store base;
	const struct ts_program_ops *ops;
	struct ts_loop *loop;
	struct ts_timer *timer, *limit;
	struct ts_state *kept; /* as the program's store has it */
	unsigned failures;     /* in a row */
	/* Under way: the key, and the value that it will have. NULL: none */
	char *key;
	uint8_t *data; /* NULL: it goes */
	size_t len;
	bool is_awaited; /* the loop runs until that is written */
	/* The end is near: so many may still fail. */
	bool is_ending;
	unsigned tries_left;
};

/* -- loading -------------------------------------------------------------- */

static int read_value(struct program_store *p, const char *key,
		      uint64_t end_ms, char err[static 256])
{
	uint8_t *data = NULL;
	size_t len = 0;
	uint64_t now_ms;
	int code;

	ts_loop_update(p->loop);
	now_ms = ts_loop_now_ms(p->loop);
	fork_gate_leave();
	code = now_ms >= end_ms ? -ETIMEDOUT
				: p->ops->read(p->ops->ctx, key,
					       (unsigned)(end_ms - now_ms),
					       &data, &len);
	fork_gate_enter();
	if (code == -ENOENT)
		return 0;
	if (!code && len > VALUE_MAX)
		code = -EMSGSIZE;
	if (!code && (ts_state_set(p->base.state, key, data, len) < 0 ||
		      ts_state_set(p->kept, key, data, len) < 0))
		code = -ENOMEM;
	if (code)
		snprintf(err, 256, "the program's store: cannot read %.80s: %s",
			 key, ts_strerror(code));
	if (data)
		ts_wipe(data, len);
	free(data);
	return code;
}

static int read_profile(struct program_store *p, const json_t *profile,
			uint64_t end_ms, char err[static 256])
{
	const char *key = json_string_value(json_object_get(profile, "Key"));
	const char *id = json_string_value(json_object_get(profile, "ID"));
	char serve[KEY_CAP];
	int code = 0;

	if (key && strlen(key) < KEY_CAP)
		code = read_value(p, key, end_ms, err);
	if (!code && id && strlen(id) < KEY_CAP - sizeof("_serve/")) {
		snprintf(serve, sizeof(serve), "_serve/%s", id);
		code = read_value(p, serve, end_ms, err);
	}
	return code;
}

static int read_profiles(struct program_store *p, uint64_t end_ms,
			 char err[static 256])
{
	char why[128] = "";
	json_t *list = ts_profiles_list(p->base.state, why), *profile;
	size_t i;
	int code = list ? 0 : -EBADMSG;

	if (code)
		snprintf(err, 256, "the program's store: %s", why);
	json_array_foreach(list, i, profile)
		if (!code)
			code = read_profile(p, profile, end_ms, err);
	json_decref(list);
	return code;
}

static int load(struct state_store *s, char err[static 256])
{
	static const char *const keys[] = {"_machinekey", "_profiles",
					   "_current-profile", "_daemon"};
	struct program_store *p = (struct program_store *)s;
	uint64_t end_ms;
	int code = 0;

	ts_loop_update(p->loop);
	end_ms = ts_loop_now_ms(p->loop) + LOAD_MS;
	for (size_t i = 0; !code && i < sizeof(keys) / sizeof(keys[0]); i++)
		code = read_value(p, keys[i], end_ms, err);
	return code ? code : read_profiles(p, end_ms, err);
}

/* -- what differs --------------------------------------------------------- */

static bool is_kept(const struct program_store *p, const char *key)
{
	size_t len, kept_len;
	const uint8_t *data = ts_state_get(p->base.state, key, &len);
	const uint8_t *kept = ts_state_get(p->kept, key, &kept_len);

	return data && kept && len == kept_len && memcmp(data, kept, len) == 0;
}

/* "profile-x" before "_profiles" before "_current-profile": from the end. */
static const char *next_to_set(const struct program_store *p)
{
	for (size_t i = ts_state_count(p->base.state); i > 0; i--) {
		const char *key = ts_state_key(p->base.state, i - 1);

		if (!is_kept(p, key))
			return key;
	}
	return NULL;
}

static const char *next_to_delete(const struct program_store *p)
{
	size_t len;

	for (size_t i = 0; i < ts_state_count(p->kept); i++) {
		const char *key = ts_state_key(p->kept, i);

		if (!ts_state_get(p->base.state, key, &len))
			return key;
	}
	return NULL;
}

static const char *next_key(const struct program_store *p)
{
	const char *key = next_to_set(p);

	return key ? key : next_to_delete(p);
}

/* -- writing -------------------------------------------------------------- */

static void forget(struct program_store *p)
{
	if (p->data)
		ts_wipe(p->data, p->len);
	free(p->data);
	free(p->key);
	p->key = NULL;
	p->data = NULL;
}

/* A copy: the state may change while the program writes. */
static int begin(struct program_store *p, const char *key)
{
	const uint8_t *data = ts_state_get(p->base.state, key, &p->len);

	p->key = strdup(key);
	if (data)
		p->data = malloc(p->len + 1);
	if (!p->key || (data && !p->data)) {
		forget(p);
		return -ENOMEM;
	}
	if (data)
		memcpy(p->data, data, p->len);
	return 0;
}

static void note(struct program_store *p, int code, char why[static 256])
{
	if (!code && ts_state_set(p->kept, p->key, p->data, p->len) < 0)
		code = -ENOMEM;
	why[0] = '\0';
	if (code)
		snprintf(why, 256,
			 "the program's store: cannot write %.80s: %s", p->key,
			 ts_strerror(code));
	forget(p);
}

static void pump(struct program_store *p);

static void retry_later(struct program_store *p)
{
	uint64_t wait_ms = RETRY_FIRST_MS;

	for (unsigned i = 0; i < p->failures && wait_ms < RETRY_MAX_MS; i++)
		wait_ms *= 2;
	p->failures++;
	ts_timer_set(p->timer, ts_loop_now_ms(p->loop) + wait_ms);
}

static void stop_waiting(void *ctx)
{
	struct program_store *p = ctx;

	if (p->is_awaited)
		ts_loop_stop(p->loop);
	p->is_awaited = false;
}

static void on_written(void *ctx, int code)
{
	struct program_store *p = ctx;
	char why[256];

	note(p, code, why);
	state_store_set_trouble(&p->base, why);
	if (p->is_awaited) {
		stop_waiting(p);
	} else if (!why[0]) {
		p->failures = 0;
		pump(p);
	} else if (!p->is_ending) {
		retry_later(p);
	} else if (--p->tries_left > 0) {
		pump(p);
	}
}

static void pump(struct program_store *p)
{
	const char *key = p->key ? NULL : next_key(p);
	int code;

	if (!key)
		return;
	ts_timer_set(p->timer, UINT64_MAX);
	code = begin(p, key);
	if (!code)
		code = p->ops->write(p->ops->ctx, p->key, p->data, p->len, 0,
				     on_written, p);
	if (!code)
		return;
	forget(p);
	retry_later(p);
}

static void on_timer(void *ctx)
{
	pump(ctx);
}

static void save(struct state_store *s)
{
	struct program_store *p = (struct program_store *)s;

	/* At the end of a turn: what changes together is looked at once. */
	if (!p->key)
		ts_timer_set(p->timer, ts_loop_now_ms(p->loop));
}

/* One at a time: what is under way tells its end by the loop. */
static int wait_for_write(struct program_store *p, char err[static 256])
{
	if (!p->key)
		return 0;
	p->is_awaited = true;
	ts_loop_update(p->loop);
	ts_timer_set(p->limit, ts_loop_now_ms(p->loop) + SAVE_NOW_MS);
	ts_loop_run(p->loop);
	ts_timer_set(p->limit, UINT64_MAX);
	if (!p->key)
		return 0;
	snprintf(err, 256, "the program's store: still writes %.80s", p->key);
	return -ETIMEDOUT;
}

static int save_now(struct state_store *s, char err[static 256])
{
	struct program_store *p = (struct program_store *)s;
	const char *key;
	int code;

	err[0] = '\0';
	code = wait_for_write(p, err);
	while (!err[0] && (key = next_key(p))) {
		code = begin(p, key);
		if (code) {
			snprintf(err, 256, "out of memory");
			return code;
		}
		fork_gate_leave();
		code = p->ops->write(p->ops->ctx, p->key, p->data, p->len,
				     SAVE_NOW_MS, NULL, NULL);
		fork_gate_enter();
		note(p, code, err);
	}
	return err[0] && !code ? -ENOMEM : code;
}

/* -- the end -------------------------------------------------------------- */

static void finish(struct state_store *s)
{
	struct program_store *p = (struct program_store *)s;

	/* What is under way was begun without knowing. */
	p->is_ending = true;
	p->tries_left = p->key ? 2 : 1;
	p->base.trouble[0] = '\0';
	pump(p);
}

static bool is_finished(const struct state_store *s)
{
	const struct program_store *p = (const struct program_store *)s;

	return !p->key && (p->base.trouble[0] || !next_key(p));
}

static void free_store(struct state_store *s)
{
	struct program_store *p = (struct program_store *)s;

	forget(p);
	ts_timer_free(p->timer);
	ts_timer_free(p->limit);
	ts_state_free(p->kept);
	free(p->base.name);
	free(p);
}

static const struct state_store_ops program_ops = {
	.load = load,
	.save = save,
	.save_now = save_now,
	.finish = finish,
	.is_finished = is_finished,
	.free = free_store,
};

struct state_store *program_store_new(struct ts_state *state,
				      struct ts_loop *loop,
				      const struct ts_program_ops *ops)
{
	struct program_store *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base.ops = &program_ops;
	p->base.state = state;
	p->base.name = strdup("the program's store");
	p->ops = ops;
	p->loop = loop;
	p->timer = ts_timer_new(loop, on_timer, p);
	p->limit = ts_timer_new(loop, stop_waiting, p);
	p->kept = ts_state_new();
	if (p->base.name && p->timer && p->limit && p->kept)
		return &p->base;
	free_store(&p->base);
	return NULL;
}
