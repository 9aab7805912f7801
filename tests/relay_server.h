/* SPDX-License-Identifier: BSD-3-Clause
 * relay_server.h - a peer relay's server, for the lab and for unit tests
 *
 * Sans-IO: datagrams and requests in, what to send out. Sessions are never
 * given up; asking again for the same two clients gives the same one, as with
 * tailscaled. Every message is checked as strictly as the real server does.
 * Source: net/udprelay/server.go
 */
#ifndef TESTS_RELAY_SERVER_H
#define TESTS_RELAY_SERVER_H

#include <stdbool.h>
#include <string.h>

#include "core/base/packet.h"
#include "core/crypto/secret.h"
#include "core/path/disco_wire.h"

enum { RELAY_SESSIONS_MAX = 16, RELAY_ADDRS_MAX = 4, RELAY_FIRST_VNI = 7 };

struct relay_leg {
	struct ts_public_key disco;
	struct ts_box box;
	struct ts_addr from; /* bound; port 0: not yet */
	uint32_t generation; /* of the handshake under way; 0: none */
	uint8_t challenge[DISCO_CHALLENGE_LEN];
	struct ts_addr challenged;
};

struct relay_session {
	struct relay_leg legs[2]; /* sorted by disco key */
	uint64_t lamport_id;
};

struct relay_server {
	struct ts_private_key private_key; /* of the server, not of the node */
	struct ts_public_key disco;
	struct ts_addr addrs[RELAY_ADDRS_MAX];
	size_t addr_count;
	struct relay_session sessions[RELAY_SESSIONS_MAX]; /* vni - FIRST */
	size_t session_count;
	uint64_t lamport_id;
	void (*send)(void *ctx, const struct ts_addr *to, const uint8_t *data,
		     size_t len);
	void *ctx;
	uint64_t allocations, binds, answers, forwarded, dropped;
};

static inline void relay_server_init(struct relay_server *s)
{
	*s = (struct relay_server){0};
	ts_private_key_generate(&s->private_key);
	ts_public_key_from_private(&s->private_key, &s->disco);
}

static inline struct relay_session *
relay_find_session(struct relay_server *s, const struct ts_public_key keys[2])
{
	for (size_t i = 0; i < s->session_count; i++)
		if (ts_public_key_equal(&s->sessions[i].legs[0].disco,
					&keys[0]) &&
		    ts_public_key_equal(&s->sessions[i].legs[1].disco,
					&keys[1]))
			return &s->sessions[i];
	return NULL;
}

static inline struct relay_session *
relay_new_session(struct relay_server *s, const struct ts_public_key keys[2])
{
	struct relay_session *session;

	if (s->session_count == RELAY_SESSIONS_MAX)
		return NULL;
	session = &s->sessions[s->session_count];
	*session = (struct relay_session){.lamport_id = ++s->lamport_id};
	for (int i = 0; i < 2; i++) {
		session->legs[i].disco = keys[i];
		if (ts_box_init(&session->legs[i].box, &s->private_key,
				&keys[i]))
			return NULL;
	}
	s->session_count++;
	return session;
}

/* False: not a request that a server would answer. */
static inline bool
relay_server_allocate(struct relay_server *s,
		      const struct ts_disco_allocate_relay *req,
		      struct ts_disco_allocated_relay *out)
{
	const uint64_t s_ns = 1000000000u;
	struct relay_session *session;

	if (memcmp(req->client_disco[0].bytes, req->client_disco[1].bytes,
		   TS_KEY_LEN) >= 0)
		return false;
	session = relay_find_session(s, req->client_disco);
	if (!session)
		session = relay_new_session(s, req->client_disco);
	if (!session)
		return false;
	s->allocations++;
	*out = (struct ts_disco_allocated_relay){
		.generation = req->generation,
		.endpoint = {
			.server_disco = s->disco,
			.client_disco = {req->client_disco[0],
					 req->client_disco[1]},
			.lamport_id = session->lamport_id,
			.vni = RELAY_FIRST_VNI +
			       (uint32_t)(session - s->sessions),
			.bind_lifetime_ns = 30 * s_ns,
			.steady_state_lifetime_ns = 300 * s_ns,
			.addrs = {.count = s->addr_count},
		},
	};
	memcpy(out->endpoint.addrs.addrs, s->addrs,
	       s->addr_count * sizeof(s->addrs[0]));
	return true;
}

static inline void relay_send_challenge(struct relay_server *s,
					struct relay_leg *leg,
					const struct ts_addr *to,
					struct ts_disco_message *msg)
{
	struct ts_geneve header = {
		.control = true,
		.proto = GENEVE_PROTO_DISCO,
		.vni = msg->bind_relay.vni,
	};
	uint8_t out[DISCO_GENEVE_LEN + DISCO_WRITE_CAP];
	uint8_t payload[DISCO_WRITE_PAYLOAD_CAP];
	struct ts_writer w = ts_writer_init(out, sizeof(out));
	struct ts_writer p = ts_writer_init(payload, sizeof(payload));

	ts_random_bytes(leg->challenge, sizeof(leg->challenge));
	leg->challenged = *to;
	msg->type = DISCO_BIND_RELAY_CHALLENGE;
	memcpy(msg->bind_relay.challenge, leg->challenge,
	       sizeof(leg->challenge));
	if (ts_disco_write(&p, msg) == 0 && ts_geneve_write(&w, &header) == 0 &&
	    ts_disco_seal(&w, &s->disco, &leg->box, payload, p.len) == 0)
		s->send(s->ctx, to, out, w.len);
}

static inline bool relay_control(struct relay_server *s,
				 struct relay_session *session, uint32_t vni,
				 const struct ts_addr *from, const uint8_t *pkt,
				 size_t len)
{
	uint8_t payload[DISCO_PAYLOAD_MAX_LEN];
	struct ts_disco_message msg;
	struct ts_public_key sender;
	struct relay_leg *leg;
	size_t n;
	int i;

	if (!ts_disco_is_packet(pkt, len))
		return false;
	ts_disco_read_sender(pkt, &sender);
	i = ts_public_key_equal(&sender, &session->legs[1].disco);
	leg = &session->legs[i];
	if (!ts_public_key_equal(&sender, &leg->disco) ||
	    ts_disco_unseal(pkt, len, &leg->box, payload, &n) ||
	    ts_disco_read(payload, n, &msg))
		return false;
	if ((msg.type != DISCO_BIND_RELAY &&
	     msg.type != DISCO_BIND_RELAY_ANSWER) ||
	    msg.bind_relay.vni != vni || msg.bind_relay.generation == 0 ||
	    !ts_public_key_equal(&msg.bind_relay.remote_key,
				 &session->legs[1 - i].disco))
		return false;
	if (msg.type == DISCO_BIND_RELAY) {
		s->binds++;
		leg->generation = msg.bind_relay.generation;
		relay_send_challenge(s, leg, from, &msg);
		return true;
	}
	if (msg.bind_relay.generation != leg->generation ||
	    !ts_addr_equal(from, &leg->challenged) ||
	    memcmp(msg.bind_relay.challenge, leg->challenge,
		   sizeof(leg->challenge)) != 0)
		return false;
	s->answers++;
	leg->generation = 0;
	leg->from = *from;
	return true;
}

static inline bool relay_data(struct relay_server *s,
			      struct relay_session *session,
			      const struct ts_addr *from, const uint8_t *pkt,
			      size_t len)
{
	struct relay_leg *legs = session->legs;
	int i = ts_addr_equal(from, &legs[1].from);

	if (legs[0].from.port == 0 || legs[1].from.port == 0 ||
	    !ts_addr_equal(from, &legs[i].from))
		return false;
	s->forwarded++;
	s->send(s->ctx, &legs[1 - i].from, pkt, len);
	return true;
}

static inline void relay_server_input(struct relay_server *s,
				      const struct ts_addr *from,
				      const uint8_t *pkt, size_t len)
{
	struct ts_reader r = ts_reader_init(pkt, len);
	struct relay_session *session;
	struct ts_geneve header;
	bool is_good = false;

	if (ts_geneve_read(&r, &header) == 0 && header.vni >= RELAY_FIRST_VNI &&
	    header.vni - RELAY_FIRST_VNI < s->session_count) {
		session = &s->sessions[header.vni - RELAY_FIRST_VNI];
		is_good = header.control
				  ? relay_control(s, session, header.vni, from,
						  r.at, r.left)
				  : relay_data(s, session, from, pkt, len);
	}
	if (!is_good)
		s->dropped++;
}

#endif
