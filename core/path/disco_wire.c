/* SPDX-License-Identifier: BSD-3-Clause
 * disco_wire.c - disco messages: bytes <-> structs
 * Source: disco/disco.go, net/packet/geneve.go, PROTOCOL 6.1, 6.2, 9
 */
#include "core/path/disco_wire.h"

#include <errno.h>
#include <string.h>

#include "core/path/stun.h"

static const uint8_t disco_magic[DISCO_MAGIC_LEN] = {'T',  'S',  0xf0,
						     0x9f, 0x92, 0xac};

/* -- reading -------------------------------------------------------------- */

static void read_addr(struct ts_reader *r, struct ts_addr *out)
{
	ts_read_bytes(r, out->ip.bytes, TS_IP_LEN);
	out->port = ts_read_be16(r);
}

static void read_key(struct ts_reader *r, struct ts_public_key *out)
{
	ts_read_bytes(r, out->bytes, TS_KEY_LEN);
}

/* To the end of r; beyond DISCO_ENDPOINTS_MAX they are not kept. */
static void read_endpoints(struct ts_reader *r, struct ts_disco_endpoints *out)
{
	while (r->left > 0 && out->count < DISCO_ENDPOINTS_MAX)
		read_addr(r, &out->addrs[out->count++]);
}

static void read_ping(struct ts_reader *r, struct ts_disco_ping *ping)
{
	ts_read_bytes(r, ping->tx_id, DISCO_TX_ID_LEN);
	if (r->left >= TS_KEY_LEN) /* old clients do not send it */
		read_key(r, &ping->node_key);
}

static void read_pong(struct ts_reader *r, struct ts_disco_pong *pong)
{
	ts_read_bytes(r, pong->tx_id, DISCO_TX_ID_LEN);
	read_addr(r, &pong->src);
}

static void read_bind_relay(struct ts_reader *r, struct ts_disco_bind_relay *b)
{
	b->vni = ts_read_be32(r);
	b->generation = ts_read_be32(r);
	read_key(r, &b->remote_key);
	ts_read_bytes(r, b->challenge, DISCO_CHALLENGE_LEN);
}

static void read_relay_endpoint(struct ts_reader *r,
				struct ts_disco_relay_endpoint *e)
{
	read_key(r, &e->server_disco);
	read_key(r, &e->client_disco[0]);
	read_key(r, &e->client_disco[1]);
	e->lamport_id = ts_read_be64(r);
	e->vni = ts_read_be32(r);
	e->bind_lifetime_ns = ts_read_be64(r);
	e->steady_state_lifetime_ns = ts_read_be64(r);
	if (r->left == 0 || r->left % DISCO_ENDPOINT_LEN != 0)
		r->bad = true;
	else
		read_endpoints(r, &e->addrs);
}

static void read_allocate_relay(struct ts_reader *r,
				struct ts_disco_allocate_relay *a)
{
	read_key(r, &a->client_disco[0]);
	read_key(r, &a->client_disco[1]);
	a->generation = ts_read_be32(r);
}

int ts_disco_read(const uint8_t *payload, size_t len,
		  struct ts_disco_message *out)
{
	struct ts_reader r = ts_reader_init(payload, len);
	uint8_t type = ts_read_u8(&r);
	uint8_t version = ts_read_u8(&r);

	if (r.bad)
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	out->type = type;
	switch (type) {
	case DISCO_PING:
		read_ping(&r, &out->ping);
		break;
	case DISCO_PONG:
		read_pong(&r, &out->pong);
		break;
	case DISCO_CALL_ME_MAYBE:
		if (version == DISCO_VERSION &&
		    r.left % DISCO_ENDPOINT_LEN == 0)
			read_endpoints(&r, &out->call_me_maybe);
		break;
	case DISCO_BIND_RELAY:
	case DISCO_BIND_RELAY_CHALLENGE:
	case DISCO_BIND_RELAY_ANSWER:
		read_bind_relay(&r, &out->bind_relay);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		read_relay_endpoint(&r, &out->call_me_maybe_via);
		break;
	case DISCO_ALLOCATE_RELAY_REQUEST:
		read_allocate_relay(&r, &out->allocate_relay);
		break;
	case DISCO_ALLOCATE_RELAY_RESPONSE:
		out->allocated_relay.generation = ts_read_be32(&r);
		read_relay_endpoint(&r, &out->allocated_relay.endpoint);
		break;
	default:
		return -EBADMSG;
	}
	return r.bad ? -EBADMSG : 0;
}

/* -- writing -------------------------------------------------------------- */

static void write_addr(struct ts_writer *w, const struct ts_addr *addr)
{
	ts_write_bytes(w, addr->ip.bytes, TS_IP_LEN);
	ts_write_be16(w, addr->port);
}

static void write_key(struct ts_writer *w, const struct ts_public_key *key)
{
	ts_write_bytes(w, key->bytes, TS_KEY_LEN);
}

static int write_endpoints(struct ts_writer *w,
			   const struct ts_disco_endpoints *e)
{
	if (e->count > DISCO_ENDPOINTS_MAX)
		return -EMSGSIZE;
	for (size_t i = 0; i < e->count; i++)
		write_addr(w, &e->addrs[i]);
	return 0;
}

static void write_bind_relay(struct ts_writer *w,
			     const struct ts_disco_bind_relay *b)
{
	ts_write_be32(w, b->vni);
	ts_write_be32(w, b->generation);
	write_key(w, &b->remote_key);
	ts_write_bytes(w, b->challenge, DISCO_CHALLENGE_LEN);
}

static int write_relay_endpoint(struct ts_writer *w,
				const struct ts_disco_relay_endpoint *e)
{
	write_key(w, &e->server_disco);
	write_key(w, &e->client_disco[0]);
	write_key(w, &e->client_disco[1]);
	ts_write_be64(w, e->lamport_id);
	ts_write_be32(w, e->vni);
	ts_write_be64(w, e->bind_lifetime_ns);
	ts_write_be64(w, e->steady_state_lifetime_ns);
	return write_endpoints(w, &e->addrs);
}

int ts_disco_write(struct ts_writer *w, const struct ts_disco_message *msg)
{
	int err = 0;

	ts_write_u8(w, (uint8_t)msg->type);
	ts_write_u8(w, DISCO_VERSION);
	switch (msg->type) {
	case DISCO_PING:
		ts_write_bytes(w, msg->ping.tx_id, DISCO_TX_ID_LEN);
		write_key(w, &msg->ping.node_key);
		ts_write_zeros(w, msg->ping.padding_len);
		break;
	case DISCO_PONG:
		ts_write_bytes(w, msg->pong.tx_id, DISCO_TX_ID_LEN);
		write_addr(w, &msg->pong.src);
		break;
	case DISCO_CALL_ME_MAYBE:
		err = write_endpoints(w, &msg->call_me_maybe);
		break;
	case DISCO_BIND_RELAY:
	case DISCO_BIND_RELAY_CHALLENGE:
	case DISCO_BIND_RELAY_ANSWER:
		write_bind_relay(w, &msg->bind_relay);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		err = write_relay_endpoint(w, &msg->call_me_maybe_via);
		break;
	case DISCO_ALLOCATE_RELAY_REQUEST:
		write_key(w, &msg->allocate_relay.client_disco[0]);
		write_key(w, &msg->allocate_relay.client_disco[1]);
		ts_write_be32(w, msg->allocate_relay.generation);
		break;
	case DISCO_ALLOCATE_RELAY_RESPONSE:
		ts_write_be32(w, msg->allocated_relay.generation);
		err = write_relay_endpoint(w, &msg->allocated_relay.endpoint);
		break;
	}
	if (err)
		return err;
	return w->bad ? -ENOBUFS : 0;
}

/* -- envelope ------------------------------------------------------------- */

bool ts_disco_is_packet(const uint8_t *pkt, size_t len)
{
	return len >= DISCO_PACKET_MIN_LEN &&
	       memcmp(pkt, disco_magic, DISCO_MAGIC_LEN) == 0;
}

void ts_disco_read_sender(const uint8_t *pkt, struct ts_public_key *out)
{
	memcpy(out->bytes, pkt + DISCO_MAGIC_LEN, TS_KEY_LEN);
}

int ts_disco_unseal(const uint8_t *pkt, size_t len, const struct ts_box *box,
		    uint8_t out[static DISCO_PAYLOAD_MAX_LEN], size_t *out_len)
{
	struct ts_reader r = ts_reader_init(pkt, len);

	ts_read_skip(&r, DISCO_HEADER_LEN);
	if (r.bad || r.left < TS_BOX_OVERHEAD)
		return -EBADMSG;
	if (r.left - TS_BOX_OVERHEAD > DISCO_PAYLOAD_MAX_LEN)
		return -EMSGSIZE;
	*out_len = r.left - TS_BOX_OVERHEAD;
	return ts_box_unseal(box, r.at, r.left, out);
}

int ts_disco_seal(struct ts_writer *w, const struct ts_public_key *sender,
		  const struct ts_box *box, const uint8_t *payload, size_t len)
{
	uint8_t sealed[TS_BOX_OVERHEAD + DISCO_WRITE_PAYLOAD_CAP];

	if (len > DISCO_WRITE_PAYLOAD_CAP)
		return -EMSGSIZE;
	ts_box_seal(box, payload, len, sealed);
	ts_write_bytes(w, disco_magic, DISCO_MAGIC_LEN);
	write_key(w, sender);
	ts_write_bytes(w, sealed, len + TS_BOX_OVERHEAD);
	return w->bad ? -ENOBUFS : 0;
}

/* -- Geneve --------------------------------------------------------------- */

enum {
	GENEVE_CONTROL_BIT = 0x80,
	/* Of the first two bytes only the control bit may be set: we know no
	 * options and no critical ones. */
};

int ts_geneve_read(struct ts_reader *r, struct ts_geneve *out)
{
	uint8_t version_opts = ts_read_u8(r);
	uint8_t flags = ts_read_u8(r);
	uint16_t proto = ts_read_be16(r);
	uint32_t vni = ts_read_be24(r);
	uint8_t reserved = ts_read_u8(r);

	if (r->bad || version_opts != 0 || reserved != 0 || vni == 0 ||
	    (flags & ~GENEVE_CONTROL_BIT) != 0)
		return -EBADMSG;
	if (proto != GENEVE_PROTO_DISCO && proto != GENEVE_PROTO_WIREGUARD)
		return -EBADMSG;
	*out = (struct ts_geneve){
		.control = (flags & GENEVE_CONTROL_BIT) != 0,
		.proto = proto,
		.vni = vni,
	};
	return 0;
}

int ts_geneve_write(struct ts_writer *w, const struct ts_geneve *geneve)
{
	if (geneve->vni == 0 || geneve->vni > DISCO_VNI_MAX)
		return -EBADMSG;
	ts_write_u8(w, 0);
	ts_write_u8(w, geneve->control ? GENEVE_CONTROL_BIT : 0);
	ts_write_be16(w, (uint16_t)geneve->proto);
	ts_write_be24(w, geneve->vni);
	ts_write_u8(w, 0);
	return w->bad ? -ENOBUFS : 0;
}

/* -- demultiplexing ------------------------------------------------------- */

static enum ts_datagram_kind relayed_kind(const uint8_t *pkt, size_t len)
{
	struct ts_reader r = ts_reader_init(pkt, len);
	struct ts_geneve geneve;

	if (ts_geneve_read(&r, &geneve) != 0)
		return DATAGRAM_WIREGUARD;
	if (geneve.proto == GENEVE_PROTO_WIREGUARD)
		return DATAGRAM_RELAYED_WIREGUARD;
	return ts_disco_is_packet(r.at, r.left) ? DATAGRAM_RELAYED_DISCO
						: DATAGRAM_WIREGUARD;
}

enum ts_datagram_kind ts_datagram_kind(const uint8_t *pkt, size_t len)
{
	if (ts_stun_is_packet(pkt, len))
		return DATAGRAM_STUN;
	if (ts_disco_is_packet(pkt, len))
		return DATAGRAM_DISCO;
	/* Neither of those two starts with a zero byte and has a Geneve
	 * protocol number, so the order does not matter here. */
	return relayed_kind(pkt, len);
}
