/* SPDX-License-Identifier: BSD-3-Clause
 * capture.c - packets as records of a capture file
 *
 * All is little-endian, as upstream has it; both formats say so themselves. A
 * record is written in two parts with the packet's bytes between them, so that
 * these are copied once, by whoever keeps the record.
 */
#include "core/node/capture.h"

#include <string.h>

enum {
	PCAP_MAGIC = 0xa1b2c3d4,
	PCAP_SNAPLEN = 65535,
	LINKTYPE_USER0 = 147,
	LINKTYPE_RAW = 101, /* IPv4 or IPv6, by the version */
	META_LEN = 4, /* Tailscale's header without translated addresses */

	NG_SECTION = 0x0a0d0d0a,
	NG_BYTE_ORDER = 0x1a2b3c4d,
	NG_INTERFACE = 1,
	NG_PACKET = 6,
	NG_SNAPLEN = 0, /* no limit */

	OPT_END = 0,
	OPT_COMMENT = 1,
	SHB_USERAPPL = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_TSRESOL = 9,
	EPB_FLAGS = 2,
	EPB_DROPCOUNT = 4,
	FLAG_INBOUND = 1,
	FLAG_OUTBOUND = 2,

	NS_PER_S = 1000000000,
};

static void write_le16(struct ts_writer *w, uint16_t v)
{
	ts_write_u8(w, (uint8_t)v);
	ts_write_u8(w, (uint8_t)(v >> 8));
}

static size_t padding(size_t len)
{
	return -len & 3;
}

/* -- options of pcapng ---------------------------------------------------- */
static void write_option(struct ts_writer *w, uint16_t code, const void *value,
			 size_t len)
{
	write_le16(w, code);
	write_le16(w, (uint16_t)len);
	ts_write_bytes(w, value, len);
	ts_write_zeros(w, padding(len));
}

static void write_text_option(struct ts_writer *w, uint16_t code,
			      const char *text)
{
	size_t len = strnlen(text, TS_CAPTURE_COMMENT_MAX);

	if (len > 0)
		write_option(w, code, text, len);
}

/* A block's length stands at both of its ends, so the body comes first. */
static void write_block(struct ts_writer *w, uint32_t type,
			const uint8_t *body, size_t len)
{
	uint32_t total = (uint32_t)(12 + len);

	ts_write_le32(w, type);
	ts_write_le32(w, total);
	ts_write_bytes(w, body, len);
	ts_write_le32(w, total);
}

static void write_section(struct ts_writer *w)
{
	uint8_t body[TS_CAPTURE_HEAD_MAX / 2];
	struct ts_writer b = ts_writer_init(body, sizeof(body));

	ts_write_le32(&b, NG_BYTE_ORDER);
	write_le16(&b, 1); /* version 1.0 */
	write_le16(&b, 0);
	ts_write_le64(&b, UINT64_MAX); /* the section's length is not known */
	write_text_option(&b, SHB_USERAPPL, "tsnet-shim " TSNET_VERSION);
	write_option(&b, OPT_END, NULL, 0);
	write_block(w, NG_SECTION, body, b.len);
}

static void write_interface(struct ts_writer *w, uint16_t link_type,
			    const char *name, const char *description)
{
	static const uint8_t nanoseconds = 9;
	uint8_t body[TS_CAPTURE_HEAD_MAX / 2];
	struct ts_writer b = ts_writer_init(body, sizeof(body));

	write_le16(&b, link_type);
	write_le16(&b, 0);
	ts_write_le32(&b, NG_SNAPLEN);
	write_text_option(&b, IF_NAME, name);
	write_text_option(&b, IF_DESCRIPTION, description);
	write_option(&b, IF_TSRESOL, &nanoseconds, sizeof(nanoseconds));
	write_option(&b, OPT_END, NULL, 0);
	write_block(w, NG_INTERFACE, body, b.len);
}

/* -- pcap ----------------------------------------------------------------- */
static void write_pcap_head(struct ts_writer *w)
{
	ts_write_le32(w, PCAP_MAGIC);
	write_le16(w, 2); /* version 2.4 */
	write_le16(w, 4);
	ts_write_le32(w, 0);
	ts_write_le32(w, 0);
	ts_write_le32(w, PCAP_SNAPLEN);
	ts_write_le32(w, LINKTYPE_USER0);
}

static void write_before_nat(struct ts_writer *w, const struct ts_ip *ip)
{
	if (!ip) {
		ts_write_u8(w, 0);
	} else if (ts_ip_is_v4(ip)) {
		ts_write_u8(w, 4);
		ts_write_be32(w, ts_ip_v4_host(ip));
	} else {
		ts_write_u8(w, TS_IP_LEN);
		ts_write_bytes(w, ip->bytes, TS_IP_LEN);
	}
}

/* Tailscale's header, which the dissector for USER0 reads. */
static void write_meta(struct ts_writer *w, const struct ts_capture_packet *p)
{
	write_le16(w, (uint16_t)p->path);
	write_before_nat(w, p->src_before);
	write_before_nat(w, p->dst_before);
}

static void write_pcap_before(struct ts_writer *w,
			      const struct ts_capture_packet *p)
{
	uint8_t bytes[4 + 2 * TS_IP_LEN];
	struct ts_writer meta = ts_writer_init(bytes, sizeof(bytes));

	write_meta(&meta, p);
	ts_write_le32(w, (uint32_t)(p->wall_ns / NS_PER_S));
	ts_write_le32(w, (uint32_t)(p->wall_ns % NS_PER_S / 1000));
	ts_write_le32(w, (uint32_t)(meta.len + p->len));
	ts_write_le32(w, (uint32_t)(meta.len + p->len));
	ts_write_bytes(w, bytes, meta.len);
}

/* -- a packet of pcapng --------------------------------------------------- */
static bool is_inbound(const struct ts_capture_packet *p)
{
	return p->path == TS_CAPTURE_FROM_PEER || p->path == TS_CAPTURE_DISCO;
}

static void write_packet_options(struct ts_writer *w,
				 const struct ts_capture_packet *p)
{
	uint8_t number[8];
	struct ts_writer n = ts_writer_init(number, sizeof(number));

	write_text_option(w, OPT_COMMENT, p->comment);
	ts_write_le32(&n, is_inbound(p) ? FLAG_INBOUND : FLAG_OUTBOUND);
	write_option(w, EPB_FLAGS, number, n.len);
	if (p->dropped > 0) {
		n = ts_writer_init(number, sizeof(number));
		ts_write_le64(&n, p->dropped);
		write_option(w, EPB_DROPCOUNT, number, n.len);
	}
	write_option(w, OPT_END, NULL, 0);
}

static size_t captured_len(const struct ts_capture_packet *p)
{
	return p->len + (p->path == TS_CAPTURE_DISCO ? META_LEN : 0);
}

static uint32_t packet_block_len(const struct ts_capture_packet *p)
{
	uint8_t options[TS_CAPTURE_RECORD_MAX];
	struct ts_writer w = ts_writer_init(options, sizeof(options));

	write_packet_options(&w, p);
	return (uint32_t)(8 + 20 + captured_len(p) + padding(p->len) + w.len +
			  4);
}

static void write_packet_before(struct ts_writer *w,
				const struct ts_capture_packet *p)
{
	ts_write_le32(w, NG_PACKET);
	ts_write_le32(w, packet_block_len(p));
	ts_write_le32(w, p->path == TS_CAPTURE_DISCO); /* the interface */
	ts_write_le32(w, (uint32_t)(p->wall_ns >> 32));
	ts_write_le32(w, (uint32_t)p->wall_ns);
	ts_write_le32(w, (uint32_t)captured_len(p));
	ts_write_le32(w, (uint32_t)captured_len(p));
	if (p->path == TS_CAPTURE_DISCO)
		write_meta(w, p);
}

static void write_packet_after(struct ts_writer *w,
			       const struct ts_capture_packet *p)
{
	ts_write_zeros(w, padding(p->len));
	write_packet_options(w, p);
	ts_write_le32(w, packet_block_len(p));
}

/* -- discovery ------------------------------------------------------------ */
void ts_capture_disco_frame(const struct ts_addr *src, bool is_derp,
			    const struct ts_public_key *derp,
			    const uint8_t *payload, size_t len,
			    struct ts_writer *w)
{
	ts_write_u8(w, is_derp);
	ts_write_bytes(w, derp->bytes, TS_KEY_LEN);
	write_le16(w, src->port);
	if (ts_ip_is_v4(&src->ip)) {
		write_le16(w, 4);
		ts_write_be32(w, ts_ip_v4_host(&src->ip));
	} else {
		write_le16(w, TS_IP_LEN);
		ts_write_bytes(w, src->ip.bytes, TS_IP_LEN);
	}
	write_le16(w, (uint16_t)len);
	ts_write_bytes(w, payload, len);
}

/* -- either --------------------------------------------------------------- */
bool ts_capture_has(enum ts_capture_format format, enum ts_capture_path path)
{
	return path != TS_CAPTURE_DISCO || format != TS_CAPTURE_PCAPNG;
}

void ts_capture_write_head(enum ts_capture_format format, struct ts_writer *w)
{
	if (format == TS_CAPTURE_PCAP) {
		write_pcap_head(w);
		return;
	}
	write_section(w);
	write_interface(w, LINKTYPE_RAW, "tailscale0", "inside the tunnel");
	if (format == TS_CAPTURE_PCAPNG_DISCO)
		write_interface(w, LINKTYPE_USER0, "disco",
				"looking for paths");
}

void ts_capture_write_before(enum ts_capture_format format,
			     const struct ts_capture_packet *p,
			     struct ts_writer *w)
{
	if (format == TS_CAPTURE_PCAP)
		write_pcap_before(w, p);
	else
		write_packet_before(w, p);
}

void ts_capture_write_after(enum ts_capture_format format,
			    const struct ts_capture_packet *p,
			    struct ts_writer *w)
{
	if (format != TS_CAPTURE_PCAP)
		write_packet_after(w, p);
}
