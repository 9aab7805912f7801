/* SPDX-License-Identifier: BSD-3-Clause
 * relay_client.c - paths through peer relays: asking for one, setting it up
 *
 * Two lists, short and looked through from end to end: requests that wait for
 * a relay's answer, and handshakes. What one peer offers never touches what is
 * under way for another, even if it names the same session.
 */
#include "core/path/relay_client.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"

struct ts_relay_request {
	struct ts_relay_request *next;
	struct ts_relay_pair pair;
	struct ts_relay_server server;
	struct ts_disco_allocate_relay message;
	bool was_repeated;
	uint64_t sent_ms;
};

static void note_deadline(struct ts_relay_client *c, uint64_t at_ms)
{
	if (at_ms < c->deadline_ms)
		c->deadline_ms = at_ms;
}

/* -- requests ------------------------------------------------------------- */

static uint64_t request_due_ms(const struct ts_relay_request *r)
{
	return r->sent_ms +
	       (r->was_repeated ? RELAY_REQUEST_MS : RELAY_RETRY_MS);
}

static void end_request(struct ts_relay_client *c,
			struct ts_relay_request **link)
{
	struct ts_relay_request *r = *link;

	*link = r->next;
	c->request_count--;
	free(r);
}

static void sort_keys(const struct ts_relay_pair *pair,
		      struct ts_public_key out[static 2])
{
	bool is_first = memcmp(pair->our_disco.bytes, pair->peer_disco.bytes,
			       TS_KEY_LEN) < 0;

	out[0] = is_first ? pair->our_disco : pair->peer_disco;
	out[1] = is_first ? pair->peer_disco : pair->our_disco;
}

static bool is_for_pair(const struct ts_relay_pair *pair,
			const struct ts_public_key keys[static 2])
{
	const struct ts_public_key *ours = &pair->our_disco;
	const struct ts_public_key *theirs = &pair->peer_disco;

	return (ts_public_key_equal(&keys[0], ours) &&
		ts_public_key_equal(&keys[1], theirs)) ||
	       (ts_public_key_equal(&keys[0], theirs) &&
		ts_public_key_equal(&keys[1], ours));
}

static void request_session(struct ts_relay_client *c,
			    const struct ts_relay_server *server,
			    const struct ts_relay_pair *pair, uint64_t now_ms)
{
	struct ts_relay_request *r = NULL;

	/* Through the peer itself is the direct path that we lack. */
	if (ts_public_key_equal(&server->disco_key, &pair->peer_disco))
		return;
	if (c->request_count < RELAY_REQUESTS_MAX)
		r = calloc(1, sizeof(*r));
	if (!r)
		return;
	r->pair = *pair;
	r->server = *server;
	sort_keys(pair, r->message.client_disco);
	r->message.generation = ++c->last_request;
	r->sent_ms = now_ms;
	r->next = c->requests;
	c->requests = r;
	c->request_count++;
	note_deadline(c, request_due_ms(r));
	c->ops->send_allocate(c->ctx, &r->server, &r->message);
}

static bool is_busy_with(const struct ts_relay_client *c, const void *peer)
{
	for (const struct ts_relay_request *r = c->requests; r; r = r->next)
		if (r->pair.peer == peer)
			return true;
	for (const struct ts_relay_handshake *h = c->handshakes; h; h = h->next)
		if (h->pair.peer == peer)
			return true;
	return false;
}

bool ts_relay_client_discover(struct ts_relay_client *c,
			      const struct ts_relay_pair *pair, uint64_t now_ms)
{
	if (c->server_count == 0)
		return false;
	if (is_busy_with(c, pair->peer))
		return true;
	for (size_t i = 0; i < c->server_count; i++)
		request_session(c, &c->servers[i], pair, now_ms);
	return true;
}

/* -- handshakes ----------------------------------------------------------- */

static void end_handshake(struct ts_relay_client *c,
			  struct ts_relay_handshake **link)
{
	struct ts_relay_handshake *h = *link;

	*link = h->next;
	c->handshake_count--;
	ts_wipe(&h->box, sizeof(h->box));
	free(h);
}

/* One server, one peer: the newest session. False: what is under way is as
 * new, or newer. */
static bool replace_rival(struct ts_relay_client *c, const void *peer,
			  const struct ts_disco_relay_endpoint *endpoint)
{
	struct ts_relay_handshake **link = &c->handshakes;

	while (*link && ((*link)->pair.peer != peer ||
			 !ts_public_key_equal(&(*link)->endpoint.server_disco,
					      &endpoint->server_disco)))
		link = &(*link)->next;
	if (!*link)
		return true;
	if ((*link)->endpoint.lamport_id >= endpoint->lamport_id)
		return false;
	end_handshake(c, link);
	return true;
}

static size_t count_handshakes(const struct ts_relay_client *c,
			       const void *peer)
{
	size_t count = 0;

	for (const struct ts_relay_handshake *h = c->handshakes; h; h = h->next)
		count += h->pair.peer == peer;
	return count;
}

static void start_handshake(struct ts_relay_client *c,
			    const struct ts_relay_pair *pair,
			    const struct ts_disco_relay_endpoint *endpoint,
			    uint64_t now_ms)
{
	struct ts_relay_handshake *h = NULL;

	if (c->handshake_count < RELAY_HANDSHAKES_MAX &&
	    count_handshakes(c, pair->peer) < RELAY_PEER_HANDSHAKES_MAX)
		h = calloc(1, sizeof(*h));
	if (!h) {
		c->dropped_offers++;
		return;
	}
	h->ops = c->ops;
	h->ctx = c->ctx;
	h->pair = *pair;
	h->endpoint = *endpoint;
	if (++c->last_handshake == 0) /* 0 is none */
		c->last_handshake = 1;
	h->generation = c->last_handshake;
	h->next = c->handshakes;
	c->handshakes = h;
	c->handshake_count++;
	if (ts_relay_handshake_start(h, now_ms) != 0) {
		c->dropped_offers++;
		end_handshake(c, &c->handshakes);
		return;
	}
	note_deadline(c, h->end_ms);
}

static bool is_usable(const struct ts_relay_pair *pair,
		      const struct ts_disco_relay_endpoint *endpoint)
{
	return endpoint->vni != 0 && endpoint->vni <= DISCO_VNI_MAX &&
	       is_for_pair(pair, endpoint->client_disco);
}

/* A session that already carries our packets is not bound anew: if another
 * address of ours answered first, the relay would drop what the peer sends to
 * the one in use. */
static void take_offer(struct ts_relay_client *c,
		       const struct ts_relay_pair *pair,
		       const struct ts_disco_relay_endpoint *endpoint,
		       bool is_ours, uint64_t now_ms)
{
	if (!is_usable(pair, endpoint)) {
		c->dropped_offers++;
		return;
	}
	if (!replace_rival(c, pair->peer, endpoint))
		return;
	if (is_ours)
		c->ops->send_via(c->ctx, pair->peer, endpoint);
	if (!c->ops->is_current(c->ctx, pair->peer, endpoint))
		start_handshake(c, pair, endpoint, now_ms);
}

void ts_relay_client_offered(struct ts_relay_client *c,
			     const struct ts_relay_pair *pair,
			     const struct ts_disco_relay_endpoint *endpoint,
			     uint64_t now_ms)
{
	take_offer(c, pair, endpoint, false, now_ms);
}

static struct ts_relay_request **
find_request(struct ts_relay_client *c, const struct ts_public_key *server_key,
	     const struct ts_disco_allocated_relay *msg)
{
	struct ts_relay_request **link = &c->requests;

	for (; *link; link = &(*link)->next)
		if ((*link)->message.generation == msg->generation &&
		    ts_public_key_equal(&(*link)->server.node_key,
					server_key) &&
		    is_for_pair(&(*link)->pair, msg->endpoint.client_disco))
			return link;
	return NULL;
}

void ts_relay_client_allocated(struct ts_relay_client *c,
			       const struct ts_public_key *server_key,
			       const struct ts_disco_allocated_relay *msg,
			       uint64_t now_ms)
{
	struct ts_relay_request **link = find_request(c, server_key, msg);
	struct ts_relay_pair pair;

	if (!link) {
		c->dropped_offers++;
		return;
	}
	pair = (*link)->pair;
	end_request(c, link);
	take_offer(c, &pair, &msg->endpoint, true, now_ms);
}

const struct ts_box *
ts_relay_client_box(const struct ts_relay_client *c,
		    const struct ts_public_key *server_disco)
{
	for (const struct ts_relay_handshake *h = c->handshakes; h; h = h->next)
		if (ts_public_key_equal(&h->endpoint.server_disco,
					server_disco))
			return &h->box;
	return NULL;
}

static struct ts_relay_handshake **find_via(struct ts_relay_client *c,
					    const void *peer,
					    const struct ts_path_addr *from)
{
	struct ts_relay_handshake **link = &c->handshakes;

	while (*link && ((*link)->pair.peer != peer ||
			 !ts_path_addr_equal(&(*link)->via, from)))
		link = &(*link)->next;
	return *link ? link : NULL;
}

void ts_relay_client_challenge(struct ts_relay_client *c,
			       const struct ts_public_key *server_disco,
			       const struct ts_path_addr *from,
			       const struct ts_disco_bind_relay *challenge,
			       uint64_t now_ms)
{
	struct ts_relay_handshake *h = c->handshakes;

	while (h && (h->endpoint.vni != from->vni ||
		     !ts_public_key_equal(&h->endpoint.server_disco,
					  server_disco) ||
		     !ts_public_key_equal(&h->pair.peer_disco,
					  &challenge->remote_key)))
		h = h->next;
	/* Pings from there are taken for another handshake's already. */
	if (h && !find_via(c, h->pair.peer, from))
		ts_relay_handshake_challenge(h, from, challenge, now_ms);
}

void ts_relay_client_ping(struct ts_relay_client *c, const void *peer,
			  const struct ts_path_addr *from, uint64_t now_ms)
{
	struct ts_relay_handshake **link = find_via(c, peer, from);

	if (link)
		ts_relay_handshake_ping(*link, now_ms);
}

bool ts_relay_client_pong(struct ts_relay_client *c, const void *peer,
			  const struct ts_path_addr *from,
			  const uint8_t tx_id[static DISCO_TX_ID_LEN],
			  uint64_t now_ms)
{
	struct ts_relay_handshake **link = find_via(c, peer, from);
	struct ts_path_quality path = {.to = *from};
	void *ready_peer;

	if (!link ||
	    !ts_relay_handshake_pong(*link, tx_id, now_ms, &path.latency_us))
		return false;
	path.relay = (*link)->endpoint.server_disco;
	ready_peer = (*link)->pair.peer;
	end_handshake(c, link);
	c->ops->ready(c->ctx, ready_peer, &path);
	return true;
}

/* -- set-up, time, ends --------------------------------------------------- */

void ts_relay_client_set_servers(struct ts_relay_client *c,
				 const struct ts_relay_server *servers,
				 size_t count)
{
	if (count > RELAY_SERVERS_MAX)
		count = RELAY_SERVERS_MAX;
	memcpy(c->servers, servers, count * sizeof(*servers));
	if (count != c->server_count)
		log_info("path: %zu peer relays may be used", count);
	c->server_count = count;
}

void ts_relay_client_cancel(struct ts_relay_client *c, const void *peer)
{
	struct ts_relay_request **r = &c->requests;
	struct ts_relay_handshake **h = &c->handshakes;

	while (*r) {
		if ((*r)->pair.peer == peer)
			end_request(c, r);
		else
			r = &(*r)->next;
	}
	while (*h) {
		if ((*h)->pair.peer == peer)
			end_handshake(c, h);
		else
			h = &(*h)->next;
	}
}

uint64_t ts_relay_client_deadline_ms(const struct ts_relay_client *c)
{
	return c->deadline_ms;
}

/* True: it has ended. DERP may lose a message, and a server may not be ready
 * to relay yet: the request is repeated once. */
static bool tick_request(struct ts_relay_client *c, struct ts_relay_request *r,
			 uint64_t now_ms)
{
	if (now_ms >= r->sent_ms + RELAY_REQUEST_MS)
		return true;
	if (now_ms < request_due_ms(r))
		return false;
	r->was_repeated = true;
	c->ops->send_allocate(c->ctx, &r->server, &r->message);
	return false;
}

void ts_relay_client_tick(struct ts_relay_client *c, uint64_t now_ms)
{
	struct ts_relay_request **r = &c->requests;
	struct ts_relay_handshake **h = &c->handshakes;

	if (now_ms < c->deadline_ms)
		return;
	c->deadline_ms = UINT64_MAX;
	while (*r) {
		if (tick_request(c, *r, now_ms)) {
			end_request(c, r);
			continue;
		}
		note_deadline(c, request_due_ms(*r));
		r = &(*r)->next;
	}
	while (*h) {
		if (now_ms >= (*h)->end_ms) {
			end_handshake(c, h);
			continue;
		}
		note_deadline(c, (*h)->end_ms);
		h = &(*h)->next;
	}
}

void ts_relay_client_init(struct ts_relay_client *c,
			  const struct ts_relay_ops *ops, void *ctx)
{
	*c = (struct ts_relay_client){
		.ops = ops,
		.ctx = ctx,
		.deadline_ms = UINT64_MAX,
	};
}

void ts_relay_client_deinit(struct ts_relay_client *c)
{
	while (c->requests)
		end_request(c, &c->requests);
	while (c->handshakes)
		end_handshake(c, &c->handshakes);
}
