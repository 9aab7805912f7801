/* SPDX-License-Identifier: BSD-3-Clause
 * certs.c - this node's TLS certificates: who waits for them
 *
 * A name has a record (cert_name.c) once somebody has asked for it. Who asks
 * for what is there is answered in the next turn of the loop, who has to wait
 * for the CA when it has answered, or when his time is over.
 */
#include "core/engine/certs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/cert_name.h"
#include "core/engine/cert_refresh.h"
#include "core/engine/cert_store.h"
#include "core/engine/engine_internal.h"

enum {
	NAMES_MAX = 64,
	WAITS_MAX = 512,
	LOOK_MS = 3600 * 1000, /* is it time to renew? */
};

struct cert_wait {
	struct ts_link link; /* in a name's waits, or in certs->ready */
	struct certs *certs;
	struct cert_name *name; /* NULL: error says why */
	char *error;
	int64_t min_validity_s;
	uint64_t end_ms;
	cert_answer_fn fn;
	void *ctx;
};

struct certs {
	struct ts_engine *engine;
	struct ts_link names, ready;
	size_t name_count, wait_count;
	struct ts_timer *timer; /* answers what is ready, ends what waits */
	struct ts_timer *look;
	bool has_listeners; /* programs', behind TLS */
	struct ts_cert_counts orders[TS_CERT_CHALLENGES];
};

static uint64_t now_of(const struct certs *certs)
{
	return ts_loop_now_ms(certs->engine->loop);
}

static struct cert_name *name_at(struct ts_link *at)
{
	return TS_LINK_OWNER(at, struct cert_name, link);
}

static struct cert_wait *wait_at(struct ts_link *at)
{
	return TS_LINK_OWNER(at, struct cert_wait, link);
}

/* -- answers -------------------------------------------------------------- */

static void free_wait(struct cert_wait *wait)
{
	ts_list_remove(&wait->link);
	wait->certs->wait_count--;
	if (wait->name)
		wait->name->wait_count--;
	free(wait->error);
	free(wait);
}

static void answer(struct cert_wait *wait)
{
	struct cert_wait done = *wait;
	struct cert_answer a = {.error = done.error ? done.error
						    : "out of memory"};

	wait->error = NULL;
	if (!done.error && done.name)
		cert_name_answer(done.name, done.min_validity_s, &a);
	free_wait(wait);
	done.fn(done.ctx, &a);
	free(done.error);
}

/* The first time that somebody's patience ends; all wait for the same. */
static uint64_t first_end_ms(const struct certs *certs)
{
	uint64_t first_ms = UINT64_MAX;

	for (struct ts_link *at = certs->names.next; at != &certs->names;
	     at = at->next) {
		struct ts_link *waits = &name_at(at)->waits;

		for (struct ts_link *w = waits->next; w != waits; w = w->next)
			if (wait_at(w)->end_ms < first_ms)
				first_ms = wait_at(w)->end_ms;
	}
	return first_ms;
}

static void set_timer(struct certs *certs)
{
	ts_timer_set(certs->timer, ts_list_is_empty(&certs->ready)
					   ? first_end_ms(certs)
					   : now_of(certs));
}

static void be_ready(struct cert_wait *wait)
{
	ts_list_remove(&wait->link);
	ts_list_insert(&wait->certs->ready, &wait->link);
	ts_timer_set(wait->certs->timer, now_of(wait->certs));
}

static void on_issued(struct cert_name *name)
{
	while (!ts_list_is_empty(&name->waits))
		be_ready(wait_at(name->waits.next));
}

static void end_late(struct certs *certs, struct cert_name *name)
{
	uint64_t now_ms = now_of(certs);
	struct ts_link *next;

	for (struct ts_link *at = name->waits.next; at != &name->waits;
	     at = next) {
		struct cert_wait *wait = wait_at(at);

		next = at->next;
		if (wait->end_ms > now_ms)
			continue;
		wait->error = strdup("the CA takes too long: try again later");
		be_ready(wait);
	}
}

static void on_timer(void *ctx)
{
	struct certs *certs = ctx;

	for (struct ts_link *at = certs->names.next; at != &certs->names;
	     at = at->next)
		end_late(certs, name_at(at));
	/* Those that get ready meanwhile have their turn later. */
	for (size_t n = certs->wait_count;
	     n > 0 && !ts_list_is_empty(&certs->ready); n--)
		answer(wait_at(certs->ready.next));
	set_timer(certs);
}

/* -- names ---------------------------------------------------------------- */

const struct cert_name *certs_find(const struct ts_engine *engine,
				   const char *domain)
{
	const struct certs *certs = engine->certs;

	for (struct ts_link *at = certs->names.next; at != &certs->names;
	     at = at->next)
		if (strcmp(name_at(at)->domain, domain) == 0)
			return name_at(at);
	return NULL;
}

static void free_name(struct certs *certs, struct cert_name *name)
{
	ts_list_remove(&name->link);
	certs->name_count--;
	cert_name_deinit(name);
	free(name);
}

/* Another tailnet has other names: those that nobody needs go, oldest first. */
static void make_room(struct certs *certs)
{
	struct ts_link *next;

	for (struct ts_link *at = certs->names.next;
	     at != &certs->names && certs->name_count >= NAMES_MAX; at = next) {
		struct cert_name *name = name_at(at);

		next = at->next;
		if (!name->issue && !name->window && !name->reading &&
		    !name->writing && name->wait_count == 0)
			free_name(certs, name);
	}
}

static struct cert_name *get_name(struct certs *certs, const char *domain)
{
	struct cert_name *name =
		(struct cert_name *)certs_find(certs->engine, domain);

	if (name)
		return name;
	make_room(certs);
	name = certs->name_count < NAMES_MAX ? calloc(1, sizeof(*name)) : NULL;
	if (!name)
		return NULL;
	name->engine = certs->engine;
	name->issued = on_issued;
	snprintf(name->domain, sizeof(name->domain), "%s", domain);
	ts_list_init(&name->waits);
	ts_list_insert(&certs->names, &name->link);
	certs->name_count++;
	return name;
}

/* Another replica may have it. */
static void obtain(struct cert_name *name, int64_t min_validity_s)
{
	if (!cert_name_read_shared(name, min_validity_s))
		cert_name_obtain(name);
}

static void on_look(void *ctx)
{
	struct certs *certs = ctx;

	cert_refresh(certs->engine, certs->has_listeners);
	for (struct ts_link *at = certs->names.next; at != &certs->names;
	     at = at->next)
		cert_name_look_after(name_at(at));
	ts_timer_set(certs->look, now_of(certs) + LOOK_MS);
}

void certs_keep_fresh(struct ts_engine *engine, const char *domain,
		      bool obtains)
{
	char err[CERT_ERROR_CAP];
	struct cert_name *name;

	if (cert_name_check(engine, domain, err) ||
	    (!obtains && !certs_find(engine, domain) &&
	     !cert_store_has(engine, domain)))
		return;
	name = get_name(engine->certs, domain);
	if (!name)
		return;
	cert_name_load(name);
	if (obtains && !cert_name_is_fit(name, 0))
		obtain(name, 0);
}

void certs_changed(struct ts_engine *engine)
{
	if (engine->certs)
		ts_timer_set(engine->certs->look, now_of(engine->certs));
}

void certs_listened(struct ts_engine *engine)
{
	if (!engine->certs || engine->certs->has_listeners)
		return;
	engine->certs->has_listeners = true;
	certs_changed(engine);
}

/* -- what is said of them ------------------------------------------------- */

struct ts_cert_counts *certs_counts(struct ts_engine *engine,
				    enum ts_cert_challenge challenge)
{
	return &engine->certs->orders[challenge];
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_pending(const struct certs *certs,
			 struct ts_cert_report *out)
{
	const char *pending[NAMES_MAX];
	size_t count = 0, at = 0;

	for (struct ts_link *l = certs->names.next; l != &certs->names;
	     l = l->next)
		if (name_at(l)->issue && !cert_name_is_fit(name_at(l), 0))
			pending[count++] = name_at(l)->domain;
	qsort(pending, count, sizeof(pending[0]), compare_texts);
	for (size_t i = 0; i < count; i++) {
		size_t room = sizeof(out->pending) - at;
		int n = snprintf(out->pending + at, room, "%s%s",
				 i > 0 ? ", " : "", pending[i]);

		if (n < 0 || (size_t)n >= room) {
			out->pending[at] = '\0';
			return;
		}
		at += (size_t)n;
	}
}

void certs_report(void *ctx, struct ts_cert_report *out)
{
	const struct ts_engine *engine = ctx;
	const struct certs *certs = engine->certs;

	*out = (struct ts_cert_report){.pending = ""};
	if (!certs)
		return;
	memcpy(out->orders, certs->orders, sizeof(out->orders));
	list_pending(certs, out);
}

/* -- who asks ------------------------------------------------------------- */

static struct cert_wait *new_wait(struct certs *certs, unsigned limit_ms,
				  cert_answer_fn fn, void *ctx)
{
	struct cert_wait *wait = certs->wait_count < WAITS_MAX
					 ? calloc(1, sizeof(*wait)) : NULL;

	if (!wait)
		return NULL;
	certs->wait_count++;
	ts_list_init(&wait->link);
	wait->certs = certs;
	wait->end_ms = now_of(certs) + limit_ms;
	wait->fn = fn;
	wait->ctx = ctx;
	return wait;
}

static int attach(struct cert_wait *wait, const char *domain)
{
	char err[CERT_ERROR_CAP];

	if (cert_name_check(wait->certs->engine, domain, err)) {
		wait->error = strdup(err);
		return -EACCES;
	}
	wait->name = get_name(wait->certs, domain);
	if (!wait->name)
		return -ENOMEM;
	wait->name->wait_count++;
	return 0;
}

static void begin(struct cert_wait *wait, const char *domain)
{
	struct cert_name *name;

	if (attach(wait, domain)) {
		be_ready(wait);
		return;
	}
	name = wait->name;
	cert_name_load(name);
	if (!cert_name_is_fit(name, wait->min_validity_s))
		obtain(name, wait->min_validity_s);
	else if (wait->min_validity_s == 0)
		cert_name_look_after(name);
	if (cert_name_is_fit(name, wait->min_validity_s) ||
	    (!name->issue && !name->reading)) {
		be_ready(wait);
		return;
	}
	ts_list_insert(&name->waits, &wait->link);
	set_timer(wait->certs);
}

struct cert_wait *certs_get(struct ts_engine *engine, const char *domain,
			    int64_t min_validity_s, unsigned limit_ms,
			    cert_answer_fn fn, void *ctx)
{
	struct cert_wait *wait = new_wait(engine->certs, limit_ms, fn, ctx);
	char name[TS_CERT_DOMAIN_CAP];
	size_t len = strlen(domain);

	if (!wait)
		return NULL;
	/* An absolute name is the same one. */
	if (len > 0 && domain[len - 1] == '.')
		len--;
	snprintf(name, sizeof(name), "%.*s", (int)len, domain);
	wait->min_validity_s = min_validity_s;
	begin(wait, len < sizeof(name) ? name : "");
	return wait;
}

void certs_cancel(struct cert_wait *wait)
{
	if (wait)
		free_wait(wait);
}

/* -- life ----------------------------------------------------------------- */

int certs_open(struct ts_engine *engine)
{
	struct certs *certs = calloc(1, sizeof(*certs));

	if (!certs)
		return -ENOMEM;
	engine->certs = certs;
	certs->engine = engine;
	ts_list_init(&certs->names);
	ts_list_init(&certs->ready);
	certs->timer = ts_timer_new(engine->loop, on_timer, certs);
	certs->look = ts_timer_new(engine->loop, on_look, certs);
	if (!certs->timer || !certs->look)
		return -ENOMEM;
	ts_timer_set(certs->look, now_of(certs) + LOOK_MS);
	return 0;
}

static void tell_end(struct cert_name *name)
{
	while (!ts_list_is_empty(&name->waits)) {
		struct cert_wait *wait = wait_at(name->waits.next);

		wait->error = strdup("the node has stopped");
		be_ready(wait);
	}
}

void certs_close(struct ts_engine *engine)
{
	struct certs *certs = engine->certs;

	if (!certs)
		return;
	if (certs->timer) {
		for (struct ts_link *at = certs->names.next;
		     at != &certs->names; at = at->next)
			tell_end(name_at(at));
		while (!ts_list_is_empty(&certs->ready))
			answer(wait_at(certs->ready.next));
	}
	while (!ts_list_is_empty(&certs->names))
		free_name(certs, name_at(certs->names.next));
	ts_timer_free(certs->timer);
	ts_timer_free(certs->look);
	free(certs);
	engine->certs = NULL;
}
