/* SPDX-License-Identifier: BSD-3-Clause
 * capture.h - packets as records of a capture file
 *
 * pcap is what upstream's debug-capture writes: link type USER0, each packet
 * behind Tailscale's own header, for its dissector. pcapng is for everybody
 * else: raw IP, with comments that name the peer and the way.
 * Source: feature/capture/capture.go, net/packet/capture.go;
 * draft-ietf-opsawg-pcapng
 */
#ifndef CORE_NODE_CAPTURE_H
#define CORE_NODE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/wire.h"

enum ts_capture_format { TS_CAPTURE_PCAP, TS_CAPTURE_PCAPNG };

/* Upstream's CapturePath. */
enum ts_capture_path {
	TS_CAPTURE_FROM_LOCAL = 0,
	TS_CAPTURE_FROM_PEER = 1,
	TS_CAPTURE_SYNTHESIZED_TO_PEER = 3, /* our own messages (TSMP) */
};

enum {
	TS_CAPTURE_COMMENT_MAX = 512,
	/* Of a file's head, and of what is before and after a packet. */
	TS_CAPTURE_HEAD_MAX = 256,
	TS_CAPTURE_RECORD_MAX = 640 + TS_CAPTURE_COMMENT_MAX,
};

struct ts_capture_packet {
	enum ts_capture_path path;
	uint64_t wall_ns; /* since 1970 */
	size_t len;
	/* As it was before our addresses were translated; NULL: it was not. */
	const struct ts_ip *src_before, *dst_before;
	const char *comment; /* or "": cut at TS_CAPTURE_COMMENT_MAX */
	uint64_t dropped;    /* packets that are missing before this one */
};

/* What a file begins with; at most TS_CAPTURE_HEAD_MAX bytes. */
void ts_capture_write_head(enum ts_capture_format format, struct ts_writer *w);
/* What stands before the packet's bytes, and behind them; at most
 * TS_CAPTURE_RECORD_MAX bytes each. */
void ts_capture_write_before(enum ts_capture_format format,
			     const struct ts_capture_packet *p,
			     struct ts_writer *w);
void ts_capture_write_after(enum ts_capture_format format,
			    const struct ts_capture_packet *p,
			    struct ts_writer *w);

#endif
