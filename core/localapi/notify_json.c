/* SPDX-License-Identifier: BSD-3-Clause
 * notify_json.c - what ipn.Notify looks like
 *
 * Fields that have no omitempty upstream come as null there; readers take
 * absent and null for the same, so they are left out.
 * Source: ipn/backend.go (Notify, EngineStatus)
 */
#include "core/localapi/notify_json.h"

#include <stdlib.h>

#include "core/localapi/localapi_internal.h"

json_t *notify_nothing(void)
{
	return json_pack("{s:s}", "Version", TSNET_VERSION);
}

json_t *notify_error(const char *text)
{
	json_t *n = notify_nothing();

	json_object_set_new(n, "ErrMessage", json_string(text));
	return n;
}

json_t *notify_state(enum ts_node_state state)
{
	json_t *n = notify_nothing();

	json_object_set_new(n, "State", json_integer(state));
	return n;
}

json_t *notify_browse_to_url(const char *url)
{
	json_t *n = notify_nothing();

	json_object_set_new(n, "BrowseToURL", json_string(url));
	return n;
}

json_t *notify_prefs(const struct ts_node *node, bool is_login)
{
	json_t *n = notify_nothing();

	if (is_login)
		json_object_set_new(n, "LoginFinished", json_object());
	json_object_set_new(n, "Prefs",
			    ts_prefs_to_object(ts_node_prefs(node)));
	return n;
}

/* -- the first one ------------------------------------------------------------- */
static void set_initial_state(json_t *n, const struct ts_node *node,
			      const char *session)
{
	const char *url = ts_node_auth_url(node);
	enum ts_node_state state = ts_node_state(node);

	json_object_set_new(n, "SessionID", json_string(session));
	json_object_set_new(n, "State", json_integer(state));
	if (state == TS_NEEDS_LOGIN && url && *url)
		json_object_set_new(n, "BrowseToURL", json_string(url));
}

static void set_self(json_t *n, const struct ts_netmap *map)
{
	if (map->self)
		json_object_set_new(n, "SelfChange",
				    localapi_peer_node(map, map->self));
}

json_t *notify_initial(struct ts_node *node, uint64_t mask,
		       const char *session, uint64_t now_ms, int64_t now_unix)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct localapi_call now = {
		.node = node, .now_ms = now_ms, .now_unix = now_unix};
	json_t *n = notify_nothing();

	if (mask & BUS_INITIAL_STATE)
		set_initial_state(n, node, session);
	if (mask & BUS_INITIAL_PREFS)
		json_object_set_new(n, "Prefs",
				    ts_prefs_to_object(ts_node_prefs(node)));
	if (mask & BUS_INITIAL_NETMAP && map->self) {
		set_self(n, map);
		json_object_set_new(n, "NetMap", localapi_netmap(node));
	}
	if (mask & BUS_INITIAL_STATUS)
		json_object_set_new(n, "InitialStatus",
				    localapi_status(&now, true));
	if (mask & BUS_INITIAL_HEALTH)
		json_object_set_new(n, "Health", localapi_health_state(node));
	if (!(mask & BUS_HEALTH_ACTIONS))
		notify_flatten_health(n);
	return n;
}

/* -- the netmap ------------------------------------------------------------------- */
static bool push_id(int64_t **ids, size_t *count, size_t *cap, int64_t id)
{
	if (*count == *cap) {
		size_t next = *cap ? *cap * 2 : 16;
		int64_t *grown = reallocarray(*ids, next, sizeof(**ids));

		if (!grown)
			return false;
		*ids = grown;
		*cap = next;
	}
	(*ids)[(*count)++] = id;
	return true;
}

void notify_delta_changed(struct notify_delta *d, const struct ts_peer *peer)
{
	if (!push_id(&d->changed, &d->changed_count, &d->changed_cap, peer->id))
		d->is_incomplete = true;
}

void notify_delta_removed(struct notify_delta *d, const struct ts_peer *peer)
{
	if (!push_id(&d->removed, &d->removed_count, &d->removed_cap, peer->id))
		d->is_incomplete = true;
}

void notify_delta_clear(struct notify_delta *d)
{
	enum { KEEP_MAX = 1024 };

	if (d->changed_cap > KEEP_MAX || d->removed_cap > KEEP_MAX)
		notify_delta_deinit(d);
	d->changed_count = 0;
	d->removed_count = 0;
	d->is_incomplete = false;
}

void notify_delta_deinit(struct notify_delta *d)
{
	free(d->changed);
	free(d->removed);
	*d = (struct notify_delta){0};
}

static void set_changed(json_t *n, const struct ts_netmap *map,
			const struct notify_delta *d)
{
	json_t *peers = json_array(), *users = json_object();

	for (size_t i = 0; i < d->changed_count; i++) {
		const struct ts_peer *peer =
			ts_netmap_peer_by_id(map, d->changed[i]);

		if (!peer)
			continue;
		json_array_append_new(peers, localapi_peer_node(map, peer));
		localapi_add_user(users, map, peer->user);
	}
	if (json_array_size(peers) > 0) {
		json_object_set(n, "PeersChanged", peers);
		json_object_set(n, "UserProfiles", users);
	}
	json_decref(peers);
	json_decref(users);
}

static void set_removed(json_t *n, const struct notify_delta *d)
{
	json_t *ids;

	if (d->removed_count == 0)
		return;
	ids = json_array();
	for (size_t i = 0; i < d->removed_count; i++)
		json_array_append_new(ids, json_integer(d->removed[i]));
	json_object_set_new(n, "PeersRemoved", ids);
}

json_t *notify_netmap(const struct ts_node *node, const struct notify_delta *d,
		      unsigned changes)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	json_t *n = notify_nothing();

	if (changes & (TS_CHANGED_SELF | TS_CHANGED_FIRST))
		set_self(n, map);
	if (changes & TS_CHANGED_HEALTH)
		json_object_set_new(n, "Health", localapi_health_state(node));
	set_changed(n, map, d);
	set_removed(n, d);
	return n;
}

/* -- the engine -------------------------------------------------------------------- */
static void add_live_peer(json_t *live, const struct ts_peer *peer,
			  const struct ts_node_peer_status *st)
{
	char key[TS_KEY_TEXT_CAP];

	ts_public_key_format(&peer->key, TS_PREFIX_NODE, key);
	json_object_set_new(
		live, key,
		json_pack("{s:s, s:I, s:I, s:o}", "NodeKey", key, "TxBytes",
			  (json_int_t)st->tx_bytes, "RxBytes",
			  (json_int_t)st->rx_bytes, "LastHandshake",
			  localapi_time(st->last_handshake_unix)));
}

json_t *notify_engine(const struct ts_node *node, uint64_t now_ms)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	json_t *n = notify_nothing(), *live = json_object();
	struct ts_node_peer_status st;
	const struct ts_peer *peer;
	uint64_t rx = 0, tx = 0;
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(map, &pos))) {
		ts_node_peer_status(node, peer, now_ms, &st);
		if (!st.in_wireguard)
			continue;
		rx += st.rx_bytes;
		tx += st.tx_bytes;
		if (st.last_handshake_unix)
			add_live_peer(live, peer, &st);
	}
	json_object_set_new(
		n, "Engine",
		json_pack("{s:I, s:I, s:i, s:i, s:o}", "RBytes",
			  (json_int_t)rx, "WBytes", (json_int_t)tx, "NumLive",
			  (int)json_object_size(live), "LiveDERPs",
			  (int)ts_node_live_derps(node), "LivePeers", live));
	return n;
}

/* -- sessions ------------------------------------------------------------------------ */
static json_t *session(const char *state, int64_t since_unix)
{
	return json_pack("{s:s, s:o}", "PeerWireGuardState", state,
			 "PeerWireGuardStateAt", localapi_time(since_unix));
}

/* Upstream's words; a session's key is good for three minutes. */
static json_t *session_of(const struct ts_node_peer_status *st,
			  int64_t now_unix)
{
	enum { REJECT_AFTER_S = 180 };
	int64_t end = st->last_handshake_unix + REJECT_AFTER_S;

	if (!st->last_handshake_unix)
		return session("handshake", now_unix);
	return now_unix < end ? session("established", st->last_handshake_unix)
			      : session("expired", end);
}

static json_t *all_sessions(const struct ts_node *node, uint64_t now_ms,
			    int64_t now_unix)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	json_t *sessions = json_object();
	struct ts_node_peer_status st;
	const struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(map, &pos))) {
		ts_node_peer_status(node, peer, now_ms, &st);
		if (st.in_wireguard && peer->stable_id)
			json_object_set_new(sessions, peer->stable_id,
					    session_of(&st, now_unix));
	}
	return sessions;
}

/* Another handshake in time is no change. */
static bool is_same_state(const json_t *a, const json_t *b)
{
	return b && json_equal(json_object_get(a, "PeerWireGuardState"),
			       json_object_get(b, "PeerWireGuardState"));
}

void notify_sessions(const struct ts_node *node, uint64_t now_ms,
		     int64_t now_unix, json_t **known, json_t *news)
{
	json_t *now = all_sessions(node, now_ms, now_unix);
	json_t *changed = json_object(), *its;
	const char *id;

	json_object_foreach (now, id, its)
		if (!is_same_state(its, json_object_get(*known, id)))
			json_object_set(changed, id, its);
	json_object_foreach (*known, id, its)
		if (!json_object_get(now, id))
			json_object_set_new(changed, id,
					    session("none", now_unix));
	if (json_object_size(changed) > 0)
		json_object_set(news, "PeerState", changed);
	json_decref(changed);
	json_decref(*known);
	*known = now;
}
