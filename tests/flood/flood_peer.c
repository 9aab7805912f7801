/* SPDX-License-Identifier: BSD-3-Clause
 * flood_peer.c - a node of the tailnet that has gone bad
 *
 * It has a session with the victim, by the shortest way there is: a disco ping
 * makes its address known, the pong to the victim's own makes it the path, and
 * an initiation after that is answered by it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/path/disco_wire.h"
#include "core/wireguard/wg_device.h"
#include "netstack/checksum.h"
#include "tests/flood/flood.h"

enum {
	IP4_HEAD = 20,
	TCP_HEAD = 20,
	UDP_HEAD = 8,
	ICMP_HEAD = 8,
	PAYLOAD = 64,
	TCP_SYN = 2,
	ICMP_ECHO = 8,
	TSMP_PING_LEN = 9,
	NO_SUM = 255,
	TRIES = 100,
	TRY_MS = 50,
};

struct flood_peer {
	const struct flood_options *opt;
	struct flood_port *port;
	struct ts_wg *wg;
	struct ts_wg_peer *victim;
	struct ts_public_key node, disco; /* ours */
	struct ts_box box;
	bool is_up;
	uint32_t count;
	void (*send)(struct flood_peer *p);
};

uint64_t flood_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
	return flood_now_us() / 1000;
}

/* -- packets of the tunnel ------------------------------------------------ */

static void set_sum(uint8_t *at, uint16_t sum)
{
	at[0] = (uint8_t)(sum >> 8);
	at[1] = (uint8_t)sum;
}

/* The header in front of len bytes; w is where they go. */
static struct ts_writer begin_ip(struct flood_peer *p, struct ts_packet *pkt,
				 uint8_t proto, size_t len)
{
	struct ts_writer w;

	pkt->data = flood_port_room(p->port);
	pkt->len = IP4_HEAD + len;
	w = ts_writer_init(pkt->data, FLOOD_DATAGRAM_CAP);
	ts_write_be16(&w, 0x4500);
	ts_write_be16(&w, (uint16_t)pkt->len);
	ts_write_be32(&w, p->count << 16);
	ts_write_u8(&w, 64);
	ts_write_u8(&w, proto);
	ts_write_be16(&w, 0);
	ts_write_bytes(&w, p->opt->from.bytes + 12, 4);
	ts_write_bytes(&w, p->opt->dst.bytes + 12, 4);
	set_sum(pkt->data + 10, stack_sum_finish(stack_sum(pkt->data,
							   IP4_HEAD)));
	return w;
}

static void send_packet(struct flood_peer *p, struct ts_packet *pkt,
			size_t sum_at, bool has_pseudo)
{
	uint8_t *body = pkt->data + IP4_HEAD;
	size_t len = pkt->len - IP4_HEAD;
	uint32_t sum = stack_sum(body, len);

	if (has_pseudo)
		sum += stack_sum_pseudo(&p->opt->from, &p->opt->dst,
					pkt->data[9], len);
	if (sum_at != NO_SUM)
		set_sum(body + sum_at, stack_sum_finish(sum));
	p->count++;
	ts_wg_send(p->wg, p->victim, pkt, now_ms());
}

/* Another port, and now and then all of them were had. */
static uint16_t next_port(const struct flood_peer *p)
{
	return (uint16_t)(1024 + p->count % 64000);
}

static void send_syn(struct flood_peer *p)
{
	struct ts_packet pkt;
	struct ts_writer w = begin_ip(p, &pkt, 6, TCP_HEAD);

	ts_write_be16(&w, next_port(p));
	ts_write_be16(&w, p->opt->port);
	ts_write_be32(&w, ts_random_u32());
	ts_write_be32(&w, 0);
	ts_write_u8(&w, TCP_HEAD / 4 << 4);
	ts_write_u8(&w, TCP_SYN);
	ts_write_be16(&w, 65535);
	ts_write_be32(&w, 0);
	send_packet(p, &pkt, 16, true);
}

static void send_udp(struct flood_peer *p)
{
	struct ts_packet pkt;
	struct ts_writer w = begin_ip(p, &pkt, 17, UDP_HEAD + PAYLOAD);

	ts_write_be16(&w, next_port(p));
	ts_write_be16(&w, p->opt->port);
	ts_write_be16(&w, UDP_HEAD + PAYLOAD);
	ts_write_be16(&w, 0);
	ts_write_zeros(&w, PAYLOAD);
	send_packet(p, &pkt, 6, true);
}

static void send_echo(struct flood_peer *p)
{
	struct ts_packet pkt;
	struct ts_writer w = begin_ip(p, &pkt, 1, ICMP_HEAD + PAYLOAD);

	ts_write_u8(&w, ICMP_ECHO);
	ts_write_u8(&w, 0);
	ts_write_be16(&w, 0);
	ts_write_be32(&w, p->count);
	ts_write_zeros(&w, PAYLOAD);
	send_packet(p, &pkt, 2, false);
}

/* Tailscale's own ping, which the node itself answers. */
static void send_tsmp(struct flood_peer *p)
{
	struct ts_packet pkt;
	struct ts_writer w = begin_ip(p, &pkt, 99, TSMP_PING_LEN);

	ts_write_u8(&w, 'p');
	ts_write_be64(&w, p->count);
	send_packet(p, &pkt, NO_SUM, false);
}

/* -- disco ---------------------------------------------------------------- */

static void send_disco(struct flood_peer *p, const struct ts_disco_message *msg)
{
	uint8_t payload[FLOOD_DATAGRAM_CAP];
	struct ts_writer w = ts_writer_init(payload, sizeof(payload));
	struct ts_writer out =
		ts_writer_init(flood_port_room(p->port), FLOOD_DATAGRAM_CAP);

	if (ts_disco_write(&w, msg) == 0 &&
	    ts_disco_seal(&out, &p->disco, &p->box, payload, w.len) == 0)
		flood_port_add(p->port, out.len, false);
}

/* Each is another ping, so each deserves a pong. */
static void send_ping(struct flood_peer *p)
{
	struct ts_disco_message msg = {.type = DISCO_PING};

	ts_random_bytes(msg.ping.tx_id, sizeof(msg.ping.tx_id));
	msg.ping.node_key = p->node;
	send_disco(p, &msg);
	p->count++;
}

static void take_disco(struct flood_peer *p, const uint8_t *pkt, size_t len)
{
	uint8_t payload[DISCO_PAYLOAD_MAX_LEN];
	struct ts_disco_message msg, pong = {.type = DISCO_PONG};
	size_t payload_len;

	if (ts_disco_unseal(pkt, len, &p->box, payload, &payload_len) ||
	    ts_disco_read(payload, payload_len, &msg) ||
	    msg.type != DISCO_PING)
		return;
	memcpy(pong.pong.tx_id, msg.ping.tx_id, DISCO_TX_ID_LEN);
	pong.pong.src = p->opt->to;
	send_disco(p, &pong);
	flood_port_flush(p->port);
}

/* -- the session ---------------------------------------------------------- */

static const struct {
	const char *name;
	void (*send)(struct flood_peer *p);
} kinds[] = {
	{"syn", send_syn},
	{"udp", send_udp},
	{"echo", send_echo},
	{"tsmp", send_tsmp},
	{"pings", send_ping},
};

/* Sealed in the batch's own room, or, of a handshake, elsewhere. */
static void on_send(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	struct flood_peer *p = ctx;
	uint8_t *room = flood_port_room(p->port);

	(void)peer_ctx;
	memmove(room, pkt->data, pkt->len);
	flood_port_add(p->port, pkt->len, false);
}

static void on_deliver(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	(void)ctx;
	(void)peer_ctx;
	(void)pkt;
}

static struct ts_wg_peer *on_unknown(void *ctx, const struct ts_public_key *key)
{
	(void)ctx;
	(void)key;
	return NULL;
}

static void on_session(void *ctx, void *peer_ctx)
{
	struct flood_peer *p = ctx;

	(void)peer_ctx;
	p->is_up = true;
}

static uint64_t on_wall_clock(void *ctx)
{
	struct timespec t;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static const struct ts_wg_ops wg_ops = {
	.send = on_send,
	.deliver = on_deliver,
	.unknown_peer = on_unknown,
	.session_up = on_session,
	.wall_clock_ns = on_wall_clock,
};

/* From the beginning: a device of its own would wait for 5 s to try again. */
static bool call(struct flood_peer *p)
{
	ts_wg_free(p->wg);
	p->wg = ts_wg_new(&p->opt->keys.node, &wg_ops, p);
	p->victim = p->wg ? ts_wg_peer_add(p->wg, &p->opt->node, p) : NULL;
	if (!p->victim)
		return false;
	send_ping(p);
	send_echo(p); /* anything: it starts the handshake */
	flood_port_flush(p->port);
	return true;
}

static void take(struct flood_peer *p, uint8_t *data, size_t len)
{
	struct ts_packet pkt = {.data = data, .len = len};
	uint8_t reply[64];
	size_t reply_len;
	void *who;

	if (ts_datagram_kind(data, len) == DATAGRAM_DISCO)
		take_disco(p, data, len);
	else
		ts_wg_input(p->wg, &p->opt->to, false, &pkt, now_ms(), &who,
			    reply, &reply_len);
	flood_port_flush(p->port);
}

static bool connect_to_victim(struct flood_peer *p)
{
	uint8_t buf[TS_PACKET_HEADROOM + DISCO_PAYLOAD_MAX_LEN];
	uint8_t *at = buf + TS_PACKET_HEADROOM;

	for (int i = 0; i < TRIES && !p->is_up; i++) {
		uint64_t until_ms = now_ms() + TRY_MS;

		if (!call(p))
			return false;
		while (!p->is_up && now_ms() < until_ms) {
			size_t len = flood_port_receive(
				p->port, at, DISCO_PAYLOAD_MAX_LEN, TRY_MS);

			if (len)
				take(p, at, len);
		}
	}
	return p->is_up;
}

bool flood_peer_is_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(name, kinds[i].name))
			return true;
	return false;
}

struct flood_peer *flood_peer_open(const struct flood_options *opt,
				   struct flood_port *port, const char **err)
{
	struct flood_peer *p = calloc(1, sizeof(*p));

	*err = "out of memory, or no valid keys";
	if (!p)
		return NULL;
	p->opt = opt;
	p->port = port;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(opt->kind, kinds[i].name))
			p->send = kinds[i].send;
	ts_public_key_from_private(&opt->keys.node, &p->node);
	ts_public_key_from_private(&opt->keys.disco, &p->disco);
	if (p->send && ts_box_init(&p->box, &opt->keys.disco, &opt->disco) == 0)
		*err = connect_to_victim(p) ? NULL : "no session";
	if (!*err)
		return p;
	flood_peer_close(p);
	return NULL;
}

void flood_peer_send_one(struct flood_peer *peer)
{
	peer->send(peer);
}

void flood_peer_close(struct flood_peer *peer)
{
	ts_wg_free(peer->wg);
	ts_wipe(&peer->box, sizeof(peer->box));
	free(peer);
}
