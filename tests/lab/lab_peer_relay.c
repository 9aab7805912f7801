/* SPDX-License-Identifier: BSD-3-Clause
 * lab_peer_relay.c - a node of the tailnet that relays UDP for others
 *
 * The node exists in the lab's state only. Requests reach it inside the DERP
 * servers; what it relays is tests/relay_server.h on a UDP socket.
 */
#include "tests/lab/lab_peer_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/crypto/box.h"
#include "tests/lab/lab.h"
#include "tests/lab/lab_derp.h"
#include "tests/lab/lab_json.h"
#include "tests/relay_server.h"

enum {
	PACKETS_PER_EVENT = 64,
	RELAY_CAP_VERSION = 121,
	PACKET_CAP = 65536,
};

struct lab_peer_relay {
	struct lab *lab;
	struct relay_server server;
	struct ts_private_key disco_private;
	struct ts_public_key key;
	struct ts_watch *watch;
	int fd;
	bool is_broken;
	uint8_t pkt[PACKET_CAP];
};

static void send_udp(void *ctx, const struct ts_addr *to, const uint8_t *data,
		     size_t len)
{
	struct lab_peer_relay *relay = ctx;
	struct sockaddr_storage ss;
	int ss_len = ts_addr_to_sockaddr(to, AF_INET, &ss);

	if (ss_len > 0 && sendto(relay->fd, data, len, MSG_DONTWAIT,
				 (struct sockaddr *)&ss, (socklen_t)ss_len) < 0)
		relay->server.dropped++;
}

static void on_readable(void *ctx, unsigned events)
{
	struct lab_peer_relay *relay = ctx;

	(void)events;
	for (int i = 0; i < PACKETS_PER_EVENT; i++) {
		struct sockaddr_storage ss;
		socklen_t ss_len = sizeof(ss);
		struct ts_addr from;
		ssize_t n = recvfrom(relay->fd, relay->pkt, PACKET_CAP,
				     MSG_DONTWAIT, (struct sockaddr *)&ss,
				     &ss_len);

		if (n < 0)
			return;
		if (!relay->is_broken &&
		    ts_addr_from_sockaddr((struct sockaddr *)&ss, ss_len,
					  &from) >= 0)
			relay_server_input(&relay->server, &from, relay->pkt,
					   (size_t)n);
	}
}

static const struct lab_node *node_with_disco(const struct lab *lab,
					      const struct ts_public_key *key,
					      const struct ts_public_key *disco)
{
	const struct lab_node *node = lab_node_by_key(&lab->state, key);

	return node && ts_public_key_equal(&node->disco, disco) ? node : NULL;
}

static void answer(struct lab_peer_relay *relay, struct lab_derp *derp,
		   const struct ts_public_key *src, const uint8_t *pkt,
		   size_t len)
{
	uint8_t payload[DISCO_PAYLOAD_MAX_LEN], out[DISCO_WRITE_CAP];
	struct ts_writer p = ts_writer_init(payload, DISCO_WRITE_PAYLOAD_CAP);
	struct ts_writer w = ts_writer_init(out, sizeof(out));
	struct ts_disco_allocated_relay allocated;
	struct ts_disco_message msg;
	struct ts_public_key sender, own;
	struct ts_box box;
	size_t n;

	ts_disco_read_sender(pkt, &sender);
	if (!node_with_disco(relay->lab, src, &sender) ||
	    ts_box_init(&box, &relay->disco_private, &sender) ||
	    ts_disco_unseal(pkt, len, &box, payload, &n) ||
	    ts_disco_read(payload, n, &msg) ||
	    msg.type != DISCO_ALLOCATE_RELAY_REQUEST ||
	    !relay_server_allocate(&relay->server, &msg.allocate_relay,
				   &allocated))
		return;
	msg.type = DISCO_ALLOCATE_RELAY_RESPONSE;
	msg.allocated_relay = allocated;
	ts_public_key_from_private(&relay->disco_private, &own);
	if (ts_disco_write(&p, &msg) == 0 &&
	    ts_disco_seal(&w, &own, &box, payload, p.len) == 0)
		lab_derp_inject(derp, &relay->key, src, out, w.len);
}

bool lab_peer_relay_packet(struct lab_peer_relay *relay, struct lab_derp *derp,
			   const struct ts_public_key *src,
			   const struct ts_public_key *dst, const uint8_t *pkt,
			   size_t len)
{
	if (!relay || !ts_public_key_equal(&relay->key, dst))
		return false;
	if (!relay->is_broken && ts_disco_is_packet(pkt, len))
		answer(relay, derp, src, pkt, len);
	return true;
}

static int open_socket(struct lab_peer_relay *relay)
{
	struct ts_addr any = relay->lab->opt.stun_listen;
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	int len;

	any.port = 0;
	len = ts_addr_to_sockaddr(&any, AF_INET, &ss);
	relay->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			   0);
	if (len < 0 || relay->fd < 0 ||
	    bind(relay->fd, (struct sockaddr *)&ss, (socklen_t)len) < 0 ||
	    getsockname(relay->fd, (struct sockaddr *)&ss, &ss_len) < 0)
		return -errno;
	relay->watch = ts_watch_new(relay->lab->loop, relay->fd, TS_READABLE,
				    on_readable, relay);
	if (!relay->watch)
		return -ENOMEM;
	relay->server.addr_count = 1;
	return ts_addr_from_sockaddr((struct sockaddr *)&ss, ss_len,
				     &relay->server.addrs[0]) < 0
		       ? -EINVAL
		       : 0;
}

static int add_node(struct lab_peer_relay *relay)
{
	struct lab *lab = relay->lab;
	struct ts_private_key node_private, machine_private;
	struct lab_node *node;

	ts_private_key_generate(&node_private);
	ts_private_key_generate(&machine_private);
	ts_private_key_generate(&relay->disco_private);
	ts_public_key_from_private(&node_private, &relay->key);
	node = lab_node_add(&lab->state, &relay->key, "relay");
	if (!node)
		return -ENOMEM;
	ts_public_key_from_private(&machine_private, &node->machine);
	ts_public_key_from_private(&relay->disco_private, &node->disco);
	node->user = lab_state_user(&lab->state, "relay@example.com");
	node->cap_version = RELAY_CAP_VERSION;
	node->home_derp = lab->first_region;
	lab_json_replace(&node->hostinfo,
			 json_pack("{s:s, s:s}", "OS", "linux", "Hostname",
				   node->name));
	lab_node_changed(&lab->state, node, LAB_CHANGE_FULL);
	return 0;
}

int lab_peer_relay_open(struct lab *lab, struct lab_peer_relay **out)
{
	struct lab_peer_relay *relay = calloc(1, sizeof(*relay));
	int err;

	if (!relay)
		return -ENOMEM;
	relay->lab = lab;
	relay->fd = -1;
	relay_server_init(&relay->server);
	relay->server.send = send_udp;
	relay->server.ctx = relay;
	err = open_socket(relay);
	if (!err)
		err = add_node(relay);
	if (err)
		lab_peer_relay_close(relay);
	else
		*out = relay;
	return err;
}

void lab_peer_relay_close(struct lab_peer_relay *relay)
{
	if (!relay)
		return;
	ts_watch_free(relay->watch);
	if (relay->fd >= 0)
		close(relay->fd);
	free(relay);
}

uint16_t lab_peer_relay_port(const struct lab_peer_relay *relay)
{
	return relay->server.addrs[0].port;
}

void lab_peer_relay_set_working(struct lab_peer_relay *relay, bool on)
{
	relay->is_broken = !on;
}

json_t *lab_peer_relay_stats(const struct lab_peer_relay *relay)
{
	const struct relay_server *s = &relay->server;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "sessions",
			 (json_int_t)s->session_count, "allocations",
			 (json_int_t)s->allocations, "binds",
			 (json_int_t)s->binds, "answers",
			 (json_int_t)s->answers, "forwarded",
			 (json_int_t)s->forwarded, "dropped",
			 (json_int_t)s->dropped);
}
