/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_port.c - where our PeerAPI is to be found
 * Source: ipn/ipnlocal/peerapi.go (listen); PROTOCOL 14
 *
 * The number follows from the address, so that it stays the same. Nobody else
 * has our ports, so there is no second try.
 */
#include "core/node/node_internal.h"

enum { PORT_FIRST = 0x8000, HASHED_BYTES = 3 };

/* CRC-32 of IEEE 802.3. */
static uint32_t crc32(const uint8_t *data, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

uint16_t ts_node_peerapi_port(const struct ts_node *node, bool v6)
{
	struct ts_ip ip = ts_node_ip(node, v6);

	if (ts_ip_is_unspecified(&ip))
		return 0;
	return (uint16_t)(PORT_FIRST |
			  (crc32(ip.bytes + TS_IP_LEN - HASHED_BYTES,
				 HASHED_BYTES) &
			   0xffff));
}

void node_peerapi_publish(struct ts_node *node)
{
	ts_control_set_peerapi(node->control,
			       ts_node_peerapi_port(node, false),
			       ts_node_peerapi_port(node, true),
			       node->now_ms);
}

bool ts_node_peerapi_of(const struct ts_node *node, const struct ts_peer *peer,
			struct ts_addr *out)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct ts_ip own = ts_node_ip(node, v6);

		out->ip = ts_peer_ip(peer, v6);
		out->port = v6 ? peer->peerapi6_port : peer->peerapi4_port;
		if (out->port && !ts_ip_is_unspecified(&own) &&
		    !ts_ip_is_unspecified(&out->ip))
			return true;
	}
	return false;
}

/* Rules of the internet begin and end in the middle of nowhere; these two are in
 * all of them. */
static const struct ts_ip INTERNET6 = {{0x20, 0x01, 0x48, 0x60}};
static const uint32_t INTERNET4 = 0x08080808;

enum { DNS_PORT = 53 };

bool ts_node_lets_out(const struct ts_node *node, const struct ts_peer *peer,
		      const struct ts_ip *from)
{
	struct ts_ip to = ts_ip_is_v4(from) ? ts_ip_from_v4_host(INTERNET4)
					    : INTERNET6;

	return ts_filter_allows_tcp(node->filter, from, &to, DNS_PORT, peer);
}
