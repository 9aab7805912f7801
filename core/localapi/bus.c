/* SPDX-License-Identifier: BSD-3-Clause
 * bus.c - watchers, their queues, and who gets what
 *
 * News is made once, as an object with everything that anybody may want; each
 * watcher gets a copy without the fields that it has not asked for, or nothing
 * when nothing is left. What news looks like is in notify_json.c.
 */
#include "core/localapi/bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/localapi/notify_json.h"

enum {
	ENGINE_INTERVAL_MS = 2000,
	RATE_LIMIT_MS = 3000,
	SESSION_CAP = 33,
	WANTS_PEERS = BUS_PEER_CHANGES | BUS_PEER_PATCHES,
	WANTS_ENGINE = BUS_ENGINE_UPDATES | BUS_PEER_STATE,
};

struct message {
	struct message *next;
	size_t len, at; /* at: read so far */
	char text[];
};

struct bus_watcher {
	struct bus *bus; /* NULL: gone */
	uint64_t mask;
	char session[SESSION_CAP];
	struct message *first, **last;
	size_t count, bytes;
	bool is_over; /* nothing follows what is in the queue */
	uint64_t engine_ms; /* when its next look at the engine is due */
	json_t *sessions;   /* as told, with BUS_PEER_STATE */
	struct notify_peers known; /* with BUS_PEER_PATCHES */
	void (*wake)(void *ctx);
	void *ctx;
	struct bus_watcher *next;
};

struct bus {
	struct ts_node *node;
	struct bus_watcher *watchers;
	size_t watcher_count;
	struct notify_delta delta; /* peers of the message being applied */
	bool repeats_state; /* once the map is followed again */
	void (*gone)(void *ctx, const char *session);
	void *gone_ctx;
};

struct bus *bus_new(struct ts_node *node,
		    void (*gone)(void *ctx, const char *session), void *ctx)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	bus->node = node;
	bus->gone = gone;
	bus->gone_ctx = ctx;
	return bus;
}

/* -- queues ------------------------------------------------------------------ */
static void empty_queue(struct bus_watcher *w)
{
	while (w->first) {
		struct message *m = w->first;

		w->first = m->next;
		free(m);
	}
	w->last = &w->first;
	w->count = 0;
	w->bytes = 0;
}

static bool append(struct bus_watcher *w, const json_t *news)
{
	size_t len = json_dumpb(news, NULL, 0, JSON_COMPACT);
	struct message *m = len ? malloc(sizeof(*m) + len + 1) : NULL;

	if (!m)
		return false;
	m->next = NULL;
	m->at = 0;
	m->len = json_dumpb(news, m->text, len, JSON_COMPACT) + 1;
	m->text[m->len - 1] = '\n';
	*w->last = m;
	w->last = &m->next;
	w->count++;
	w->bytes += m->len;
	return true;
}

/* The reader is too slow, or memory has run out: better no news than wrong
 * news. */
static void end_with(struct bus_watcher *w, const char *why)
{
	json_t *news = notify_error(why);

	empty_queue(w);
	append(w, news);
	json_decref(news);
	w->is_over = true;
	w->wake(w->ctx);
}

/* The first message, which may be large, is not counted. */
static bool is_full(const struct bus_watcher *w)
{
	return w->count >= BUS_QUEUE_MAX ||
	       (w->count > 1 && w->bytes > BUS_QUEUE_BYTES);
}

static void queue(struct bus_watcher *w, const json_t *news)
{
	if (w->is_over)
		return;
	if (is_full(w))
		end_with(w, "the reader of these messages is too slow");
	else if (append(w, news))
		w->wake(w->ctx);
	else
		end_with(w, "out of memory");
}

ssize_t bus_read(struct bus_watcher *w, char *out, size_t cap)
{
	size_t done = 0;

	while (done < cap && w->first) {
		struct message *m = w->first;
		size_t n = m->len - m->at;

		if (n > cap - done)
			n = cap - done;
		memcpy(out + done, m->text + m->at, n);
		m->at += n;
		done += n;
		if (m->at < m->len)
			break;
		w->first = m->next;
		if (!w->first)
			w->last = &w->first;
		w->count--;
		w->bytes -= m->len;
		free(m);
	}
	if (done == 0 && w->is_over)
		return -1;
	return (ssize_t)done;
}

/* -- watchers ------------------------------------------------------------------ */
static uint64_t engine_interval_ms(const struct bus_watcher *w)
{
	return w->mask & BUS_RATE_LIMIT ? RATE_LIMIT_MS : ENGINE_INTERVAL_MS;
}

static bool begin(struct bus_watcher *w, const char *session, uint64_t now_ms,
		  int64_t now_unix)
{
	json_t *news;
	bool ok = true;

	if (w->mask & BUS_PEER_PATCHES &&
	    notify_peers_init(&w->known, w->bus->node))
		return false;
	news = notify_initial(w->bus->node, w->mask, session, now_ms, now_unix);
	if (w->mask & BUS_PEER_STATE)
		notify_sessions(w->bus->node, now_ms, now_unix, &w->sessions,
				news);
	if (json_object_size(news) > 1) /* more than the version */
		ok = append(w, news);
	json_decref(news);
	return ok;
}

static size_t queued_bytes(const struct bus *bus)
{
	size_t sum = 0;

	for (const struct bus_watcher *w = bus->watchers; w; w = w->next)
		sum += w->bytes;
	return sum;
}

struct bus_watcher *bus_watch(struct bus *bus, uint64_t mask,
			      const char *session, uint64_t now_ms,
			      int64_t now_unix, void (*wake)(void *ctx),
			      void *ctx)
{
	struct bus_watcher *w;

	if (bus->watcher_count >= BUS_WATCHERS_MAX ||
	    queued_bytes(bus) > BUS_TOTAL_BYTES)
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->bus = bus;
	w->mask = mask;
	snprintf(w->session, sizeof(w->session), "%s", session);
	w->wake = wake;
	w->ctx = ctx;
	w->last = &w->first;
	w->engine_ms = now_ms + engine_interval_ms(w);
	w->next = bus->watchers;
	bus->watchers = w;
	bus->watcher_count++;
	if (begin(w, session, now_ms, now_unix))
		return w;
	bus_unwatch(w);
	return NULL;
}

void bus_unwatch(struct bus_watcher *w)
{
	struct bus *bus = w->bus;
	struct bus_watcher **at = bus ? &bus->watchers : NULL;

	while (at && *at && *at != w)
		at = &(*at)->next;
	if (at && *at) {
		*at = w->next;
		bus->watcher_count--;
		bus->gone(bus->gone_ctx, w->session);
	}
	empty_queue(w);
	json_decref(w->sessions);
	notify_peers_deinit(&w->known);
	free(w);
}

bool bus_has_session(const struct bus *bus, const char *session)
{
	for (const struct bus_watcher *w = bus->watchers; w; w = w->next)
		if (!w->is_over && strcmp(w->session, session) == 0)
			return true;
	return false;
}

void bus_end_session(struct bus *bus, const char *session)
{
	for (struct bus_watcher *w = bus->watchers; w; w = w->next) {
		if (w->is_over || strcmp(w->session, session) != 0)
			continue;
		w->is_over = true;
		w->wake(w->ctx);
	}
}

void bus_free(struct bus *bus)
{
	while (bus->watchers) {
		struct bus_watcher *w = bus->watchers;

		bus->watchers = w->next;
		w->bus = NULL;
		w->is_over = true;
		w->wake(w->ctx);
	}
	notify_delta_deinit(&bus->delta);
	free(bus);
}

/* -- sending ---------------------------------------------------------------------- */
static const struct {
	const char *field;
	uint64_t wanted_by;
} gated[] = {
	{"Engine", BUS_ENGINE_UPDATES},
	{"PeersChanged", WANTS_PEERS},
	{"PeersRemoved", WANTS_PEERS},
	{"UserProfiles", WANTS_PEERS},
};

static void send_to(struct bus_watcher *w, const json_t *news)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)news);

	for (size_t i = 0; i < ARRAY_LEN(gated); i++)
		if (!(w->mask & gated[i].wanted_by))
			json_object_del(copy, gated[i].field);
	if (w->mask & BUS_PEER_PATCHES)
		notify_make_patches(&w->known, copy);
	if (!(w->mask & BUS_HEALTH_ACTIONS))
		notify_flatten_health(copy);
	if (json_object_size(copy) > 1)
		queue(w, copy);
	json_decref(copy);
}

/* Takes news. */
static void send_all(struct bus *bus, json_t *news)
{
	struct bus_watcher *next;

	for (struct bus_watcher *w = bus->watchers; w; w = next) {
		next = w->next;
		send_to(w, news);
	}
	json_decref(news);
}

void bus_set_node(struct bus *bus, struct ts_node *node, uint64_t now_ms)
{
	struct bus_watcher *w;

	bus->node = node;
	notify_delta_clear(&bus->delta);
	/* All peers were another node's: their watchers start over. */
	for (w = bus->watchers; w; w = w->next)
		if (w->mask & WANTS_PEERS)
			end_with(w, "another profile is in use now");
		else
			w->engine_ms = now_ms + engine_interval_ms(w);
	if (bus->watchers)
		send_all(bus, notify_prefs(node, false));
}

void bus_state(struct bus *bus, enum ts_node_state state, const char *error)
{
	json_t *news;

	bus->repeats_state = false;
	if (!bus->watchers)
		return;
	news = notify_state(state);
	if (error && ts_node_is_refused(bus->node))
		json_object_set_new(news, "ErrMessage", json_string(error));
	send_all(bus, news);
}

void bus_repeat_state(struct bus *bus)
{
	enum ts_node_state state = ts_node_state(bus->node);

	if (state == TS_RUNNING && !ts_node_in_map_poll(bus->node))
		bus->repeats_state = true;
	else
		bus_state(bus, state, ts_node_error(bus->node));
}

void bus_browse_to_url(struct bus *bus, const char *url)
{
	if (bus->watchers)
		send_all(bus, notify_browse_to_url(url));
}

void bus_prefs(struct bus *bus, bool is_login)
{
	if (bus->watchers)
		send_all(bus, notify_prefs(bus->node, is_login));
}

/* -- the netmap ---------------------------------------------------------------------- */
static bool anybody_wants(const struct bus *bus, uint64_t mask)
{
	for (const struct bus_watcher *w = bus->watchers; w; w = w->next)
		if (w->mask & mask)
			return true;
	return false;
}

void bus_peer_changed(struct bus *bus, const struct ts_peer *peer)
{
	if (bus->watchers && anybody_wants(bus, WANTS_PEERS))
		notify_delta_changed(&bus->delta, peer);
}

void bus_peer_removed(struct bus *bus, const struct ts_peer *peer)
{
	if (bus->watchers && anybody_wants(bus, WANTS_PEERS))
		notify_delta_removed(&bus->delta, peer);
}

static void end_incomplete(struct bus *bus)
{
	for (struct bus_watcher *w = bus->watchers; w; w = w->next)
		if (w->mask & WANTS_PEERS && !w->is_over)
			end_with(w, "out of memory");
}

void bus_netmap_changed(struct bus *bus, unsigned changes)
{
	json_t *news;

	if (bus->watchers) {
		if (bus->delta.is_incomplete)
			end_incomplete(bus);
		news = notify_netmap(bus->node, &bus->delta, changes);
		if (json_object_size(news) > 1)
			send_all(bus, news);
		else
			json_decref(news);
	}
	notify_delta_clear(&bus->delta);
	if (bus->repeats_state && changes & TS_CHANGED_FIRST)
		bus_state(bus, ts_node_state(bus->node),
			  ts_node_error(bus->node));
}

/* -- time ------------------------------------------------------------------------------ */
uint64_t bus_deadline_ms(const struct bus *bus)
{
	uint64_t at = UINT64_MAX;

	for (const struct bus_watcher *w = bus->watchers; w; w = w->next)
		if (w->mask & WANTS_ENGINE && !w->is_over &&
		    w->engine_ms < at)
			at = w->engine_ms;
	return at;
}

static void tell_sessions(struct bus_watcher *w, uint64_t now_ms,
			  int64_t now_unix)
{
	json_t *news = notify_nothing();

	notify_sessions(w->bus->node, now_ms, now_unix, &w->sessions, news);
	if (json_object_size(news) > 1)
		queue(w, news);
	json_decref(news);
}

void bus_tick(struct bus *bus, uint64_t now_ms, int64_t now_unix)
{
	json_t *engine = NULL;

	for (struct bus_watcher *w = bus->watchers; w; w = w->next) {
		if (!(w->mask & WANTS_ENGINE) || now_ms < w->engine_ms)
			continue;
		w->engine_ms = now_ms + engine_interval_ms(w);
		if (w->mask & BUS_PEER_STATE)
			tell_sessions(w, now_ms, now_unix);
		if (!(w->mask & BUS_ENGINE_UPDATES))
			continue;
		if (!engine)
			engine = notify_engine(bus->node, now_ms);
		send_to(w, engine);
	}
	json_decref(engine);
}
