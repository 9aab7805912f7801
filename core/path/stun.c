/* SPDX-License-Identifier: BSD-3-Clause
 * stun.c - STUN binding requests and responses, both sides
 * Source: RFC 8489; net/stun/stun.go, PROTOCOL 7.1
 */
#include "core/path/stun.h"

#include <errno.h>
#include <string.h>

#include "core/base/wire.h"

enum {
	STUN_HEADER_LEN = 20,
	STUN_BINDING_REQUEST = 0x0001,
	STUN_BINDING_SUCCESS = 0x0101,
	STUN_ATTR_MAPPED_ADDRESS = 0x0001,
	STUN_ATTR_XOR_MAPPED_ADDRESS = 0x0020,
	/* The number before RFC 5389 gave it one; old servers send it. */
	STUN_ATTR_XOR_MAPPED_ADDRESS_OLD = 0x8020,
	STUN_ATTR_SOFTWARE = 0x8022,
	STUN_ATTR_FINGERPRINT = 0x8028,
	STUN_FINGERPRINT_ATTR_LEN = 8,
	STUN_FAMILY_IPV4 = 1,
	STUN_FAMILY_IPV6 = 2,
	STUN_IP4_LEN = 4,
};

static const uint32_t stun_cookie = 0x2112a442;
static const uint32_t stun_fingerprint_xor = 0x5354554e;
static const char stun_software[] = "tailnode";

enum { STUN_SOFTWARE_LEN = sizeof(stun_software) - 1 };

static uint32_t crc32_ieee(const uint8_t *data, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static uint32_t fingerprint(const uint8_t *pkt, size_t len)
{
	return crc32_ieee(pkt, len) ^ stun_fingerprint_xor;
}

struct stun_header {
	uint16_t type, attrs_len;
	uint32_t cookie;
	uint8_t tx_id[STUN_TX_ID_LEN];
};

static int read_header(struct ts_reader *r, struct stun_header *h)
{
	h->type = ts_read_be16(r);
	h->attrs_len = ts_read_be16(r);
	h->cookie = ts_read_be32(r);
	ts_read_bytes(r, h->tx_id, STUN_TX_ID_LEN);
	return r->bad || h->cookie != stun_cookie ? -EBADMSG : 0;
}

struct stun_attr {
	uint16_t type;
	struct ts_reader value;
};

static int read_attr(struct ts_reader *r, struct stun_attr *attr)
{
	uint16_t len;

	attr->type = ts_read_be16(r);
	len = ts_read_be16(r);
	attr->value = ts_read_block(r, len);
	ts_read_skip(r, (size_t)(-len & 3)); /* padded to 4 */
	return r->bad ? -EBADMSG : 0;
}

bool ts_stun_is_packet(const uint8_t *pkt, size_t len)
{
	struct ts_reader r = ts_reader_init(pkt, len);
	struct stun_header h;

	/* Top bits clear, method and class of the binding messages; the
	 * second byte tells STUN from Geneve. */
	return read_header(&r, &h) == 0 && (h.type & 0xc0ff) == 0x0001;
}

/* -- client --------------------------------------------------------------- */

void ts_stun_write_request(const uint8_t tx_id[static STUN_TX_ID_LEN],
			   uint8_t out[static STUN_REQUEST_LEN])
{
	struct ts_writer w = ts_writer_init(out, STUN_REQUEST_LEN);

	ts_write_be16(&w, STUN_BINDING_REQUEST);
	ts_write_be16(&w, STUN_REQUEST_LEN - STUN_HEADER_LEN);
	ts_write_be32(&w, stun_cookie);
	ts_write_bytes(&w, tx_id, STUN_TX_ID_LEN);
	ts_write_be16(&w, STUN_ATTR_SOFTWARE);
	ts_write_be16(&w, STUN_SOFTWARE_LEN);
	ts_write_bytes(&w, stun_software, STUN_SOFTWARE_LEN);
	ts_write_be16(&w, STUN_ATTR_FINGERPRINT);
	ts_write_be16(&w, sizeof(uint32_t));
	ts_write_be32(&w, fingerprint(out, STUN_REQUEST_LEN -
						   STUN_FINGERPRINT_ATTR_LEN));
}

/* The XOR forms hide the port behind the cookie's first half and the address
 * behind cookie and transaction ID: its own inverse. */
static void xor_ip(uint8_t *ip, size_t len,
		   const uint8_t tx_id[static STUN_TX_ID_LEN])
{
	uint8_t mask[TS_IP_LEN];
	struct ts_writer w = ts_writer_init(mask, sizeof(mask));

	ts_write_be32(&w, stun_cookie);
	ts_write_bytes(&w, tx_id, STUN_TX_ID_LEN);
	for (size_t i = 0; i < len; i++)
		ip[i] ^= mask[i];
}

static uint16_t xor_port(uint16_t port)
{
	return port ^ (uint16_t)(stun_cookie >> 16);
}

static size_t family_ip_len(uint8_t family)
{
	switch (family) {
	case STUN_FAMILY_IPV4:
		return STUN_IP4_LEN;
	case STUN_FAMILY_IPV6:
		return TS_IP_LEN;
	default:
		return 0;
	}
}

/* xor_tx_id: NULL for the plain form. */
static int read_mapped(struct ts_reader *r, const uint8_t *xor_tx_id,
		       struct ts_addr *out)
{
	uint8_t ip[TS_IP_LEN];
	size_t ip_len;
	uint16_t port;

	ts_read_skip(r, 1);
	ip_len = family_ip_len(ts_read_u8(r));
	port = ts_read_be16(r);
	ts_read_bytes(r, ip, ip_len);
	if (r->bad || ip_len == 0)
		return -EBADMSG;
	if (xor_tx_id) {
		xor_ip(ip, ip_len, xor_tx_id);
		port = xor_port(port);
	}
	out->port = port;
	if (ip_len == STUN_IP4_LEN)
		out->ip = ts_ip_from_v4(ip);
	else
		memcpy(out->ip.bytes, ip, TS_IP_LEN);
	return 0;
}

/* Fills xored or plain when attr is one of the address attributes. */
static int read_address_attr(struct stun_attr *attr, const uint8_t *tx_id,
			     struct ts_addr *xored, struct ts_addr *plain)
{
	switch (attr->type) {
	case STUN_ATTR_XOR_MAPPED_ADDRESS:
	case STUN_ATTR_XOR_MAPPED_ADDRESS_OLD:
		return read_mapped(&attr->value, tx_id, xored);
	case STUN_ATTR_MAPPED_ADDRESS:
		return read_mapped(&attr->value, NULL, plain);
	default:
		return 0;
	}
}

int ts_stun_read_response(const uint8_t *pkt, size_t len,
			  uint8_t tx_id[static STUN_TX_ID_LEN],
			  struct ts_addr *mapped)
{
	struct ts_reader r = ts_reader_init(pkt, len);
	struct ts_addr xored = {0}, plain = {0};
	struct ts_reader attrs;
	struct stun_header h;

	if (read_header(&r, &h) != 0 || h.type != STUN_BINDING_SUCCESS)
		return -EBADMSG;
	attrs = ts_read_block(&r, h.attrs_len);
	if (r.bad)
		return -EBADMSG;
	while (attrs.left > 0) {
		struct stun_attr attr;

		if (read_attr(&attrs, &attr) != 0 ||
		    read_address_attr(&attr, h.tx_id, &xored, &plain) != 0)
			return -EBADMSG;
	}
	if (ts_ip_is_unspecified(&xored.ip))
		xored = plain;
	if (ts_ip_is_unspecified(&xored.ip) || xored.port == 0)
		return -EBADMSG;
	memcpy(tx_id, h.tx_id, STUN_TX_ID_LEN);
	*mapped = xored;
	return 0;
}

/* -- server --------------------------------------------------------------- */

int ts_stun_read_request(const uint8_t *pkt, size_t len,
			 uint8_t tx_id[static STUN_TX_ID_LEN])
{
	struct ts_reader r = ts_reader_init(pkt, len);
	struct stun_attr attr = {0};
	bool is_tailnode = false;
	struct stun_header h;

	if (read_header(&r, &h) != 0 || h.type != STUN_BINDING_REQUEST)
		return -EBADMSG;
	while (r.left > 0) {
		if (read_attr(&r, &attr) != 0)
			return -EBADMSG;
		if (attr.type == STUN_ATTR_SOFTWARE &&
		    attr.value.left == STUN_SOFTWARE_LEN &&
		    memcmp(attr.value.at, stun_software, STUN_SOFTWARE_LEN) ==
			    0)
			is_tailnode = true;
	}
	if (!is_tailnode || attr.type != STUN_ATTR_FINGERPRINT ||
	    attr.value.left != sizeof(uint32_t) ||
	    ts_read_be32(&attr.value) !=
		    fingerprint(pkt, len - STUN_FINGERPRINT_ATTR_LEN))
		return -EBADMSG;
	memcpy(tx_id, h.tx_id, STUN_TX_ID_LEN);
	return 0;
}

size_t ts_stun_write_response(const uint8_t tx_id[static STUN_TX_ID_LEN],
			      const struct ts_addr *mapped,
			      uint8_t out[static STUN_RESPONSE_MAX_LEN])
{
	struct ts_writer w = ts_writer_init(out, STUN_RESPONSE_MAX_LEN);
	bool is_v4 = ts_ip_is_v4(&mapped->ip);
	size_t ip_len = is_v4 ? STUN_IP4_LEN : TS_IP_LEN;
	uint8_t ip[TS_IP_LEN];

	memcpy(ip, mapped->ip.bytes + (TS_IP_LEN - ip_len), ip_len);
	xor_ip(ip, ip_len, tx_id);
	ts_write_be16(&w, STUN_BINDING_SUCCESS);
	ts_write_be16(&w, (uint16_t)(8 + ip_len)); /* one attribute */
	ts_write_be32(&w, stun_cookie);
	ts_write_bytes(&w, tx_id, STUN_TX_ID_LEN);
	ts_write_be16(&w, STUN_ATTR_XOR_MAPPED_ADDRESS);
	ts_write_be16(&w, (uint16_t)(4 + ip_len));
	ts_write_u8(&w, 0);
	ts_write_u8(&w, is_v4 ? STUN_FAMILY_IPV4 : STUN_FAMILY_IPV6);
	ts_write_be16(&w, xor_port(mapped->port));
	ts_write_bytes(&w, ip, ip_len);
	return w.len;
}
