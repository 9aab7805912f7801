/* SPDX-License-Identifier: BSD-3-Clause
 * state_store.c - where the node's state is kept: a file, or memory alone
 * Source: ipn/store/stores.go (FileStore), ipn/store/mem
 *
 * The file is replaced as a whole and never half (core/io/disk.c). A disk that
 * is full, or gone read-only, costs nothing that was kept before; each change
 * and a timer try again, and so does the end. What a process that was killed
 * while it wrote left beside the file has keys in it, and goes with the next
 * start.
 */
#include "core/engine/state_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/io/disk.h"

enum {
	STATE_MAX = 16 * 1024 * 1024,
	FILE_MODE = 0600,
	RETRY_FIRST_MS = 1000,
	RETRY_MAX_MS = 60000,
};

int state_store_load(struct state_store *s, char err[static 256])
{
	return s->ops->load(s, err);
}

void state_store_save(struct state_store *s)
{
	s->ops->save(s);
}

int state_store_save_now(struct state_store *s, char err[static 256])
{
	return s->ops->save_now(s, err);
}

void state_store_finish(struct state_store *s)
{
	s->ops->finish(s);
}

bool state_store_is_finished(const struct state_store *s)
{
	return s->ops->is_finished(s);
}

void state_store_free(struct state_store *s)
{
	if (s)
		s->ops->free(s);
}

void state_store_set_trouble(struct state_store *s, const char *trouble)
{
	if (strncmp(s->trouble, trouble, sizeof(s->trouble) - 1) == 0)
		return;
	if (*trouble)
		log_error("state: %s: what changed is not kept: a restart may "
			  "have to log in again", trouble);
	else
		log_info("state: %s: kept again", s->name);
	snprintf(s->trouble, sizeof(s->trouble), "%s", trouble);
}

static bool init(struct state_store *s, const struct state_store_ops *ops,
		 struct ts_state *state, const char *name)
{
	s->ops = ops;
	s->state = state;
	s->name = strdup(name);
	return s->name != NULL;
}

/* -- memory --------------------------------------------------------------- */

static int load_nothing(struct state_store *s, char err[static 256])
{
	(void)s;
	err[0] = '\0';
	return 0;
}

static void keep_nothing(struct state_store *s)
{
	(void)s;
}

static bool is_always_finished(const struct state_store *s)
{
	(void)s;
	return true;
}

static void free_memory(struct state_store *s)
{
	free(s->name);
	free(s);
}

static const struct state_store_ops memory_ops = {
	.load = load_nothing,
	.save = keep_nothing,
	.save_now = load_nothing,
	.finish = keep_nothing,
	.is_finished = is_always_finished,
	.free = free_memory,
};

struct state_store *state_store_memory(struct ts_state *state)
{
	struct state_store *s = calloc(1, sizeof(*s));

	if (s && !init(s, &memory_ops, state, "memory")) {
		free_memory(s);
		s = NULL;
	}
	return s;
}

/* -- a file --------------------------------------------------------------- */

struct file_store {
	struct state_store base;
	struct ts_loop *loop;
	struct ts_timer *retry;
	unsigned failures; /* in a row */
};

static int load_file(struct state_store *s, char err[static 256])
{
	uint8_t *data = NULL;
	size_t len = 0;
	char why[128] = "";
	int code = ts_disk_read(s->name, STATE_MAX, &data, &len);

	ts_disk_sweep_temps(s->name);
	if (code == -ENOENT)
		return 0;
	if (code) {
		snprintf(err, 256, "%s: %s", s->name, ts_strerror(code));
		return code;
	}
	code = ts_state_parse(s->state, data, len, why);
	ts_wipe(data, len);
	free(data);
	if (code)
		snprintf(err, 256, "%s: %s: repair it, or move it away to "
			 "join as a new node", s->name, why);
	else if (ts_disk_is_exposed(s->name))
		log_warn("state: %s could be read by other users, and has "
			 "keys: mode 0600 from the next change on, but log in "
			 "anew (force_login) if they may have", s->name);
	return code;
}

static int write_file(struct state_store *s)
{
	size_t len;
	char *text = ts_state_format(s->state, &len);
	int code = text ? ts_disk_write(s->name, text, len, FILE_MODE)
			: -ENOMEM;

	if (text) {
		ts_wipe(text, len);
		free(text);
	}
	return code;
}

static const char *advice_for(int code)
{
	switch (code) {
	case -ENOSPC:
	case -EDQUOT:
		return ": make room there";
	case -EROFS:
	case -EACCES:
	case -EPERM:
		return ": make it writable";
	case -ENOENT:
		return ": is it a link to nothing, or its directory gone?";
	default:
		return "";
	}
}

static int keep_file(struct state_store *s, char why[static 256])
{
	int code = write_file(s);

	why[0] = '\0';
	if (code)
		snprintf(why, 256, "cannot write %s: %s%s", s->name,
			 ts_strerror(code), advice_for(code));
	return code;
}

static void save_file(struct state_store *s)
{
	struct file_store *f = (struct file_store *)s;
	uint64_t wait_ms = RETRY_FIRST_MS;
	char why[256];
	int code = keep_file(s, why);

	state_store_set_trouble(s, why);
	if (!code) {
		f->failures = 0;
		ts_timer_set(f->retry, UINT64_MAX);
		return;
	}
	for (unsigned i = 0; i < f->failures && wait_ms < RETRY_MAX_MS; i++)
		wait_ms *= 2;
	f->failures++;
	ts_timer_set(f->retry, ts_loop_now_ms(f->loop) + wait_ms);
}

static void on_retry(void *ctx)
{
	save_file(ctx);
}

static void finish_file(struct state_store *s)
{
	if (s->trouble[0])
		save_file(s);
}

static void free_file(struct state_store *s)
{
	struct file_store *f = (struct file_store *)s;

	ts_timer_free(f->retry);
	free(s->name);
	free(f);
}

static const struct state_store_ops file_ops = {
	.load = load_file,
	.save = save_file,
	.save_now = keep_file,
	.finish = finish_file,
	.is_finished = is_always_finished,
	.free = free_file,
};

struct state_store *state_store_file(struct ts_state *state,
				     struct ts_loop *loop, const char *path)
{
	struct file_store *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->loop = loop;
	f->retry = ts_timer_new(loop, on_retry, f);
	if (init(&f->base, &file_ops, state, path) && f->retry)
		return &f->base;
	free_file(&f->base);
	return NULL;
}
