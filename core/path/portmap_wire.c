/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_wire.c - NAT-PMP and PCP messages: bytes <-> structs
 * Source: RFC 6886 (NAT-PMP), RFC 6887 (PCP); PROTOCOL 7.4
 */
#include "core/path/portmap_wire.h"

#include <errno.h>
#include <string.h>

#include "core/base/wire.h"

enum {
	PMP_OP_EXTERNAL = 0,
	PMP_OP_MAP_UDP = 1,
	PMP_OP_RESPONSE = 128,
	PMP_EXTERNAL_RESPONSE_LEN = 12,
	PMP_MAP_RESPONSE_LEN = 16,
	PMP_IP4_LEN = 4,
	PCP_OP_ANNOUNCE = 0,
	PCP_OP_MAP = 1,
	PCP_OP_RESPONSE = 0x80,
	PCP_RESERVED_LEN = 12, /* at the end of a response's header */
	PCP_PROTOCOL_UDP = 17,
};

/* -- requests ------------------------------------------------------------- */

size_t ts_pmp_write_external(uint8_t out[static PMP_EXTERNAL_REQUEST_LEN])
{
	struct ts_writer w = ts_writer_init(out, PMP_EXTERNAL_REQUEST_LEN);

	ts_write_u8(&w, PMP_VERSION);
	ts_write_u8(&w, PMP_OP_EXTERNAL);
	return w.len;
}

size_t ts_pmp_write_map(uint16_t internal_port, uint16_t external_port,
			uint32_t lifetime_s,
			uint8_t out[static PMP_MAP_REQUEST_LEN])
{
	struct ts_writer w = ts_writer_init(out, PMP_MAP_REQUEST_LEN);

	ts_write_u8(&w, PMP_VERSION);
	ts_write_u8(&w, PMP_OP_MAP_UDP);
	ts_write_zeros(&w, 2);
	ts_write_be16(&w, internal_port);
	ts_write_be16(&w, external_port);
	ts_write_be32(&w, lifetime_s);
	return w.len;
}

static void write_pcp_header(struct ts_writer *w, uint8_t op,
			     uint32_t lifetime_s, const struct ts_ip *client)
{
	ts_write_u8(w, PCP_VERSION);
	ts_write_u8(w, op);
	ts_write_zeros(w, 2);
	ts_write_be32(w, lifetime_s);
	ts_write_bytes(w, client->bytes, TS_IP_LEN);
}

size_t ts_pcp_write_announce(const struct ts_ip *client,
			     uint8_t out[static PCP_ANNOUNCE_REQUEST_LEN])
{
	struct ts_writer w = ts_writer_init(out, PCP_ANNOUNCE_REQUEST_LEN);

	write_pcp_header(&w, PCP_OP_ANNOUNCE, 0, client);
	return w.len;
}

size_t ts_pcp_write_map(const struct ts_pcp_map *map,
			uint8_t out[static PCP_MAP_REQUEST_LEN])
{
	struct ts_writer w = ts_writer_init(out, PCP_MAP_REQUEST_LEN);
	/* "No suggestion" for IPv4 is the IPv4 address of zeros. */
	const struct ts_ip *suggested = ts_ip_is_zero(&map->external.ip)
						? &TS_IP4_ZERO
						: &map->external.ip;

	write_pcp_header(&w, PCP_OP_MAP, map->lifetime_s, &map->client);
	ts_write_bytes(&w, map->nonce, PCP_NONCE_LEN);
	ts_write_u8(&w, PCP_PROTOCOL_UDP);
	ts_write_zeros(&w, 3);
	ts_write_be16(&w, map->internal_port);
	ts_write_be16(&w, map->external.port);
	ts_write_bytes(&w, suggested->bytes, TS_IP_LEN);
	return w.len;
}

/* -- responses ------------------------------------------------------------ */

/* An error may end after the epoch: there is nothing to say after it. */
static bool is_short_error(const struct ts_reader *r,
			   const struct ts_pxp_response *out)
{
	return !r->bad && r->left == 0 && out->result != PMP_SUCCESS;
}

static int read_pmp(struct ts_reader *r, size_t len,
		    struct ts_pxp_response *out)
{
	uint8_t op = ts_read_u8(r);
	uint8_t ip[PMP_IP4_LEN];

	out->result = ts_read_be16(r);
	out->epoch_s = ts_read_be32(r);
	switch (op) {
	case PMP_OP_RESPONSE | PMP_OP_EXTERNAL:
		out->kind = PMP_EXTERNAL;
		if (is_short_error(r, out))
			return 0;
		ts_read_bytes(r, ip, sizeof(ip));
		if (r->bad || len != PMP_EXTERNAL_RESPONSE_LEN)
			return -EBADMSG;
		out->external.ip = ts_ip_from_v4(ip);
		return 0;
	case PMP_OP_RESPONSE | PMP_OP_MAP_UDP:
		out->kind = PMP_MAP;
		if (is_short_error(r, out))
			return 0;
		out->internal_port = ts_read_be16(r);
		out->external.port = ts_read_be16(r);
		out->lifetime_s = ts_read_be32(r);
		return r->bad || len != PMP_MAP_RESPONSE_LEN ? -EBADMSG : 0;
	default:
		return -EBADMSG;
	}
}

static int read_pcp_map(struct ts_reader *r, struct ts_pxp_response *out)
{
	uint8_t protocol;

	ts_read_bytes(r, out->nonce, PCP_NONCE_LEN);
	protocol = ts_read_u8(r);
	ts_read_skip(r, 3);
	out->internal_port = ts_read_be16(r);
	out->external.port = ts_read_be16(r);
	ts_read_bytes(r, out->external.ip.bytes, TS_IP_LEN);
	return r->bad || protocol != PCP_PROTOCOL_UDP ? -EBADMSG : 0;
}

/* Options may follow, which nobody asked for: they are passed over. */
static int read_pcp(struct ts_reader *r, size_t len,
		    struct ts_pxp_response *out)
{
	uint8_t op = ts_read_u8(r);

	ts_read_skip(r, 1);
	out->result = ts_read_u8(r);
	out->lifetime_s = ts_read_be32(r);
	out->epoch_s = ts_read_be32(r);
	ts_read_skip(r, PCP_RESERVED_LEN);
	if (r->bad || len > PCP_RESPONSE_MAX_LEN || len % 4 != 0)
		return -EBADMSG;
	switch (op) {
	case PCP_OP_RESPONSE | PCP_OP_ANNOUNCE:
		out->kind = PCP_ANNOUNCE;
		return 0;
	case PCP_OP_RESPONSE | PCP_OP_MAP:
		out->kind = PCP_MAP;
		return read_pcp_map(r, out);
	default:
		return -EBADMSG;
	}
}

int ts_pxp_read_response(const uint8_t *pkt, size_t len,
			 struct ts_pxp_response *out)
{
	struct ts_reader r = ts_reader_init(pkt, len);
	struct ts_pxp_response response = {0};
	uint8_t version = ts_read_u8(&r);
	int err = -EBADMSG;

	if (r.bad)
		return err;
	if (version == PMP_VERSION)
		err = read_pmp(&r, len, &response);
	else if (version == PCP_VERSION)
		err = read_pcp(&r, len, &response);
	if (!err)
		*out = response;
	return err;
}
