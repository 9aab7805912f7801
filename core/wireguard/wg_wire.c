/* SPDX-License-Identifier: BSD-3-Clause
 * wg_wire.c - WireGuard's four messages: bytes <-> structs
 */
#include "core/wireguard/wg_wire.h"

#include <errno.h>

#include "core/base/wire.h"

enum { IP4_HEADER_LEN = 20, IP6_HEADER_LEN = 40 };

uint32_t ts_wg_read_type(const uint8_t *msg, size_t len)
{
	struct ts_reader r = ts_reader_init(msg, len);

	return ts_read_le32(&r);
}

/* Every message was read to its end, or it was of another length. */
static int finish(const struct ts_reader *r, uint32_t type, uint32_t want)
{
	return r->bad || r->left > 0 || type != want ? -EBADMSG : 0;
}

int ts_wg_read_initiation(const uint8_t *msg, size_t len,
			  struct ts_wg_initiation *out)
{
	struct ts_reader r = ts_reader_init(msg, len);
	uint32_t type = ts_read_le32(&r);

	out->sender = ts_read_le32(&r);
	ts_read_bytes(&r, out->ephemeral.bytes, TS_KEY_LEN);
	ts_read_bytes(&r, out->sealed_static, sizeof(out->sealed_static));
	ts_read_bytes(&r, out->sealed_timestamp, sizeof(out->sealed_timestamp));
	ts_read_skip(&r, 2 * WG_MAC_LEN);
	return finish(&r, type, WG_INITIATION);
}

int ts_wg_read_response(const uint8_t *msg, size_t len,
			struct ts_wg_response *out)
{
	struct ts_reader r = ts_reader_init(msg, len);
	uint32_t type = ts_read_le32(&r);

	out->sender = ts_read_le32(&r);
	out->receiver = ts_read_le32(&r);
	ts_read_bytes(&r, out->ephemeral.bytes, TS_KEY_LEN);
	ts_read_bytes(&r, out->sealed_empty, sizeof(out->sealed_empty));
	ts_read_skip(&r, 2 * WG_MAC_LEN);
	return finish(&r, type, WG_RESPONSE);
}

int ts_wg_read_cookie_reply(const uint8_t *msg, size_t len,
			    struct ts_wg_cookie_reply *out)
{
	struct ts_reader r = ts_reader_init(msg, len);
	uint32_t type = ts_read_le32(&r);

	out->receiver = ts_read_le32(&r);
	ts_read_bytes(&r, out->nonce, sizeof(out->nonce));
	ts_read_bytes(&r, out->sealed_cookie, sizeof(out->sealed_cookie));
	return finish(&r, type, WG_COOKIE_REPLY);
}

int ts_wg_read_transport(const uint8_t *msg, size_t len,
			 struct ts_wg_transport *out)
{
	struct ts_reader r = ts_reader_init(msg, len);
	uint32_t type = ts_read_le32(&r);

	out->receiver = ts_read_le32(&r);
	out->counter = ts_read_le64(&r);
	if (r.bad || type != WG_TRANSPORT || r.left < TS_AEAD_TAG_LEN)
		return -EBADMSG;
	return 0;
}

void ts_wg_write_initiation(const struct ts_wg_initiation *in,
			    uint8_t out[static WG_INITIATION_LEN])
{
	struct ts_writer w = ts_writer_init(out, WG_INITIATION_LEN);

	ts_write_le32(&w, WG_INITIATION);
	ts_write_le32(&w, in->sender);
	ts_write_bytes(&w, in->ephemeral.bytes, TS_KEY_LEN);
	ts_write_bytes(&w, in->sealed_static, sizeof(in->sealed_static));
	ts_write_bytes(&w, in->sealed_timestamp, sizeof(in->sealed_timestamp));
	ts_write_zeros(&w, 2 * WG_MAC_LEN);
}

void ts_wg_write_response(const struct ts_wg_response *in,
			  uint8_t out[static WG_RESPONSE_LEN])
{
	struct ts_writer w = ts_writer_init(out, WG_RESPONSE_LEN);

	ts_write_le32(&w, WG_RESPONSE);
	ts_write_le32(&w, in->sender);
	ts_write_le32(&w, in->receiver);
	ts_write_bytes(&w, in->ephemeral.bytes, TS_KEY_LEN);
	ts_write_bytes(&w, in->sealed_empty, sizeof(in->sealed_empty));
	ts_write_zeros(&w, 2 * WG_MAC_LEN);
}

void ts_wg_write_cookie_reply(const struct ts_wg_cookie_reply *in,
			      uint8_t out[static WG_COOKIE_REPLY_LEN])
{
	struct ts_writer w = ts_writer_init(out, WG_COOKIE_REPLY_LEN);

	ts_write_le32(&w, WG_COOKIE_REPLY);
	ts_write_le32(&w, in->receiver);
	ts_write_bytes(&w, in->nonce, sizeof(in->nonce));
	ts_write_bytes(&w, in->sealed_cookie, sizeof(in->sealed_cookie));
}

void ts_wg_write_transport(const struct ts_wg_transport *in,
			   uint8_t out[static WG_TRANSPORT_HEADER_LEN])
{
	struct ts_writer w = ts_writer_init(out, WG_TRANSPORT_HEADER_LEN);

	ts_write_le32(&w, WG_TRANSPORT);
	ts_write_le32(&w, in->receiver);
	ts_write_le64(&w, in->counter);
}

static size_t ip4_len(struct ts_reader *r)
{
	size_t total;

	ts_read_skip(r, 1); /* type of service */
	total = ts_read_be16(r);
	return total < IP4_HEADER_LEN ? 0 : total;
}

static size_t ip6_len(struct ts_reader *r)
{
	ts_read_skip(r, 3); /* traffic class, flow label */
	return (size_t)IP6_HEADER_LEN + ts_read_be16(r);
}

size_t ts_wg_inner_len(const uint8_t *data, size_t len)
{
	struct ts_reader r = ts_reader_init(data, len);
	unsigned version = ts_read_u8(&r) >> 4;
	size_t inner = 0;

	if (version == 4)
		inner = ip4_len(&r);
	else if (version == 6)
		inner = ip6_len(&r);
	return r.bad || inner > len ? 0 : inner;
}
